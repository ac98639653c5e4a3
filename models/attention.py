"""Attention over a padded sequence, and pooling to a single vector.

Every layer takes the lengths and returns `(context, weights)`. Weights are exactly zero on padding and sum to one over
the real steps; a row of length 0 has zero weights and a zero context.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from models.ops import mask_from_lengths, no_mask

PoolingKind = Literal["attention", "max", "mean", "last"]
MultiplicativeKind = Literal["general", "scaled_dot"]
TIE = 1e-4
"""Soft tie-breaking tolerance of max pooling: a hard argmax would change with the rounding of equal states."""
POOLING_KINDS = ("attention", "max", "mean", "last")
MULTIPLICATIVE_KINDS = ("general", "scaled_dot")


def masked_softmax(scores: Any, mask: Any) -> Any:
    """Softmax over the last axis of scores [..., T], restricted to true positions of a broadcastable bool mask.

    Computed in float32. The result, float32 [..., T], is exactly 0 where the mask is false, also in rows without a true
    position.
    """
    scores = ops.where(mask, ops.cast(scores, "float32"), -1e30)
    peak = ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True))
    shares = ops.where(mask, ops.exp(scores - peak), 0.0)
    return shares / ops.maximum(ops.sum(shares, axis=-1, keepdims=True), 1e-30)


def _require(value: str, allowed: tuple[str, ...], name: str) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


@keras.saving.register_keras_serializable("recurrent_pipelines")
class AdditiveAttention(keras.layers.Layer):
    """Bahdanau's attention, score = v . tanh(W q + U k + b).

    Source: Bahdanau, Cho, Bengio 2015 (arXiv 1409.0473), appendix A.1.2. `project` computes U k once, because it does
    not depend on the query of a decoding step.
    """

    compute_mask = no_mask

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.supports_masking = True

    def build(self, query_shape: Any, keys_shape: Any) -> None:
        """Create query_kernel [H, A], key_kernel [D, A], bias [A] and score [A, 1] (A: the layer's units)."""
        self.query_kernel = self.add_weight(shape=(query_shape[-1], self.units), name="query_kernel")
        self.key_kernel = self.add_weight(shape=(keys_shape[-1], self.units), name="key_kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        # A column instead of a vector, for the fan-out of Glorot initialisation.
        self.score = self.add_weight(shape=(self.units, 1), name="score")

    def project(self, keys: Any) -> Any:
        """The query-independent part of the score, U k + b: [B, T, D] -> [B, T, A]; for a built layer."""
        return ops.matmul(keys, self.key_kernel) + self.bias

    def call(self, query: Any, keys: Any, lengths: Any, projected: Any = None) -> tuple[Any, Any]:
        """Attend with one query per row, or a sequence of queries.

        Args:
            query: [B, H] or [B, U, H].
            keys: [B, T, D], also the values.
            lengths: int32 [B], real steps of the keys.
            projected: `project(keys)`, [B, T, A]; computed when omitted.

        Returns:
            context [B, D] or [B, U, D]; weights float32 [B, T] or [B, U, T].
        """
        single = len(query.shape) == 2
        queries = ops.matmul(ops.expand_dims(query, 1) if single else query, self.query_kernel)
        projected = self.project(keys) if projected is None else projected
        hidden = ops.tanh(ops.expand_dims(queries, 2) + ops.expand_dims(projected, 1))  # [B, U, T, A]
        return _attend(ops.matmul(hidden, self.score)[..., 0], keys, lengths, single)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("recurrent_pipelines")
class MultiplicativeAttention(keras.layers.Layer):
    """Luong's attention: `general`, score = q . W k, or `scaled_dot`, score = q . k / sqrt(H).

    Sources: Luong, Pham, Manning 2015 (D15-1166), equation 8 (general); Vaswani et al. 2017
    (arXiv 1706.03762), equation 1 (scaled dot, which needs query and keys of equal width).
    """

    compute_mask = no_mask

    def __init__(self, kind: MultiplicativeKind = "general", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _require(kind, MULTIPLICATIVE_KINDS, "kind of multiplicative attention")
        self.kind = kind
        self.supports_masking = True

    def build(self, query_shape: Any, keys_shape: Any) -> None:
        """Create kernel [H, D] for `general`; check the widths for `scaled_dot` (ValueError)."""
        if self.kind == "general":
            self.kernel = self.add_weight(shape=(query_shape[-1], keys_shape[-1]), name="kernel")
        elif query_shape[-1] != keys_shape[-1]:
            raise ValueError(
                f"scaled_dot attention needs query and keys of equal width, got {query_shape[-1]} "
                f"and {keys_shape[-1]}; use kind='general'"
            )

    def project(self, keys: Any) -> Any:
        """The query-independent part of the score: here the keys, [B, T, D] -> [B, T, D]."""
        return keys

    def call(self, query: Any, keys: Any, lengths: Any, projected: Any = None) -> tuple[Any, Any]:
        """Attend as `AdditiveAttention.call`; ``projected`` is ignored.

        Returns context [B, D] or [B, U, D], and weights float32 [B, T] or [B, U, T].
        """
        single = len(query.shape) == 2
        queries = ops.expand_dims(query, 1) if single else query
        general = self.kind == "general"
        queries = ops.matmul(queries, self.kernel) if general else queries * query.shape[-1] ** -0.5
        return _attend(ops.matmul(queries, ops.transpose(keys, (0, 2, 1))), keys, lengths, single)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "kind": self.kind}


def _attend(scores: Any, keys: Any, lengths: Any, single: bool) -> tuple[Any, Any]:
    """Normalise scores [B, U, T] over the real steps and average the keys [B, T, D]; drop U when `single`."""
    mask = mask_from_lengths(lengths, ops.shape(keys)[1])
    weights = masked_softmax(scores, mask[:, None, :])
    context = ops.matmul(ops.cast(weights, keys.dtype), keys)
    return (context[:, 0], weights[:, 0]) if single else (context, weights)


@keras.saving.register_keras_serializable("recurrent_pipelines")
class Pooling(keras.layers.Layer):
    """Pooling of a padded sequence to one vector, with the weight of each step.

    | kind      | context                              | weights                                           |
    |-----------|--------------------------------------|---------------------------------------------------|
    | attention | sum of w_t x_t                       | softmax of v . tanh(W x_t + b)                    |
    | max       | maximum of each unit over the steps  | share of units whose maximum is at that step      |
    | mean      | mean over the steps                  | 1 / length                                        |
    | last      | the last real step                   | one-hot                                           |

    Source of `attention`: Yang et al. 2016 (N16-1174), equations 5 to 7. For `max`, a unit within TIE of its maximum at
    several steps is shared between them in proportion to 1 - gap / TIE, so weights depend continuously on the states.
    """

    compute_mask = no_mask

    def __init__(self, kind: PoolingKind = "attention", units: int | None = None, **kwargs: Any) -> None:
        """`units` is the hidden width of `attention`; by default the width of the input."""
        super().__init__(**kwargs)
        _require(kind, POOLING_KINDS, "kind of pooling")
        self.kind = kind
        self.units = units
        self.supports_masking = True

    def build(self, sequence_shape: Any) -> None:
        """Create kernel [H, A], bias [A] and score [A, 1] for `attention`; nothing for the others."""
        if self.kind != "attention":
            return
        units = self.units or sequence_shape[-1]
        self.kernel = self.add_weight(shape=(sequence_shape[-1], units), name="kernel")
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self.score = self.add_weight(shape=(units, 1), name="score")

    def call(self, sequence: Any, lengths: Any) -> tuple[Any, Any]:
        """Pool the real steps of sequence [B, T, H] with lengths int32 [B] (values above T count as T).

        Returns context [B, H] in the input's dtype, and weights float32 [B, T].
        """
        mask = mask_from_lengths(lengths, ops.shape(sequence)[1])
        if self.kind == "max":
            return _max_pool(sequence, mask)
        if self.kind == "attention":
            hidden = ops.tanh(ops.matmul(sequence, self.kernel) + self.bias)
            weights = masked_softmax(ops.matmul(hidden, self.score)[..., 0], mask)
        elif self.kind == "mean":
            weights = masked_softmax(ops.zeros_like(mask, dtype="float32"), mask)
        else:
            steps = ops.shape(sequence)[1]
            weights = ops.one_hot(ops.minimum(ops.cast(lengths, "int32"), steps) - 1, steps, dtype="float32")
        context = ops.matmul(weights[:, None, :], ops.cast(sequence, "float32"))[:, 0]
        return ops.cast(context, sequence.dtype), weights

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "kind": self.kind, "units": self.units}


def _max_pool(sequence: Any, mask: Any) -> tuple[Any, Any]:
    """Maximum over the real steps: [B, T, H] and bool [B, T] -> context [B, H], weights float32 [B, T]."""
    inside = mask[:, :, None]
    floor = ops.where(inside, sequence, ops.cast(-float("inf"), sequence.dtype))
    peak = ops.max(floor, axis=1, keepdims=True)
    gap = ops.cast(ops.where(inside, peak - sequence, ops.zeros_like(sequence)), "float32")
    hits = ops.where(inside, ops.relu(1.0 - gap / TIE), 0.0)
    weights = ops.mean(hits / ops.maximum(ops.sum(hits, axis=1, keepdims=True), 1.0), axis=-1)
    any_step = ops.any(mask, axis=1)[:, None]
    return ops.where(any_step, peak[:, 0], ops.zeros_like(peak[:, 0])), weights
