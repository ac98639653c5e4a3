"""Masks from lengths. Nothing in this project infers a length from padding values."""

from typing import Any

from keras import ops


def mask_from_lengths(lengths: Any, time: Any) -> Any:
    """Mark the real steps of right-padded sequences.

    Args:
        lengths: integers [B], the number of real steps of each row; values above ``time`` count as ``time``.
        time: T, the padded number of steps; an integer or an integer scalar tensor.

    Returns:
        Booleans [B, T], true at step t of row b where ``t < lengths[b]``.
    """
    lengths = ops.cast(lengths, "int32")
    return ops.arange(time, dtype="int32")[None, :] < lengths[:, None]
