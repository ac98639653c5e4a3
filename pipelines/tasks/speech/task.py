"""Speech recognition, top to bottom: a recording in, its transcript with the time of every word out.

samples -> log-mel -> convolutional subsampling -> recurrent stack -> CTC over characters. Any recordings with
transcripts will do; nobody needs to say when a word was spoken.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.config import from_dict
from pipelines.data.audio import augment as audio_augment
from pipelines.data.audio.features import log_mel
from pipelines.data.audio.files import sounds_in
from pipelines.data.batching import Transform
from pipelines.data.source import Example
from pipelines.explain.explanation import Explanation
from pipelines.metrics import speech as speech_scores
from pipelines.tasks.speech import model as speech_model
from pipelines.tasks.speech.beam import beam_path
from pipelines.tasks.speech.config import PRESETS as PRESETS
from pipelines.tasks.speech.config import Config as Config
from pipelines.tasks.speech.data import Preprocessor as Preprocessor
from pipelines.tasks.speech.data import adopt as adopt
from pipelines.tasks.speech.data import encode as encode
from pipelines.tasks.speech.data import facets as facets
from pipelines.tasks.speech.data import fit_preprocessor as fit_preprocessor
from pipelines.tasks.speech.data import heard, transcript
from pipelines.tasks.speech.data import load_preprocessor as load_preprocessor
from pipelines.tasks.speech.data import open_source as open_source
from pipelines.tasks.speech.data import sentence as sentence
from pipelines.tasks.speech.decode import settle as settle
from pipelines.tasks.speech.serving import Serving
from pipelines.tasks.speech.serving import served as served

NAME = "speech"
METRIC = "wer"
BETTER = "lower"
RAW = "audio"
ANSWER = "text"
SIGNATURES = {
    "wer": "word error rate of the corpus (jiwer), on transcripts normalised as in training",
    "cer": "character error rate of the corpus (jiwer), spaces counted, on the same transcripts",
}
MOST_STEPS = 16000 * 200
"""Samples, padded, that are decoded together: one recording of half an hour must not make 64 of them."""
PART = 128
"""Recordings encoded together: 1024 of 30 seconds would be 2 GB."""
THRESHOLD, MARGIN = 0.15, 0.3  # demonstration: largest word error rate, and least lead over the baseline
DEFAULT = from_dict(Config, {}, "defaults")


def augmentation(config: Config, preprocessor: Preprocessor) -> Transform | None:
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
    """Return the symbols with their steps and probabilities, see ``speech_model.best_path`` and ``beam_path``.

    A recording without samples has no steps: no symbols, score 0. With a language model it is ``answer`` that
    searches: here are ``log_probabilities`` float32 [B, T, V] and ``steps`` int32 [B].
    """
    outputs = model({"audio": x["audio"], "samples": x["samples"]}, training=False)
    steps = tf.where(x["samples"] > 0, outputs["steps"], 0)
    if config.lm:
        return {"log_probabilities": tf.nn.log_softmax(outputs["logits"]), "steps": steps}
    if config.beam_width > 1:
        return beam_path(outputs["logits"], steps, config.beam_width)
    return speech_model.best_path(outputs["logits"], steps)


# --------------------------------------------------------------------------------------------------- answers


def answer(
    preprocessor: Preprocessor, config: Config, example: Example, outputs: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Turn one row of ``decode`` into a prediction: transcript, words in time, and what went wrong if anything did."""
    if preprocessor.language is not None:
        outputs = preprocessor.language.fused(outputs, preprocessor.alphabet.symbols)
    found = int(outputs["count"])
    numbers, first, last, probability = (outputs[k][:found] for k in ("tokens", "first", "last", "probability"))
    symbols = [preprocessor.alphabet.symbols[number] for number in numbers]
    step = speech_model.seconds_per_step(config)
    prediction = {
        "id": example["id"],
        "input": example["audio"],
        "references": [transcript(config, example["text"])] if "text" in example else [],
        "answer": preprocessor.alphabet.decode(numbers),
        "score": round(float(outputs["score"]), 6),
        "words": speech_scores.words_in_time(symbols, first, last, probability, step),
    }
    if "alternatives" in outputs:
        pairs = zip(outputs["alternatives"], outputs["alternative_scores"], strict=True)
        prediction["alternatives"] = [
            {"answer": preprocessor.alphabet.decode(numbers), "score": round(float(score), 6)}
            for numbers, score in pairs
        ]
    if "speaker" in example:
        prediction["speaker"] = example["speaker"]
    if "error" in example:
        prediction["error"] = example["error"]
    return prediction


def explain(model: keras.Model, preprocessor: Preprocessor, config: Config, audio: Any) -> Explanation:
    """Explain the transcript of one recording, see `speech_explain`."""
    from pipelines.tasks.speech import explain as speech_explain  # noqa: PLC0415  # draws: matplotlib is slow to import

    return speech_explain.explain(model, preprocessor, config, audio)


def decode_name(config: Config) -> str:
    """Say how answers are decoded."""
    if config.lm:
        model = f"a {config.lm_order}-gram of {config.lm_units} ({Path(config.lm).name})"
        weights = f"alpha {config.lm_weight:g}, beta {config.lm_bonus:g}"
        return f"CTC prefix beam {config.beam_width} with {model}, {weights}"
    return "CTC best path" if config.beam_width == 1 else f"CTC prefix beam {config.beam_width}"


scorer = speech_scores.scorer
report = speech_scores.report


def raw(inputs: list[Any]) -> list[Example]:
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


def serving_inputs(examples: list[Example], card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``Serving`` for raw examples: padded ``waveform``, its ``samples`` and their ``rate``.

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
    """Return what a client of the export may want to know: the symbols behind the numbers, and the rate in Hz."""
    return {"symbols": list(preprocessor.alphabet.symbols), "rate": preprocessor.rate}


def serving(model: keras.Model, preprocessor: Preprocessor, config: Config) -> Serving:
    """Return the module to export.

    Raises:
        ValueError: a language model takes part, which is not in graph.
    """
    if config.lm:
        raise ValueError(f"--lm {config.lm}: an export decodes without a language model; leave it out, or say --lm ''")
    return Serving(model, preprocessor.alphabet, config, lambda x: decode(model, config, x))


def baseline(train: list[Example], test: list[Example]) -> tuple[str, float]:
    """Score answering each recording with the transcript of the training recording that is nearest as a whole."""
    mel = speech_model.mel_of(DEFAULT)

    def shapes(examples: list[Example]) -> np.ndarray[Any, Any]:
        rows = []
        for start in range(0, len(examples), 64):
            sounds = serving_inputs(examples[start : start + 64], {})
            for features, count in zip(*log_mel(sounds["waveform"], sounds["samples"], mel), strict=True):
                frames = features.numpy()[:count]
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
