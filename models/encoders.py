"""Encoders of token sequences and image feature grids."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from models.ops import no_mask, zero_padding
from models.recurrent import RecurrentStack


def token_embedding(vocabulary_size: int, size: int, seed: int | None = None, **kwargs: Any) -> Any:
    """An Embedding layer [V, E] whose rows have mean norm 1; ``kwargs`` are further arguments of the layer.

    With Keras's default range of 0.05, training of a tied translation model stalls: logits, and the differences between
    words that attention needs, are a hundred times too small. Without a ``seed``, Keras's global seed is used.
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
        cell: "lstm", "gru", "simple", "mingru", "minlstm" or "rglru".
        layers: number of recurrent layers.
        bidirectional: read in both directions.
        dropout: dropout rate of embeddings, between layers, and of the outputs.
        residual: add each layer's input to its output where widths agree.
        seed: of initial recurrent weights and dropout; None uses Keras's global seed.
        embedding: a shared Embedding layer [V, E], not part of the configuration; None creates one.
    """

    compute_mask = no_mask

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
        seed: int | None = None,
        embedding: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.vocabulary_size, self.embedding_size = vocabulary_size, embedding_size
        self.dropout, self.seed = dropout, seed
        self.embedding = embedding or token_embedding(vocabulary_size, embedding_size, seed, dtype=policy)
        options: dict[str, Any] = {
            "bidirectional": bidirectional,
            "dropout": dropout,
            "residual": residual,
            "seed": seed,
        }
        self.stack = RecurrentStack(cell, units, layers, dtype=policy, **options)
        self.drop = keras.layers.Dropout(dropout, seed=seed, dtype=policy)

    def build(self, tokens_shape: Any, lengths_shape: Any) -> None:
        """Create the weights for tokens [B, S]."""
        if not self.embedding.built:
            self.embedding.build(tokens_shape)
        self.stack.build((*tokens_shape, self.embedding_size))

    def call(self, tokens: Any, lengths: Any, training: bool | None = None) -> tuple[Any, Any, Any]:
        """Encode token sequences.

        Args:
            tokens: int32 [B, S], right-padded with 0.
            lengths: int32 [B].
            training: apply dropout.

        Returns:
            states [B, S, D] of the top layer, zero on padding, D = 2H if bidirectional, else H; the summary [B, D], the
            final states of the top layer; and the embedded tokens [B, S, E], zero on padding, for a lexical model.
        """
        embedded = self.drop(self.embedding(tokens), training=training)
        outputs, last = self.stack(embedded, lengths, training=training)
        top = last[-1]
        ends = top[:: len(top) // 2] if self.stack.bidirectional else top[:1]  # h of each direction, without c
        states = self.drop(outputs, training=training)
        return states, ops.concatenate(ends, axis=-1), zero_padding(embedded, lengths)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, without a shared embedding."""
        own = {name: getattr(self, name) for name in ("vocabulary_size", "embedding_size", "dropout", "seed")}
        stack = {name: getattr(self.stack, name) for name in ("units", "cell", "bidirectional", "residual")}
        return {**super().get_config(), **own, **stack, "layers": self.stack.depth}


@keras.saving.register_keras_serializable("recurrent_pipelines")
class GridEncoder(keras.layers.Layer):
    """Image feature grid -> normalised, projected cells in row order.

    Args:
        units: D, the width of a projected cell.
        dropout, seed: dropout of the projected cells; without a seed, Keras's global seed is used.
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
        """Project every cell of grid [B, Y, X, C], rows from the top, or flattened [B, R, C]; ``training`` applies
        dropout.

        Returns keys [B, R, D] with R = Y X in row order, and lengths int32 [B], all R.
        """
        cells = ops.reshape(grid, (ops.shape(grid)[0], -1, grid.shape[-1]))
        keys = self.drop(self.project(self.norm(cells)), training=training)
        return keys, ops.zeros_like(cells[:, 0, 0], dtype="int32") + ops.shape(cells)[1]

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "units": self.units, "dropout": self.dropout, "seed": self.seed}
