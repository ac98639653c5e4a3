"""Connectionist temporal classification with exact lengths (Graves et al. 2006). The blank is class 0.

``keras.losses.CTC`` scores padding frames and returns finite values for impossible labels; these functions take both
lengths and return ``inf`` where no alignment exists.
"""

from typing import Any

import keras
from keras import ops

if keras.config.backend() == "tensorflow":
    from models import ctc_kernel as kernels_ctc

BLANK = 0


def frames_needed(labels: Any, label_lengths: Any) -> Any:
    """Count the frames of the shortest alignment of labels [B, U] with lengths [B], both integers: int32 [B].

    That is one frame per symbol, and a blank between equal neighbours.
    """
    later = labels[:, 1:]
    inside = ops.arange(ops.shape(later)[1], dtype="int32")[None, :] + 1 < label_lengths[:, None]
    repeats = ops.logical_and(later == labels[:, :-1], inside)
    return ops.cast(label_lengths, "int32") + ops.sum(ops.cast(repeats, "int32"), axis=1)


def ctc_loss(logits: Any, lengths: Any, labels: Any, label_lengths: Any) -> Any:
    """Negative log-likelihood of each label sequence, summed over its alignments (eq. 3 and 5 of the paper).

    Padding is ignored. The gradient of a row with an impossible label is zero.

    Args:
        logits: [B, T, V], before any softmax; computed in float32.
        lengths: integers [B], real frames of each row, at most T.
        labels: integers [B, U], symbols 1 to V - 1, right-padded with any value.
        label_lengths: integers [B], real symbols of each row; an empty label has one alignment, all blanks.

    Returns:
        float32 [B], in nats; inf where the label needs more frames than the row has.

    Raises:
        ValueError: the ranks are wrong, or V < 2.
        tf.errors.InvalidArgumentError: a symbol is outside the alphabet (TensorFlow, when the graph runs).
    """
    if len(logits.shape) != 3 or len(labels.shape) != 2 or (logits.shape[-1] or 0) < 2:
        raise ValueError(
            "expected logits [B, T, V] with V >= 2 and labels [B, U], "
            f"got logits {tuple(logits.shape)} and labels {tuple(labels.shape)}"
        )
    logits = ops.cast(logits, "float32")
    lengths, labels, label_lengths = (ops.cast(a, "int32") for a in (lengths, labels, label_lengths))
    possible, empty = frames_needed(labels, label_lengths) <= lengths, label_lengths == 0
    if keras.config.backend() == "tensorflow":
        value = kernels_ctc.loss(logits, lengths, labels, label_lengths)
    else:
        value = ops.ctc_loss(labels, logits, label_lengths, lengths, mask_index=BLANK)
    value = ops.where(ops.logical_and(possible, ops.logical_not(empty)), value, 0.0)
    value = ops.where(empty, _all_blank(logits, lengths), value)
    return ops.where(possible, value, float("inf"))


def _all_blank(logits: Any, lengths: Any) -> Any:
    """Negative log-probability that every real frame is blank, [B]."""
    blank = ops.logsumexp(logits, axis=-1) - logits[:, :, BLANK]
    real = ops.arange(ops.shape(logits)[1], dtype="int32")[None, :] < lengths[:, None]
    return ops.sum(ops.where(real, blank, 0.0), axis=1)


def beam_decode(logits: Any, lengths: Any, width: int = 16, paths: int = 1) -> tuple[Any, Any, Any]:
    """Prefix beam search, summed over alignments (Hannun et al. 2014 without a language model).

    Args:
        logits: [B, T, V].
        lengths: integers [B], real frames of each row.
        width: beam width.
        paths: K, number of answers, at most ``width``.

    Returns:
        tokens int32 [B, K, U], best first, padded with 0; their number int32 [B, K]; log-probabilities float32 [B, K].

    Raises:
        ValueError: ``paths`` exceeds ``width``, or the backend is not TensorFlow.
    """
    if not 1 <= paths <= width:
        raise ValueError(f"expected 1 <= paths <= width, got paths={paths}, width={width}")
    if keras.config.backend() != "tensorflow":
        raise ValueError(f"beam_decode needs the tensorflow backend, this is {keras.config.backend()}")
    return kernels_ctc.beam(logits, ops.cast(lengths, "int32"), width, paths)
