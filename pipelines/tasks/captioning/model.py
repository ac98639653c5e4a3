"""The network of captioning: a grid of picture features and an attention decoder."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from models.convolution import ConvolutionalGrid
from models.decoders import AttentionDecoder, Memory
from models.encoders import GridEncoder
from pipelines.tasks.captioning.config import Config


class Parts(NamedTuple):
    """Layers of the network that training and search call.

    ``conv`` is None with a frozen network, ``detector`` without ``word_detection``.
    """

    conv: ConvolutionalGrid | None
    encoder: GridEncoder
    decoder: AttentionDecoder
    detector: keras.layers.Dense | None


def parts(model: keras.Model) -> Parts:
    """Return the layers of a network that ``build`` made."""
    layers = {layer.name: layer for layer in model.layers}
    return Parts(layers.get("conv"), layers["encoder"], layers["decoder"], layers.get("detector"))


def build(config: Config, vocabulary_size: int, grid_shape: list[int] | None) -> keras.Model:
    """Build the network: picture and captions so far -> logits of every next piece and the attention behind them.

    ``picture`` is uint8 [B, Y, X, 3] or features float16 [B, S, D]; ``target`` int32 [B, U] begins with BOS and is
    padded with 0, ``target_lengths`` int32 [B].

    Args:
        config: the settings.
        vocabulary_size: V.
        grid_shape: [S, D] of a frozen network's features; None where the grid is trained with the decoder.
    """
    if grid_shape is None:
        picture = keras.Input([config.picture_size, config.picture_size, 3], dtype="uint8", name="picture")
        grid = ConvolutionalGrid(name="conv")(picture)
    else:
        grid = picture = keras.Input(grid_shape, dtype="float16", name="picture")
    cells, lengths = GridEncoder(config.grid_units, dropout=config.dropout, seed=config.seed + 1, name="encoder")(grid)
    decoder = _decoder(config, vocabulary_size)
    target = keras.Input([None], dtype="int32", name="target")
    target_lengths = keras.Input([], dtype="int32", name="target_lengths")
    logits, attention = decoder(target, target_lengths, cells, lengths)
    inputs = {"picture": picture, "target": target, "target_lengths": target_lengths}
    outputs = {"logits": logits, "attention": attention}
    if config.word_detection:
        seldom = keras.initializers.Constant(-4.0)  # in most cells, most words are not
        outputs["words"] = keras.layers.Dense(vocabulary_size, bias_initializer=seldom, name="detector")(cells)
    return keras.Model(inputs, outputs, name="captioning")


def _decoder(config: Config, vocabulary_size: int) -> AttentionDecoder:
    return AttentionDecoder(
        vocabulary_size,
        config.embedding_size,
        config.units,
        cell=config.cell,
        layers=config.layers,
        attention=config.attention,
        tied=config.tied,
        context_gate=config.context_gate,
        context_recurrence=config.context_recurrence,
        dropout=config.dropout,
        seed=config.seed + 2,
        name="decoder",
    )


def see(model: keras.Model, picture: Any, training: bool) -> Memory:
    """Return the cells of a picture: states [B, S, D] and lengths int32 [B], all S."""
    layers = parts(model)
    grid = layers.conv(picture) if layers.conv else tf.cast(picture, tf.float32)
    return Memory(*layers.encoder(grid, training=training))
