"""The network of speech recognition: front-end -> subsampling -> recurrent stack -> symbols, its loss and best path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.convolution import ConvolutionalSubsampling
from models.ctc import ctc_loss
from models.recurrent import RecurrentStack
from pipelines.data.audio.augment import Augment, spec_augment
from pipelines.data.audio.features import Mel, log_mel, mel_filters, normalise_statistics, normalise_utterance
from pipelines.tasks.speech.config import Config

Statistics = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def mel_of(config: Config) -> Mel:
    """The front-end's settings. ValueError when they contradict each other."""
    names = ("rate", "window_ms", "hop_ms", "bands", "low", "high", "floor")
    return Mel(**{name: getattr(config, name) for name in names})


def steps_of(config: Config, samples: int) -> int:
    """Count the steps of the recurrent stack in so many samples, at least 1."""
    return int(-(-mel_of(config).frames(samples) // int(config.subsampling)))


def seconds_per_step(config: Config) -> float:
    """Return how far apart the steps of the recurrent stack are."""
    mel = mel_of(config)
    return mel.hop * int(config.subsampling) / mel.rate


def augment_of(config: Config) -> Augment:
    """The augmentation's settings."""
    return Augment(
        speed=config.speed,
        gain_db=config.gain_db,
        noise=config.noise,
        snr_db=config.snr_db,
        bands=config.band_masks,
        band_width=config.band_width,
        times=config.time_masks,
        time_width=config.time_width,
    )


class Frontend(keras.layers.Layer):
    """Samples -> normalised log-mel features; nothing in it is trained or stored with the weights.

    Args:
        mel: how sound becomes features.
        statistics: mean and deviation of each band in train, float32 [bands]; None normalises each recording alone.
    """

    def __init__(self, mel: Mel, statistics: Statistics | None, **kwargs: Any) -> None:
        super().__init__(dtype="float32", trainable=False, **kwargs)
        self.mel, self.statistics = mel, statistics

    def call(self, audio: Any, samples: Any) -> tuple[Any, Any]:
        """Float32 [B, N] and int32 [B] -> float32 [B, T, bands] and frame counts int32 [B], each >= 1."""
        features, frames = log_mel(audio, samples, self.mel)
        return self.normalise(features, frames), frames

    def normalise(self, features: Any, frames: Any) -> Any:
        """Zero mean and unit variance, by statistics where there are some: [B, T, bands] -> [B, T, bands]."""
        if self.statistics is None:
            return normalise_utterance(features, frames)
        return normalise_statistics(features, frames, *self.statistics)

    def compute_output_spec(self, audio: Any, samples: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Shapes and types of the outputs."""
        features = keras.KerasTensor((audio.shape[0], None, self.mel.bands), dtype="float32")
        return features, keras.KerasTensor(samples.shape, dtype="int32")


def build(config: Config, symbols: int, statistics: Statistics | None) -> keras.Model:
    """Build the network: audio float32 [B, N], samples int32 [B] -> logits float32 [B, T, V], steps int32 [B].

    Raises:
        ValueError: the settings ask for mel filters that hear nothing.

    The part behind the front-end is a model of its own, ``recogniser``: SpecAugment comes between the two.
    """
    audio = keras.Input([None], dtype="float32", name="audio")
    samples = keras.Input([], dtype="int32", name="samples")
    mel = mel_of(config)
    mel_filters(mel)  # refuses now what it would only in the first step, when all recordings have been read
    features, frames = Frontend(mel, statistics, name="frontend")(audio, samples)
    logits, steps = _recogniser(config, symbols)([features, frames])
    outputs = {"logits": logits, "steps": steps}
    return keras.Model({"audio": audio, "samples": samples}, outputs, name="speech")


def _recogniser(config: Config, symbols: int) -> keras.Model:
    features = keras.Input([None, config.bands], name="features")
    frames = keras.Input([], dtype="int32", name="frames")
    count = int(config.subsampling).bit_length() - 1  # each stage halves time
    subsample = ConvolutionalSubsampling(
        config.units, filters=(config.filters,) * count, strides=(2,) * count, name="subsampling"
    )
    x, steps = subsample(features, frames)
    x = keras.layers.LayerNormalization(name="norm")(x)
    x = keras.layers.Dropout(config.dropout, seed=config.seed + 1)(x)
    stack = RecurrentStack(
        config.cell,
        config.units,
        config.layers,
        bidirectional=config.bidirectional,
        dropout=config.dropout,
        layer_norm=config.layer_norm,
        seed=config.seed + 2,
        name="recurrent",
    )
    x, _ = stack(x, steps)
    x = keras.layers.Dropout(config.dropout, seed=config.seed + 3)(x)
    logits = keras.layers.Dense(symbols, dtype="float32", name="logits")(x)
    return keras.Model([features, frames], [logits, steps], name="recogniser")


def loss(model: keras.Model, config: Config, x: Mapping[str, Any], y: Mapping[str, Any]) -> Any:
    """CTC loss of each recording, float32 [B]; 0 where the transcript needs more steps than the recording has."""
    features, frames = model.get_layer("frontend")(x["audio"], x["samples"])
    if "seed" in x:
        features = spec_augment(features, frames, x["seed"], augment_of(config))
    logits, steps = model.get_layer("recogniser")([features, frames], training=True)
    return ctc(logits, steps, y["tokens"], y["count"])


def ctc(logits: Any, steps: Any, tokens: Any, count: Any) -> Any:
    """``ctc_loss`` float32 [B], but 0 instead of infinity for a transcript that does not fit into its recording.

    Validation names such a transcript; here it must not stop a training.
    """
    value = ctc_loss(logits, steps, tokens, count)
    return tf.where(tf.math.is_inf(value), 0.0, value)


def best_path(logits: Any, steps: Any) -> dict[str, Any]:
    """The most probable symbol of every step, collapsed: repetitions merged, blanks dropped.

    Args:
        logits: float32 [B, T, V].
        steps: int32 [B].

    Returns:
        ``tokens`` int32 [B, U] padded with 0, their ``count`` [B], the steps ``first`` and ``last`` [B, U] in which
        each symbol was seen, its ``probability`` [B, U] (the largest among these steps), and ``score`` float32 [B],
        the geometric mean over all steps of the best path's probabilities (0 without steps).
    """
    log_probs = tf.nn.log_softmax(logits)
    path = tf.argmax(logits, axis=-1, output_type=tf.int32)
    best = tf.reduce_max(log_probs, axis=-1)
    real = tf.sequence_mask(steps, tf.shape(logits)[1])  # steps may be 0: then nothing is found, and the score is 0
    path = tf.where(real, path, 0)
    before = tf.pad(path, [[0, 0], [1, 0]])[:, :-1]
    begins = (path != before) & (path != 0)
    count = tf.reduce_sum(tf.cast(begins, tf.int32), axis=1)
    longest = tf.maximum(1, tf.reduce_max(count))
    number = tf.where(path != 0, tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1, longest)
    tokens = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(path, begins), count).to_tensor(shape=[None, None])
    tokens = tf.pad(tokens, [[0, 0], [0, longest - tf.shape(tokens)[1]]])
    total = tf.reduce_sum(tf.where(real, best, 0.0), axis=1)
    score = tf.where(steps > 0, tf.exp(total / tf.cast(tf.maximum(steps, 1), tf.float32)), 0.0)
    return gathered_symbols(number, tokens, count, best) | {"score": score}


def gathered_symbols(number: Any, tokens: Any, count: Any, log_probs: Any) -> dict[str, Any]:
    """What the steps of each symbol say about it.

    Args:
        number: int32 [B, T], which symbol of its recording a step belongs to; U for none.
        tokens: int32 [B, U], padded with 0.
        count: int32 [B], symbols of each recording.
        log_probs: float32 [B, T], of each step's symbol.

    Returns:
        ``tokens``, ``count``, and ``first``, ``last``, ``probability`` [B, U], see ``best_path``.
    """
    rows, longest = tf.unstack(tf.shape(tokens))
    segment = tf.reshape(number + tf.range(rows)[:, None] * (longest + 1), [-1])
    place = tf.broadcast_to(tf.range(tf.shape(number)[1]), tf.shape(number))

    def gathered(function: Any, values: Any) -> Any:
        flat = function(tf.reshape(values, [-1]), segment, rows * (longest + 1))
        kept = tf.reshape(flat, [-1, longest + 1])[:, :longest]
        return tf.where(tf.sequence_mask(count, longest), kept, tf.zeros_like(kept))

    sure = gathered(tf.math.unsorted_segment_max, tf.exp(log_probs))
    first, last = (gathered(f, place) for f in (tf.math.unsorted_segment_min, tf.math.unsorted_segment_max))
    return {"tokens": tokens, "count": count, "first": first, "last": last, "probability": sure}
