"""The export of speech recognition: samples at any rate, or WAV files, in."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from pipelines.data.audio.augment import resample
from pipelines.data.audio.files import RATES
from pipelines.data.audio.wav import decode_wavs
from pipelines.task import Serving
from pipelines.tasks.speech.config import Config
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
