"""Losses over padded token sequences. PAD is 0; everything is computed in float32."""

from __future__ import annotations

from typing import Any

from keras import ops

PAD = 0


def token_cross_entropy(targets: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of every token, zero where the target is PAD.

    With label smoothing e the target distribution is (1 - e) on the true token and e / V on each of all V
    tokens (Szegedy et al. 2016, arXiv 1512.00567, section 7). Written as the plain cross-entropy plus
    e (logit of the target - mean logit), it needs no matrix of log-probabilities.

    Args:
        targets: int32 [B, U].
        logits: [B, U, V], any float dtype.
        label_smoothing: e, in [0, 1).

    Returns:
        float32 [B, U], in nats.

    Raises:
        ValueError: label_smoothing is outside [0, 1).
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing must be in [0, 1), not {label_smoothing}")
    logits = ops.cast(logits, "float32")
    targets = ops.cast(targets, "int32")
    losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    if label_smoothing:
        chosen = ops.take_along_axis(logits, targets[:, :, None], axis=-1)[:, :, 0]
        losses = losses + label_smoothing * (chosen - ops.mean(logits, axis=-1))
    return ops.where(targets != PAD, losses, 0.0)


def sequence_loss(targets: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of each example, summed over its tokens: [B, U] and [B, U, V] -> float32 [B], in nats."""
    return ops.sum(token_cross_entropy(targets, logits, label_smoothing), axis=1)


def unattended_penalty(attention: Any, targets: Any) -> Any:
    """Mean over the cells of (1 - sum over an answer's tokens of their attention)^2, float32 [B].

    Doubly stochastic attention: Xu et al. 2015 (arXiv 1502.03044), equation 14, with a mean for the sum over cells, so
    that its weight means the same on every grid.

    Args:
        attention: float32 [B, U, S], each token's weights over S cells.
        targets: int32 [B, U]; PAD attends to nothing.
    """
    real = ops.cast(ops.cast(targets, "int32") != PAD, attention.dtype)[:, :, None]
    return ops.mean((1.0 - ops.sum(attention * real, axis=1)) ** 2, axis=1)


def word_detection_loss(cells: Any, captions: Any) -> Any:
    """Cross-entropy of which words the captions of a picture have, told from single cells of its grid, float32 [B].

    Every word is looked for in every cell, and is as likely in the picture as in the cell where it is likeliest:
    learning from bags of instances, as Fang et al. 2015 (arXiv 1411.4952, section 3) detect words, with the maximum for
    their noisy-or. In nats a picture.

    Args:
        cells: logits [B, S, V] of each word in each cell.
        captions: int32 [B, ...], the tokens of all captions of a picture; PAD is no word.
    """
    found = ops.cast(ops.max(cells, axis=1), "float32")  # [B, V]
    tokens = ops.reshape(captions, (ops.shape(found)[0], -1))
    words = ops.max(ops.one_hot(tokens, found.shape[-1], dtype="float32"), axis=1)
    words = words * ops.cast(ops.arange(found.shape[-1]) != PAD, "float32")
    return ops.sum(ops.softplus(found) - words * found, axis=-1)
