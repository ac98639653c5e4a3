"""Encoders: text or a grid of picture features becomes states to attend to."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from models.ops import zero_padding
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
        cell: "lstm", "gru", "simple", "mingru", "minlstm" or "rglru".
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
            keys = ops.concatenate([keys, zero_padding(embedded, lengths)], axis=-1)
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
