"""Speech recognition, top to bottom: a recording in, its transcript with the time of every word out.

samples -> log-mel -> convolutional subsampling -> recurrent stack -> CTC over characters. Any recordings with
transcripts will do; nobody needs to say when a word was spoken.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines.config import from_dict
from pipelines.data.audio import layouts
from pipelines.data.audio.augment import augment_batch
from pipelines.data.audio.features import log_mel
from pipelines.data.audio.files import sounds_in
from pipelines.data.batching import Encoded, Transform
from pipelines.data.source import Example, Source
from pipelines.data.validate import View
from pipelines.explain.explanation import Explanation
from pipelines.metrics import speech as metrics
from pipelines.metrics.bootstrap import Scorer
from pipelines.search.ctc import beam_path, best_path
from pipelines.task import Card, DecodingData, Field, Modality, Mode, Numeric, Prediction, Row, Task
from pipelines.tasks.speech import data
from pipelines.tasks.speech import model as network
from pipelines.tasks.speech.config import PRESETS, Config
from pipelines.tasks.speech.data import Preprocessor, heard, transcript
from pipelines.tasks.speech.decode import Language, Network, prepared
from pipelines.tasks.speech.features import augment_of, mel_of, seconds_per_step
from pipelines.tasks.speech.serving import SpeechServing, at_own_rate, further_signatures
from pipelines.tasks.speech.text import worded

SIGNATURES = {
    "wer": "word error rate of the corpus (jiwer), on transcripts normalised as in training",
    "cer": "character error rate of the corpus (jiwer), spaces counted, on the same transcripts",
}
DEFAULT = from_dict(Config, {}, "defaults")


class Speech(Task):
    """Speech recognition.

    Attributes:
        language: the language model in decoding; None searches without one.
    """

    name = "speech"
    modality = Modality("audio", rank=1, media="audio/*")
    raw = "audio"
    columns = layouts.COLUMNS
    answer_output = "text"
    metric = "wer"
    higher_is_better = False
    threshold, margin = 0.15, 0.3
    config_class = Config
    presets = PRESETS
    preprocessor_class = Preprocessor
    x_fields: ClassVar[Mapping[str, Field]] = {
        "audio": Field("float32", ("batch", "time")),
        "samples": Field("int32", ("batch",)),
        "seed": Field("int32", ("2",), optional=True),
    }
    y_fields: ClassVar[Mapping[str, Field]] = {
        "tokens": Field("int32", ("batch", "time")),
        "count": Field("int32", ("batch",)),
    }
    most_steps = 16000 * 200  # samples: one recording of half an hour must not make 64 of them
    part = 128  # 1024 recordings of 30 seconds would be 2 GB

    config: Config
    preprocessor: Preprocessor

    def __init__(self, config: Config, preprocessor: Preprocessor, language: Language | None = None) -> None:
        super().__init__(config, preprocessor)
        self.language = language

    @classmethod
    def open_source(cls, spec: str, config: Config) -> Source:
        """Open ``synthetic``, ``tfds:NAME``, a manifest, or a known corpus tree, see `pipelines.tasks.speech.data`."""
        return data.open_source(spec, config)

    @classmethod
    def view(cls, config: Config, source: Source) -> View:
        """Look at the transcript and the sound of an example."""
        return partial(data.facets, config)

    @classmethod
    def sentence(cls, config: Config, example: Example) -> str:
        """Return the transcript of an example."""
        return transcript(config, str(example["text"]))

    @classmethod
    def fit(cls, config: Config, examples: Iterable[Example]) -> Preprocessor:
        """Learn the alphabet, and if asked the statistics of the features."""
        return Preprocessor.fit(config, examples)

    @classmethod
    def load(cls, config: Config, folder: Path) -> Preprocessor:
        """Read back the alphabet and the statistics."""
        return Preprocessor.load(config, folder)

    @classmethod
    def adopt(cls, config: Config, other: Task, folder: Path, examples: Iterable[Example]) -> Preprocessor:
        """Take over the alphabet of another run, and its statistics if asked for."""
        assert isinstance(other, Speech)
        return Preprocessor.adopt(config, other.preprocessor, examples)

    def encode(self, examples: Iterable[Example], mode: Mode = "score") -> Encoded:
        """Read the recordings and spell the transcripts, see `pipelines.tasks.speech.data.encode`."""
        return data.encode(self.preprocessor.alphabet, self.config, examples, mode)

    def augmentation(self) -> Transform | None:
        """Return the change of a padded batch, which also hands SpecAugment its seed; None if all is off."""
        augment, step = augment_of(self.config), self.config.rate // 2
        if not (augment.changes_waveform or augment.bands or augment.times):
            return None

        def transform(x: dict[str, Any], y: dict[str, Any], seed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            if augment.changes_waveform:
                audio, samples = augment_batch(x["audio"], x["samples"], seed, augment, step)
                x = {"audio": audio, "samples": samples}
            return x | {"seed": seed}, y

        return transform

    # ---------------------------------------------------------------------------------------------------------- model

    def network(self) -> keras.Model:
        """Build the network, see `pipelines.tasks.speech.model`."""
        return network.build(self.config, self.preprocessor.alphabet.size, self.preprocessor.statistics)

    def loss(self, model: keras.Model, x: Mapping[str, Any], y: Mapping[str, Any]) -> tuple[Any, Any]:
        """CTC loss of each recording [B], see `pipelines.tasks.speech.model`, and weights of 1."""
        value = network.loss(model, self.config, x, y)
        return value, tf.ones_like(value)

    # -------------------------------------------------------------------------------------------------------- answers

    def prepared(self, model: keras.Model, decoding: DecodingData) -> "Speech":
        """Load the language model that the settings ask for, see `pipelines.tasks.speech.decode`."""
        if not self.config.lm:
            return self
        run = Network(model, self.config, self.preprocessor.alphabet, self.most_steps)
        language, settings = prepared(run, decoding)
        return Speech(settings, self.preprocessor, language)

    def outputs(self, model: keras.Model, x: Mapping[str, Any]) -> dict[str, Any]:
        """Transcribe: see `pipelines.tasks.speech.text.worded`.

        A recording without samples has no steps: no symbols, score 0. With a language model it is ``finish`` that
        searches: here are ``log_probabilities`` float32 [B, T, V] and ``steps`` int32 [B].
        """
        return self.decoded(model({"audio": x["audio"], "samples": x["samples"]}, training=False), x["samples"])

    def decoded(self, found: Mapping[str, Any], samples: Any) -> dict[str, Any]:
        """Decode the network's ``logits`` float32 [B, T, V] and ``steps`` int32 [B]; ``samples`` is int32 [B]."""
        logits, steps = found["logits"], tf.where(samples > 0, found["steps"], 0)
        if self.language:
            return {"log_probabilities": tf.nn.log_softmax(logits), "steps": steps}
        width = self.config.beam_width
        return self._worded(beam_path(logits, steps, width) if width > 1 else best_path(logits, steps))

    def _worded(self, found: dict[str, Any]) -> dict[str, Any]:
        return worded(found, self.preprocessor.alphabet, seconds_per_step(self.config))

    def finish(self, row: Row) -> Row:
        """Search with the language model, where there is one."""
        if not self.language:
            return row
        found = self.language.fused(row, self.preprocessor.alphabet.symbols)
        batch = {name: tf.constant(value)[None] for name, value in found.items()}
        return {name: value.numpy()[0] for name, value in self._worded(batch).items()}

    def references(self, example: Example) -> list[str]:
        """Return the transcript of an example, normalised as in training."""
        return [transcript(self.config, example["text"])] if "text" in example else []

    @classmethod
    def more(cls, card: Card, example: Example, row: Row) -> Prediction:
        """Word the words in time, the other transcripts where there are some, and the speaker."""
        columns = [row[name] for name in ("words", "start", "end", "confidence")]
        found: Prediction = {
            "words": [
                {
                    "word": word.decode("utf-8"),
                    "start": round(float(start), 3),
                    "end": round(float(end), 3),
                    "confidence": round(float(confidence), 4),
                }
                for word, start, end, confidence in zip(*columns, strict=True)
                if word
            ]
        }
        if "alternatives" in row:
            pairs = zip(row["alternatives"], row["alternative_scores"], strict=True)
            found["alternatives"] = [
                {"answer": text.decode("utf-8"), "score": round(float(score), 6)} for text, score in pairs
            ]
        return found | ({"speaker": example["speaker"]} if "speaker" in example else {})

    def decode_name(self) -> str:
        """Say how answers are decoded."""
        config = self.config
        if config.lm:
            model = f"a {config.lm_order}-gram of {config.lm_units} ({Path(config.lm).name})"
            weights = f"alpha {config.lm_weight:g}, beta {config.lm_insertion_bonus:g}"
            return f"CTC prefix beam {config.beam_width} with {model}, {weights}"
        return "CTC best path" if config.beam_width == 1 else f"CTC prefix beam {config.beam_width}"

    @classmethod
    def parse(cls, inputs: Sequence[Any]) -> list[Example]:
        """Wrap paths, the bytes of sound files, or arrays of samples at the configured rate; ids count from 0.

        A folder stands for the recordings in it.

        Raises:
            ValueError: an input is something else, or a folder without recordings.
        """
        sounds: list[Any] = []
        for number, given in enumerate(inputs):
            if not isinstance(given, str | Path | bytes) and not hasattr(given, "__array__"):
                kind = type(given).__name__
                raise ValueError(f"input {number + 1}: expected a path, bytes, or an array of samples, came {kind}")
            sounds += sounds_in(given) if isinstance(given, str | Path) else [given]
        return [{"id": str(i), "where": f"input {i + 1}", "audio": sound} for i, sound in enumerate(sounds)]

    @classmethod
    def hard_cases(cls) -> list[Example]:
        """Return no sound, one sample, 10 ms, silence, noise, overload, and next to nothing."""
        noise = np.random.default_rng(0).normal(size=8000).astype(np.float32)
        usual = [noise[:0], noise[:1], noise[:160], np.zeros(16000, np.float32)]
        return cls.parse([case.astype(np.float32) for case in (*usual, 0.1 * noise, 100 * noise, np.full(900, 1e-9))])

    def explain(self, model: keras.Model, raw: Any) -> Explanation:
        """Explain the transcript of one recording: a path, the bytes of a file, or samples at the model's rate.

        It is decoded as for ``predict``, with the beam and the language model of the settings.

        Raises:
            ValueError: the recording cannot be read.
        """
        from pipelines.tasks.speech import explain  # noqa: PLC0415  # draws: matplotlib is slow to import

        sound, problem = heard({"audio": raw, "where": "the recording"}, self.config.rate)
        if problem:
            raise ValueError(problem)
        x = {"audio": tf.constant(sound[None]), "samples": tf.constant([len(sound)])}
        with portable():
            features, _ = network.parts(model).frontend(x["audio"], x["samples"])
            outputs = model(x, training=False)
            found = self.decoded(outputs, x["samples"])
        row = self.finish({name: value.numpy()[0] for name, value in found.items()})
        prediction = self.answer(self.card(), {"id": "0", "audio": ""}, row)
        arrays = {"features": features.numpy()[0], "posteriors": tf.nn.softmax(outputs["logits"][0]).numpy()}
        return explain.explain(self.config, self.preprocessor.alphabet.symbols, prediction, arrays)

    # -------------------------------------------------------------------------------------------------------- scoring

    @classmethod
    def scorer(cls, predictions: list[Prediction]) -> Scorer:
        """Prepare word and character error rates."""
        return metrics.scorer(predictions)

    @classmethod
    def signatures(cls, predictions: list[Prediction]) -> Mapping[str, str]:
        """Say of each score what computes it."""
        return SIGNATURES

    @classmethod
    def report(cls, predictions: list[Prediction]) -> str:
        """Return alignment counts, error rates by speaker, confusions, and the worst recordings."""
        return metrics.report(predictions)

    @classmethod
    def baseline(cls, train: list[Example], test: list[Example]) -> tuple[str, float]:
        """Score the transcript of the nearest training recording (Euclidean distance of 40 frames)."""
        known, asked = _shapes(train), _shapes(test)
        nearest = [int(np.argmin(np.square(known - one).sum(1))) for one in asked]
        predictions = [
            {"references": [transcript(DEFAULT, e["text"])], "answer": transcript(DEFAULT, train[n]["text"])}
            for e, n in zip(test, nearest, strict=True)
        ]
        return "nearest recording", metrics.scorer(predictions)(np.arange(len(test)))["wer"]

    # --------------------------------------------------------------------------------------------------------- export

    def card(self) -> dict[str, Any]:
        """Return the symbols behind the numbers, and the rate in Hz."""
        return {"symbols": list(self.preprocessor.alphabet.symbols), "rate": self.preprocessor.rate}

    def signature(self) -> dict[str, tf.TensorSpec]:
        """Take ``waveform`` float32 [B, N] in [-1, 1], its real ``samples`` int32 [B], and their ``rate`` int32 [B]."""
        return {
            "waveform": tf.TensorSpec([None, None], tf.float32, name="waveform"),
            "samples": tf.TensorSpec([None], tf.int32, name="samples"),
            "rate": tf.TensorSpec([None], tf.int32, name="rate"),
        }

    def inputs(self, **raw: Any) -> dict[str, Any]:
        """In graph: recordings at any rate -> ``audio`` float32 [B, N] at the network's, and ``samples`` int32 [B]."""
        audio, samples = at_own_rate(raw["waveform"], raw["samples"], raw["rate"], self.config.rate)
        return {"audio": audio, "samples": samples}

    def serving(self, model: keras.Model) -> SpeechServing:
        """Return the module to export.

        Raises:
            ValueError: a language model takes part, which is not in graph.
        """
        lm = self.config.lm
        if lm:
            raise ValueError(f"--lm {lm}: an export decodes without a language model; leave it out, or say --lm ''")
        return SpeechServing(self, model)

    def further_signatures(self, model: keras.Model) -> dict[str, Any]:
        """Return ``wav``, which takes the bytes of files, and ``stream``, where it is possible."""
        return further_signatures(self.serving(model), model, self.config)

    @classmethod
    def serving_inputs(cls, examples: list[Example], card: Card) -> dict[str, Any]:
        """Return the padded ``waveform``, its ``samples`` and their ``rate`` for raw examples.

        Sounds come at the rate that ``card`` names, as the run would hear them. An example that cannot be read has no
        samples, and gets the reason under ``error``.
        """
        sounds, rate = [], int(card.get("rate", DEFAULT.rate))  # cards of older exports name none
        for example in examples:
            sound, problem = heard(example, rate)
            sounds.append(sound)
            if problem:
                example["error"] = problem
        samples = [len(sound) for sound in sounds]
        waveform = tf.RaggedTensor.from_row_lengths(np.concatenate(sounds), samples).to_tensor()
        rates = tf.fill([len(sounds)], rate)
        return {"waveform": waveform, "samples": tf.constant(samples, tf.int32), "rate": rates}

    def numeric(self, model: keras.Model) -> Numeric:
        """Return the network between numbers, see `pipelines.tasks.speech.serving`."""
        from pipelines.tasks.speech.serving import numeric  # noqa: PLC0415  # for an export alone

        return numeric(model, self.config)


def _shapes(examples: list[Example]) -> np.ndarray[Any, Any]:
    """Describe recordings as wholes: 40 frames of each, spread evenly, without their mean, [N, 40 * bands]."""
    mel, rows = mel_of(DEFAULT), []
    for start in range(0, len(examples), 64):
        sounds = Speech.serving_inputs(examples[start : start + 64], {})
        for features, count in zip(*log_mel(sounds["waveform"], sounds["samples"], mel), strict=True):
            frames = features.numpy()[:count]
            chosen = np.linspace(0, len(frames) - 1, 40).round().astype(int)
            rows.append((frames[chosen] - frames.mean(0)).ravel())
    return np.array(rows)


TASK = Speech
