"""Speech recognition, top to bottom: a recording in, its transcript with the time of every word out.

samples -> log-mel -> convolutional subsampling -> recurrent stack -> CTC over characters. Any recordings with
transcripts will do; nobody needs to say when a word was spoken.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines import speech_model, speech_scores
from pipelines.config import from_dict
from pipelines.data import audio_augment
from pipelines.data.audio import frame_log_mel
from pipelines.data.audio_files import mono, read
from pipelines.data.inputs import Encoded, Transform
from pipelines.data.sources.recordings import open_recordings
from pipelines.data.sources.source import Example, Source, with_cuts
from pipelines.data.sources.synthetic import speech as synthetic
from pipelines.data.sources.synthetic.builtin import builtin
from pipelines.speech_config import PRESETS as PRESETS
from pipelines.speech_config import Config as Config
from pipelines.speech_serving import Serving
from pipelines.speech_text import Alphabet, normalise

NAME = "speech"
METRIC = "wer"
BETTER = "lower"
RAW = "audio"
ANSWER = "text"
SIGNATURES = {
    "wer": "word error rate of the corpus (jiwer), on transcripts normalised as in training",
    "cer": "character error rate of the corpus (jiwer), spaces counted, on the same transcripts",
}
THRESHOLD, MARGIN = 0.15, 0.3  # demonstration: largest word error rate, and least lead over the baseline
READERS = 4
DEFAULT = from_dict(Config, {}, "defaults")
STATISTICS_FROM = 500


def open_source(spec: str, config: Config) -> Source:
    """Open ``synthetic``, a manifest, or the tree of a known corpus; missing splits are cut by speaker."""
    if spec == "synthetic":
        return builtin(synthetic.utterances, {"train": 2000, "validation": 150, "test": 300})
    given = {"audio": config.audio_column, "text": config.text_column, "speaker": config.speaker_column}
    source = open_recordings(spec, {name: (column,) for name, column in given.items() if column})
    return with_cuts(source, lambda example: str(example.get("speaker") or example["id"]), config.validation_share)


# ---------------------------------------------------------------------------------------------- preprocessing


class Preprocessor:
    """The alphabet, and the mean and deviation of each mel band in train (none: each recording is its own measure)."""

    FILES = ("alphabet.json", "statistics.json")

    def __init__(self, alphabet: Alphabet, statistics: speech_model.Statistics | None) -> None:
        self.alphabet, self.statistics = alphabet, statistics

    def save(self, folder: Path) -> None:
        """Write ``FILES``."""
        self.alphabet.save(folder / "alphabet.json")
        values = [part.tolist() for part in self.statistics] if self.statistics else None
        (folder / "statistics.json").write_text(json.dumps(values) + "\n", "utf-8")


def fit_preprocessor(config: Config, examples: Iterable[Example]) -> Preprocessor:
    """Collect the alphabet, and if asked the statistics of the features, from the training examples."""
    texts: set[str] = set()
    sounds: list[np.ndarray[Any, Any]] = []
    for example in examples:
        texts.add(transcript(config, str(example["text"])))
        if config.normalisation == "statistics" and len(sounds) < STATISTICS_FROM:
            sound, problem = _heard(example, config)
            sounds += [] if problem else [sound]
    return Preprocessor(Alphabet.learn(sorted(texts)), _statistics(config, sounds) if sounds else None)


def _statistics(config: Config, sounds: list[np.ndarray[Any, Any]]) -> speech_model.Statistics:
    mel = speech_model.mel_of(config)
    whole = [sound for sound in sounds if len(sound) >= mel.window]
    features = np.concatenate([frame_log_mel(sound[None], mel).numpy()[0] for sound in whole])
    return features.mean(0), np.maximum(features.std(0), 1e-2)


def load_preprocessor(config: Config, folder: Path) -> Preprocessor:
    """Read back what ``save`` wrote."""
    values = json.loads((folder / "statistics.json").read_text("utf-8"))
    statistics = tuple(np.array(part, np.float32) for part in values) if values else None
    return Preprocessor(Alphabet.load(folder / "alphabet.json"), statistics)  # type: ignore[arg-type]


def transcript(config: Config, text: str) -> str:
    """Return a transcript as it is learned and scored."""
    return normalise(text, config.lowercase, config.punctuation)


def _heard(example: Example, config: Config) -> tuple[np.ndarray[Any, Any], str]:
    """The sound of an example at the configured rate; an empty one and the reason when there is none."""
    given = example["audio"]
    try:
        if isinstance(given, str | bytes | Path):
            return read(given, config.rate, str(example["where"]) if isinstance(given, bytes) else str(given)), ""
        return mono(given, example.get("rate") or config.rate, config.rate, str(example["where"])), ""
    except (ValueError, OSError) as error:
        return np.zeros(0, np.float32), str(error)


def encode(
    preprocessor: Preprocessor,
    config: Config,
    examples: Iterable[Example],
    labelled: bool = True,
    keep_raw: bool = True,
) -> Encoded:
    """Read the recordings, several at a time, and spell the transcripts.

    With references, a recording that cannot be read or is too short or too long is dropped by name; without, it
    stays as silence whose example says why under ``error``.
    """
    sounds: list[np.ndarray[Any, Any]] = []
    tokens: list[list[int]] = []
    kept: list[Example] = []
    dropped: list[str] = []
    for example, sound, problem in _read_ahead(examples, config):
        reason = problem or (_unusable(len(sound) / config.rate, config) if labelled else "")
        if reason and labelled:
            dropped.append(f"{example['where']}: {reason}")
            continue
        sounds.append(sound)
        tokens.append(preprocessor.alphabet.encode(transcript(config, example["text"])) if labelled else [])
        slim = {key: value for key, value in example.items() if keep_raw or key in ("id", "where")}
        slim["audio"] = str(slim["audio"]) if isinstance(slim.get("audio"), str | Path) else example["where"]
        kept.append(slim | ({"error": reason} if reason else {}))
    samples = np.array([len(sound) for sound in sounds], np.int32)
    joined = np.concatenate(sounds) if sounds else np.zeros(0, np.float32)
    x = {"audio": tf.RaggedTensor.from_row_lengths(joined, samples), "samples": tf.constant(samples)}
    count = np.array([len(row) for row in tokens], np.int32)
    flat = np.array([number for row in tokens for number in row], np.int32)
    y = {"tokens": tf.RaggedTensor.from_row_lengths(flat, count), "count": tf.constant(count)} if labelled else {}
    return Encoded(x, y, np.maximum(samples, 1), kept, dropped)


def _read_ahead(examples: Iterable[Example], config: Config) -> Iterator[tuple[Example, np.ndarray[Any, Any], str]]:
    source = iter(examples)
    with ThreadPoolExecutor(READERS) as pool:
        while chunk := list(islice(source, 64)):
            for example, (sound, problem) in zip(chunk, pool.map(lambda e: _heard(e, config), chunk), strict=True):
                yield example, sound, problem


def _unusable(seconds: float, config: Config) -> str:
    if seconds < config.shortest:
        return f"{seconds:.3f} s is shorter than --shortest {config.shortest:g}"
    return f"{seconds:.1f} s is longer than --longest {config.longest:g}" if seconds > config.longest else ""


def augmentation(config: Config) -> Transform | None:
    """Return the change of a padded batch of recordings, which also hands SpecAugment its seed; None if all is off."""
    augment = speech_model.augment_of(config)
    if not (augment.changes_waveform or augment.bands or augment.times):
        return None

    def transform(x: dict[str, Any], y: dict[str, Any], seed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if augment.changes_waveform:
            step = config.rate // 2
            audio, samples = audio_augment.augment_batch(x["audio"], x["samples"], seed, augment, step)
            x = {"audio": audio, "samples": samples}
        return x | {"seed": seed}, y

    return transform


# ------------------------------------------------------------------------------------------------------ model


def build(config: Config, preprocessor: Preprocessor) -> keras.Model:
    """Build the network for the preprocessor's alphabet."""
    return speech_model.build(config, preprocessor.alphabet.size, preprocessor.statistics)


