"""The network of speech recognition: front-end -> subsampling -> recurrent stack -> symbols, and its loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from models.convolution import ConvolutionalSubsampling
from models.ctc import ctc_loss
from models.recurrent import RecurrentStack
from pipelines.data.audio.augment import spec_augment
from pipelines.data.audio.features import Mel, log_mel, mel_filters, normalise_statistics, normalise_utterance
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.features import Statistics, augment_of, mel_of


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
        features = keras.KerasTensor((audio.shape[0], None, self.mel.mel_bins), dtype="float32")
        return features, keras.KerasTensor(samples.shape, dtype="int32")


class Parts(NamedTuple):
    """Layers of the network: features of the sound, and what recognises symbols in them.

    ``frontend`` maps audio float32 [B, N] and samples int32 [B] to features [B, T, bands] and frames int32 [B];
    ``recogniser`` maps those to logits float32 [B, T', V] and steps int32 [B]. SpecAugment comes between the two.
    """

    frontend: Frontend
    recogniser: keras.Model


def parts(model: keras.Model) -> Parts:
    """Return the layers of a network that ``build`` made."""
    return Parts(model.get_layer("frontend"), model.get_layer("recogniser"))


def build(config: Config, symbols: int, statistics: Statistics | None) -> keras.Model:
    """Build the network: audio float32 [B, N], samples int32 [B] -> logits float32 [B, T, V], steps int32 [B].

    Raises:
        ValueError: the settings ask for mel filters that hear nothing.
    """
    audio = keras.Input([None], dtype="float32", name="audio")
    samples = keras.Input([], dtype="int32", name="samples")
    mel = mel_of(config)
    mel_filters(mel)  # wrong settings fail here, not in the first step after all recordings were read
    features, frames = Frontend(mel, statistics, name="frontend")(audio, samples)
    logits, steps = _recogniser(config, symbols)([features, frames])
    outputs = {"logits": logits, "steps": steps}
    return keras.Model({"audio": audio, "samples": samples}, outputs, name="speech")


def _recogniser(config: Config, symbols: int) -> keras.Model:
    features = keras.Input([None, config.mel_bins], name="features")
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
    layers = parts(model)
    features, frames = layers.frontend(x["audio"], x["samples"])
    if "seed" in x:
        features = spec_augment(features, frames, x["seed"], augment_of(config))
    logits, steps = layers.recogniser([features, frames], training=True)
    return ctc(logits, steps, y["tokens"], y["count"])


def ctc(logits: Any, steps: Any, tokens: Any, count: Any) -> Any:
    """``ctc_loss`` float32 [B], but 0 instead of infinity for a transcript that does not fit into its recording.

    Validation names such a transcript; here it must not stop a training.
    """
    value = ctc_loss(logits, steps, tokens, count)
    return tf.where(tf.math.is_inf(value), 0.0, value)
