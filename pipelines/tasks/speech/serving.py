"""The export of speech recognition: any sampling rate, WAV files, streams, and the network between numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.data.audio.augment import resample
from pipelines.data.audio.features import Mel, log_mel
from pipelines.data.audio.files import RATES
from pipelines.data.audio.wav import decode_wavs
from pipelines.task import SCORES, Arrays, Numeric, Port, Serving
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.features import mel_of, seconds_per_step
from pipelines.tasks.speech.model import parts
from pipelines.tasks.speech.stream import Streamer, can_stream


def at_own_rate(waveform: Any, samples: Any, rate: Any, own: int) -> tuple[Any, Any]:
    """Resample recordings in graph to the rate of the network.

    Of a row whose rate is neither that one nor within ``RATES`` no samples are left.

    Args:
        waveform: float32 [B, N] in [-1, 1].
        samples: int32 [B], real samples of each row.
        rate: int32 [B], in Hz.
        own: rate of the network in Hz.

    Returns:
        float32 [B, N'] and int32 [B].
    """
    usual = (rate == own) | ((rate >= RATES[0]) & (rate <= RATES[1]))
    rate = tf.where(usual, rate, own)
    samples = tf.where(usual, tf.clip_by_value(samples, 0, tf.shape(waveform)[1]), 0)

    def resampled() -> tuple[Any, Any]:
        step = tf.cast(rate, tf.float64) / own

        def one(row: Any) -> Any:
            sound = waveform[row, : samples[row]]
            return tf.cond(rate[row] == own, lambda: sound, lambda: resample(sound, step[row]))

        ragged = tf.RaggedTensorSpec([None], tf.float32, ragged_rank=0)  # padded only once all are known
        sounds = tf.map_fn(one, tf.range(tf.shape(rate)[0]), fn_output_signature=ragged)
        return sounds.to_tensor(), tf.cast(sounds.row_lengths(), tf.int32)

    return tf.cond(tf.reduce_all(rate == own), lambda: (waveform, samples), resampled)


class SpeechServing(Serving):
    """The export of a run, with WAV files as another kind of input."""

    def from_wav(self, wav: Any) -> dict[str, Any]:
        """Transcribe WAV files, tf.string [B], see `pipelines.data.audio.wav`.

        The outputs are those of ``__call__``, and ``problem`` string [B], empty where there is none. A file with a
        problem has an empty text.
        """
        waveform, samples, rate, problem = decode_wavs(wav)
        rate = tf.where(problem == "", rate, self.task.card()["rate"])
        return {**self(waveform=waveform, samples=samples, rate=rate), "problem": problem}


def further_signatures(serving: SpeechServing, model: keras.Model, config: Config) -> dict[str, Any]:
    """Return the signatures beside the default one: ``wav``, and ``stream`` where the network allows it."""
    spec = [tf.TensorSpec([None], tf.string, name="wav")]
    wav = tf.function(serving.from_wav, input_signature=spec, autograph=False)
    found = {"wav": wav.get_concrete_function()}
    if can_stream(config):
        streamer = Streamer(model, config)
        step = tf.function(streamer.step, autograph=False)
        found["stream"] = step.get_concrete_function(**streamer.signature())
    return found


SECONDS = (0.02, 0.3, 1.0, 2.7, 6.0)


def numeric(model: keras.Model, config: Config) -> Numeric:
    """Return the network for export, with its front-end; resampling and the search are left to the consumer."""
    mel = mel_of(config)
    function, sheltered = _functions(model, mel)
    return Numeric(
        function,
        inputs=(
            Port("audio", "float32", ("batch", "time"), "samples in [-1, 1], one channel, padded on the right"),
            Port("samples", "int32", ("batch",), "samples of each recording without padding"),
        ),
        outputs=(
            Port(SCORES, "float32", ("batch", "steps", "symbols"), "natural logarithm of each symbol's probability"),
            Port("steps", "int32", ("batch",), "steps of each recording; what follows means nothing"),
        ),
        random=functools.partial(_random, mel),
        files=("alphabet.json",),
        preprocessing={"rate": config.rate},
        decoding={"alphabet": "alphabet.json", "blank": 0, "seconds_per_step": seconds_per_step(config)},
        sheltered=sheltered,
    )


def _functions(model: keras.Model, mel: Mel) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The network, and the network with a front-end that no converter rounds to 8 bits."""
    frontend, recogniser = parts(model)

    def answers(samples: Any, logits: Any, steps: Any) -> dict[str, Any]:
        steps = tf.where(samples > 0, steps, 0)  # as ``Speech.decoded``: without samples there are no steps
        return {SCORES: tf.nn.log_softmax(logits), "steps": steps}

    def function(audio: Any, samples: Any) -> dict[str, Any]:
        outputs = model({"audio": audio, "samples": samples}, training=False)
        return answers(samples, outputs["logits"], outputs["steps"])

    def sheltered(audio: Any, samples: Any) -> dict[str, Any]:
        one = tf.cast(tf.reduce_max(samples) >= 0, tf.float32)  # always 1, which no converter can know
        features, frames = log_mel(audio, samples, mel, one)
        return answers(samples, *recogniser([frontend.normalise(features, frames), frames], training=False))

    return function, sheltered


def _random(mel: Mel, rng: np.random.Generator) -> Iterator[Arrays]:
    """Noise whose level rises and falls, from less than a window to seconds."""
    for seconds in SECONDS:
        count = int(seconds * mel.rate) + int(rng.integers(mel.hop))
        level = np.interp(np.arange(count), np.linspace(0, count, 20), 10 ** rng.uniform(-4, -0.5, 20))
        noise = (rng.normal(size=(1, count)) * level).astype(np.float32)
        yield {"audio": noise, "samples": np.array([count], np.int32)}