loss = speech_model.loss


def decode(model: keras.Model, config: Config, x: Mapping[str, Any]) -> dict[str, Any]:
    """Return the best path's symbols with their steps and probabilities, see ``speech_model.best_path``.

    A recording without samples has no steps: no symbols, score 0.
    """
    outputs = model({"audio": x["audio"], "samples": x["samples"]}, training=False)
    return speech_model.best_path(outputs["logits"], tf.where(x["samples"] > 0, outputs["steps"], 0))


# --------------------------------------------------------------------------------------------------- answers


def answer(
    preprocessor: Preprocessor, config: Config, example: Example, outputs: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Turn one row of ``decode`` into a prediction: transcript, words in time, and what went wrong if anything did."""
    found = int(outputs["count"])
    numbers, first, last, probability = (outputs[k][:found] for k in ("tokens", "first", "last", "probability"))
    symbols = "".join(preprocessor.alphabet.symbols[number] for number in numbers)
    step = seconds_per_step(config)
    prediction = {
        "id": example["id"],
        "input": example["audio"],
        "references": [transcript(config, example["text"])] if "text" in example else [],
        "answer": preprocessor.alphabet.decode(numbers),
        "score": round(float(outputs["score"]), 6),
        "words": speech_scores.words_in_time(symbols, first, last, probability, step),
    }
    if "speaker" in example:
        prediction["speaker"] = example["speaker"]
    if "error" in example:
        prediction["error"] = example["error"]
    return prediction


def seconds_per_step(config: Config) -> float:
    """Return how far apart the steps of the recurrent stack are."""
    mel = speech_model.mel_of(config)
    return mel.hop * int(config.subsampling) / mel.rate


def decode_name(config: Config) -> str:
    """Say how answers are decoded."""
    return "CTC best path"


scorer = speech_scores.scorer
report = speech_scores.report


def raw(inputs: list[Any]) -> list[Example]:
    """Wrap paths, the bytes of sound files, or arrays of samples at the configured rate; ids count from 0.

    Raises:
        ValueError: an input is something else.
    """
    examples: list[Example] = []
    for number, given in enumerate(inputs):
        if not isinstance(given, str | Path | bytes) and not hasattr(given, "__array__"):
            kind = type(given).__name__
            raise ValueError(f"input {number + 1}: expected a path, bytes, or an array of samples, came {kind}")
        audio = str(Path(given).expanduser()) if isinstance(given, str | Path) else given
        examples.append({"id": str(number), "where": f"input {number + 1}", "audio": audio})
    return examples


def serving_inputs(examples: list[Example]) -> dict[str, Any]:
    """Return the arguments of ``Serving`` for raw examples: padded ``waveform``, its ``samples`` and their ``rate``."""
    sounds = [_heard(example, DEFAULT)[0] for example in examples]
    samples = [len(sound) for sound in sounds]
    waveform = tf.RaggedTensor.from_row_lengths(np.concatenate(sounds), samples).to_tensor()
    rate = tf.fill([len(sounds)], DEFAULT.rate)
    return {"waveform": waveform, "samples": tf.constant(samples, tf.int32), "rate": rate}


def hard_cases() -> list[Example]:
    """Return recordings that an export must answer as the run: none, one sample, 10 ms, silence, noise, overload."""
    noise = np.random.default_rng(0).normal(size=8000).astype(np.float32)
    cases = [
        noise[:0],
        noise[:1],
        noise[:160],
        np.zeros(16000, np.float32),
        0.1 * noise,
        100 * noise,
        np.full(900, 1e-9),
    ]
    return raw([case.astype(np.float32) for case in cases])


def describe(preprocessor: Preprocessor) -> dict[str, Any]:
    """Return what a client of the export may want to know: the symbols behind the numbers."""
    return {"symbols": list(preprocessor.alphabet.symbols)}


def serving(model: keras.Model, preprocessor: Preprocessor, config: Config) -> Serving:
    """Return the module to export."""
    return Serving(model, preprocessor.alphabet, config, lambda x: decode(model, config, x))


def baseline(train: list[Example], test: list[Example]) -> tuple[str, float]:
    """Score answering each recording with the transcript of the training recording that is nearest as a whole."""
    mel = speech_model.mel_of(DEFAULT)

    def shapes(examples: list[Example]) -> np.ndarray[Any, Any]:
        rows = []
        for example in examples:
            frames = frame_log_mel(_heard(example, DEFAULT)[0][None], mel).numpy()[0]
            chosen = np.linspace(0, len(frames) - 1, 40).round().astype(int)
            rows.append((frames[chosen] - frames.mean(0)).ravel())
        return np.array(rows)

    known, asked = shapes(train), shapes(test)
    nearest = [int(np.argmin(np.square(known - one).sum(1))) for one in asked]
    predictions = [
        {"references": [transcript(DEFAULT, e["text"])], "answer": transcript(DEFAULT, train[n]["text"])}
        for e, n in zip(test, nearest, strict=True)
    ]
    return "nearest recording", scorer(predictions)(np.arange(len(test)))["wer"]
