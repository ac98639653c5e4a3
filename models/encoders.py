"""Encoders: text, a grid of picture features, and speech frames become states to attend to."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from models.masks import mask_from_lengths
from models.recurrent import RecurrentStack


def token_embedding(vocabulary_size: int, size: int, seed: int | None = None, **kwargs: Any) -> Any:
    """An Embedding layer [V, E] whose rows have norm 1 in the mean.

    Keras's own range of 0.05 starts a translation on a plateau that training hardly leaves: with tied output the
    logits, and the differences between words that attention needs, are a hundred times too small.

    Args:
        vocabulary_size: V.
        size: E.
        seed: of the initial values; None draws one from Keras.
        **kwargs: name, dtype and so on, for the layer.
    """
    start = keras.initializers.RandomNormal(stddev=size**-0.5, seed=seed)
    return keras.layers.Embedding(vocabulary_size, size, embeddings_initializer=start, **kwargs)


@keras.saving.register_keras_serializable("recurrent_pipelines")
class TextEncoder(keras.layers.Layer):
    """Tokens -> embedding -> dropout -> recurrent stack -> dropout.

    Args:
        vocabulary_size: V.
        embedding_size: E.
        units: H, the width of each layer and direction.
        cell: "lstm", "gru" or "simple".
        layers: recurrent layers.
        bidirectional: read in both directions.
        dropout: probability of dropping a unit of the embedding, between layers, and of the outputs.
        residual: add each layer's input to its output where widths agree.
        words: the states end with the embeddings they come from, for a decoder's ``lexical`` part.
        seed: of initial weights of the recurrent layers and of dropout; None draws one from Keras.
        embedding: an Embedding layer [V, E] to share; an own one when None. Not part of the configuration.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        units: int,
        *,
        cell: str = "gru",
        layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        residual: bool = False,
        words: bool = False,
        seed: int | None = None,
        embedding: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.vocabulary_size, self.embedding_size = vocabulary_size, embedding_size
        self.dropout, self.seed, self.words = dropout, seed, words
        self.embedding = embedding or token_embedding(vocabulary_size, embedding_size, seed, dtype=policy)
        self.stack = RecurrentStack(
            cell,
            units,
            layers,
            bidirectional=bidirectional,
            dropout=dropout,
            residual=residual,
            seed=seed,
            dtype=policy,
        )
        self.drop = keras.layers.Dropout(dropout, seed=seed, dtype=policy)

    def build(self, tokens_shape: Any, lengths_shape: Any) -> None:
        """Create the weights for tokens [B, S]."""
        if not self.embedding.built:
            self.embedding.build(tokens_shape)
        self.stack.build((*tokens_shape, self.embedding_size))

    def call(self, tokens: Any, lengths: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Read whole sentences.

        Args:
            tokens: int32 [B, S], right-padded with 0.
            lengths: int32 [B].
            training: apply dropout.

        Returns:
            states [B, S, D] of the top layer, zero on padding, D = 2H with both directions and H with one, and E more
            with ``words``; and the summary [B, 2H or H], what each direction of the top layer ended with.
        """
        embedded = self.drop(self.embedding(tokens), training=training)
        outputs, states = self.stack(embedded, lengths, training=training)
        top = states[-1]
        ends = top[:: len(top) // 2] if self.stack.bidirectional else top[:1]  # h of each direction, without c
        keys = self.drop(outputs, training=training)
        if self.words:
            keys = ops.concatenate([keys, _zero_padding(embedded, lengths)], axis=-1)
        return keys, ops.concatenate(ends, axis=-1)

    def compute_mask(self, *args: Any, **kwargs: Any) -> None:
        """No Keras mask leaves this layer: lengths do that work."""

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, without a shared embedding."""
        own = {
            "vocabulary_size": self.vocabulary_size,
            "embedding_size": self.embedding_size,
            "units": self.stack.units,
            "cell": self.stack.cell,
            "layers": self.stack.depth,
            "bidirectional": self.stack.bidirectional,
            "dropout": self.dropout,
            "residual": self.stack.residual,
            "words": self.words,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("recurrent_pipelines")
class GridEncoder(keras.layers.Layer):
    """A picture's feature grid -> normalised, projected cells to attend to, row by row.

    Args:
        units: D, the width of a projected cell.
        dropout: probability of dropping a unit of a projected cell.
        seed: of dropout; None draws one from Keras.
    """

    def __init__(self, units: int, *, dropout: float = 0.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.dropout, self.seed = units, dropout, seed
        self.norm = keras.layers.LayerNormalization(dtype=self.dtype_policy)
        self.project = keras.layers.Dense(units, "relu", dtype=self.dtype_policy)
        self.drop = keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy)

    def build(self, grid_shape: Any) -> None:
        """Create the weights for cells of C channels; ``grid_shape`` is that of [B, R, C] or [B, Y, X, C]."""
        self.norm.build(grid_shape)
        self.project.build(grid_shape)

    def call(self, grid: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Project every cell.

        Args:
            grid: [B, Y, X, C], rows Y from the top and columns X from the left, or flat already, [B, R, C].
            training: apply dropout.

        Returns:
            keys [B, R, D] with R = Y X in row order; lengths int32 [B], all R.
        """
        cells = ops.reshape(grid, (ops.shape(grid)[0], -1, grid.shape[-1]))
        keys = self.drop(self.project(self.norm(cells)), training=training)
        return keys, ops.zeros_like(cells[:, 0, 0], dtype="int32") + ops.shape(cells)[1]

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "units": self.units, "dropout": self.dropout, "seed": self.seed}


@keras.saving.register_keras_serializable("recurrent_pipelines")
class ConvolutionalSubsampling(keras.layers.Layer):
    """Speech frames -> fewer, wider frames: convolutions over time and frequency with exact lengths.

    Each stage is a convolution with a square kernel, then ReLU, that shortens time by its stride and frequency
    by 2; at the end the channels of all frequencies of a frame are projected together. The zero padding is
    written out, (k - 1) / 2 on each side, because "same" in Keras depends on the padded length: a recording
    would change with its batch. For the same reason padding is zeroed before every stage.

    Args:
        units: D, the width of the output.
        filters: channels of each stage.
        strides: shortening of time by each stage, one number a stage.
        kernel_size: side of the kernels, odd.

    Raises:
        ValueError: filters and strides of different number, or an even kernel.
    """

    def __init__(
        self,
        units: int,
        *,
        filters: tuple[int, ...] = (32, 32),
        strides: tuple[int, ...] = (2, 2),
        kernel_size: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(filters) != len(strides) or kernel_size % 2 == 0:
            raise ValueError(
                f"expected as many strides as filters and an odd kernel, got filters={tuple(filters)}, "
                f"strides={tuple(strides)}, kernel_size={kernel_size}"
            )
        self.units, self.filters, self.strides = units, tuple(filters), tuple(strides)
        self.kernel_size = kernel_size
        self.stages = [
            keras.layers.Conv2D(count, kernel_size, strides=(stride, 2), activation="relu", dtype=self.dtype_policy)
            for count, stride in zip(filters, strides, strict=True)
        ]
        self.project = keras.layers.Dense(units, dtype=self.dtype_policy)

    def build(self, frames_shape: Any, lengths_shape: Any) -> None:
        """Create the weights for frames [B, T, F]."""
        bands, channels = frames_shape[-1], 1
        for stage in self.stages:
            stage.build((None, None, bands + self.kernel_size - 1, channels))
            bands, channels = (bands + 1) // 2, stage.filters
        self.project.build((None, None, bands * channels))

    def call(self, frames: Any, lengths: Any) -> tuple[Any, Any]:
        """Shorten.

        Args:
            frames: [B, T, F], e.g. log-mel energies.
            lengths: int32 [B].

        Returns:
            frames [B, T', D], zero on padding; lengths int32 [B].
        """
        side = (self.kernel_size - 1) // 2
        x = ops.expand_dims(frames, -1)
        for stage, stride in zip(self.stages, self.strides, strict=True):
            x = stage(ops.pad(_zero_padding(x, lengths), [[0, 0], [side, side], [side, side], [0, 0]]))
            lengths = (lengths + stride - 1) // stride
        x = ops.reshape(x, (ops.shape(x)[0], -1, x.shape[2] * x.shape[3]))
        return _zero_padding(self.project(x), lengths), lengths

    def compute_mask(self, *args: Any, **kwargs: Any) -> None:
        """No Keras mask leaves this layer: lengths do that work."""

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        own = {
            "units": self.units,
            "filters": self.filters,
            "strides": self.strides,
            "kernel_size": self.kernel_size,
        }
        return {**super().get_config(), **own}


def _zero_padding(x: Any, lengths: Any) -> Any:
    """Set everything past the lengths int32 [B] to zero in x [B, T, ...]."""
    mask = mask_from_lengths(lengths, ops.shape(x)[1])
    shape = (*ops.shape(mask), *(1,) * (len(x.shape) - 2))
    return ops.where(ops.reshape(mask, shape), x, ops.zeros_like(x))
