"""Masks from lengths: the only way a mask comes to be in this project."""

from __future__ import annotations

from typing import Any

from keras import ops


def mask_from_lengths(lengths: Any, time: Any) -> Any:
    """Tell real steps from padding.

    Args:
        lengths: int32 [B], the number of real steps of each row.
        time: the padded length T, a Python int or an int32 scalar tensor.

    Returns:
        bool [B, T], true at steps 0 .. length - 1 (right padding).
    """
    steps = ops.arange(time, dtype="int32")
    return steps[None, :] < ops.cast(lengths, "int32")[:, None]
