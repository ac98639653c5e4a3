"""What is exported for speech: samples at any rate in, transcript and word times out; only TensorFlow operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from pipelines.data.audio.augment import resample
from pipelines.data.audio.files import RATES
from pipelines.data.audio.wav import decode_wavs
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.model import seconds_per_step
from pipelines.tasks.speech.stream import Streamer, can_stream
from pipelines.tasks.speech.text import Alphabet


def served(card: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Word one row of ``Serving``'s outputs as ``speech.answer`` does: ``words`` with time and confidence."""
    columns = [row[name] for name in ("words", "start", "end", "confidence")]
    return {
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


class Serving(tf.Module):
    """The whole way from samples to words as one graph."""

    def __init__(self, model: keras.Model, alphabet: Alphabet, config: Config, decode: Callable[..., Any]) -> None:
        """Take ``decode``, waveforms to symbols as ``speech.decode`` does it."""
        super().__init__()
        self.model, self.alphabet, self.decode = model, alphabet, decode
        self.rate, self.step = config.rate, seconds_per_step(config)
        self.streamer = Streamer(model, config) if can_stream(config) else None
        self.signature = [
            tf.TensorSpec([None, None], tf.float32, name="waveform"),
            tf.TensorSpec([None], tf.int32, name="samples"),
            tf.TensorSpec([None], tf.int32, name="rate"),
        ]

    def __call__(self, waveform: Any, samples: Any, rate: Any) -> dict[str, Any]:
        """Transcribe float32 [B, N] in [-1, 1], of which row b has ``samples[b]`` real ones at ``rate[b]`` Hz.

        Of a row whose rate is neither the model's nor within ``RATES`` nothing is heard: its text is empty, score 0.

        Returns:
            ``text`` string [B] and its ``score`` [B]; for every word its text ``words`` string [B, W], ``start`` and
            ``end`` in seconds and ``confidence``, float32 [B, W], all padded on the right ("" and 0).
        """
        usual = (rate == self.rate) | ((rate >= RATES[0]) & (rate <= RATES[1]))
        rate = tf.where(usual, rate, self.rate)
        samples = tf.where(usual, tf.clip_by_value(samples, 0, tf.shape(waveform)[1]), 0)
        waveform, samples = self._at_own_rate(waveform, samples, rate)
        found = self.decode({"audio": waveform, "samples": samples})
        return {"text": self.alphabet.spell(found["tokens"]), "score": found["score"], **self._words(found)}

    def further(self) -> dict[str, Any]:
        """Other signatures: ``wav`` takes the bytes of files; ``stream`` is ``Streamer.step``, where it is possible."""
        wav = tf.function(
            self.from_wav, input_signature=[tf.TensorSpec([None], tf.string, name="wav")], autograph=False
        )
        found = {"wav": wav.get_concrete_function()}
        if self.streamer is not None:
            found["stream"] = tf.function(self.streamer.step, autograph=False).get_concrete_function(
                **self.streamer.signature()
            )
        return found

    def from_wav(self, wav: Any) -> dict[str, Any]:
        """Transcribe WAV files, tf.string [B], see ``audio_wav``; also ``problem`` string [B], "" where there is none.

        A file with a problem has an empty text.
        """
        waveform, samples, rate, problem = decode_wavs(wav)
        rate = tf.where(problem == "", rate, self.rate)
        return {**self(waveform, samples, rate), "problem": problem}

    def _at_own_rate(self, waveform: Any, samples: Any, rate: Any) -> tuple[Any, Any]:
        def resampled() -> tuple[Any, Any]:
            step = tf.cast(rate, tf.float64) / self.rate

            def one(row: Any) -> Any:
                sound = waveform[row, : samples[row]]
                return tf.cond(rate[row] == self.rate, lambda: sound, lambda: resample(sound, step[row]))

            ragged = tf.RaggedTensorSpec([None], tf.float32, ragged_rank=0)  # padded only once all are known
            sounds = tf.map_fn(one, tf.range(tf.shape(rate)[0]), fn_output_signature=ragged)
            return sounds.to_tensor(), tf.cast(sounds.row_lengths(), tf.int32)

        return tf.cond(tf.reduce_all(rate == self.rate), lambda: (waveform, samples), resampled)

    def _words(self, found: dict[str, Any]) -> dict[str, Any]:
        """Words from symbols: each run of symbols between spaces, with the steps of its first and last one."""
        tokens = found["tokens"]
        letter = tf.sequence_mask(found["count"], tf.shape(tokens)[1]) & (tokens != self.alphabet.numbers.get(" ", -1))
        opens = letter & (self.alphabet.begins(tokens) | ~tf.pad(letter, [[0, 0], [1, 0]])[:, :-1])
        count = tf.reduce_sum(tf.cast(opens, tf.int32), axis=1)
        number = tf.boolean_mask(tf.cumsum(tf.cast(opens, tf.int32), axis=1) - 1, letter)
        before = tf.cumsum(count, exclusive=True)
        row = tf.cast(tf.where(letter)[:, 0], tf.int32)
        segment, total = number + tf.gather(before, row), tf.reduce_sum(count)

        def padded(function: Any, values: Any, empty: Any) -> Any:
            each = function(tf.boolean_mask(values, letter), segment, total)
            return tf.RaggedTensor.from_row_lengths(each, count).to_tensor(empty)

        sure = tf.math.log(tf.maximum(found["probability"], 1e-30))
        first = padded(tf.math.unsorted_segment_min, found["first"], 0)
        last = padded(tf.math.unsorted_segment_max, found["last"] + 1, 0)
        return {
            "words": padded(self._joined, found["tokens"], ""),
            "start": tf.cast(first, tf.float32) * self.step,
            "end": tf.cast(last, tf.float32) * self.step,
            "confidence": tf.where(last > 0, tf.exp(padded(tf.math.unsorted_segment_mean, sure, 0.0)), 0.0),
        }

    def _joined(self, tokens: Any, segment: Any, total: Any) -> Any:
        return self.alphabet.spell(tf.RaggedTensor.from_value_rowids(tokens, segment, total))
