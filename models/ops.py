"""Masks from lengths, and a fast top-k."""

from typing import Any

from keras import ops


def no_mask(layer: Any, *args: Any, **kwargs: Any) -> None:
    """`compute_mask` of layers that take lengths: no Keras mask is passed on."""


def mask_from_lengths(lengths: Any, time: Any) -> Any:
    """Mask of the real steps of right-padded sequences.

    Args:
        lengths: integers [B], real steps of each row; values above ``time`` count as ``time``.
        time: T, the padded length; an integer or an integer scalar tensor.

    Returns:
        Booleans [B, T], true where ``t < lengths[b]``.
    """
    lengths = ops.cast(lengths, "int32")
    return ops.arange(time, dtype="int32")[None, :] < lengths[:, None]


FROM = 1024  # values a row; fewer are found as fast in one search


def top_k(values: Any, k: int) -> tuple[Any, Any]:
    """Return the k largest values of each row, [N, V] -> [N, k] and their int32 indices, in the order of `ops.top_k`.

    V must be known. Only groups whose maximum is among the k largest maxima can hold one of the k largest values, so
    two short searches suffice: six times as fast for five of 8,000 values.
    """
    size = values.shape[-1]
    group = _group(size, k) if size >= FROM else 0
    if not group:
        found, places = ops.top_k(values, k)
        return found, ops.cast(places, "int32")
    parts = ops.reshape(values, (-1, size // group, group))
    groups = ops.top_k(ops.max(parts, axis=-1), k)[1]
    groups = ops.cast(ops.sort(groups, axis=-1), "int32")  # in their order, so that the first of equal values wins
    rows = ops.arange(ops.shape(values)[0], dtype="int32")[:, None]
    chosen = ops.take(ops.reshape(parts, (-1, group)), rows * (size // group) + groups, axis=0)
    found, places = ops.top_k(ops.reshape(chosen, (-1, k * group)), k)
    places = ops.cast(places, "int32")
    which = ops.take(ops.reshape(groups, (-1,)), rows * k + places // group, axis=0)
    return found, which * group + places % group


def _group(size: int, k: int) -> int:
    """Choose the divisor of ``size`` that leaves the fewest values to search; 0 if nothing is gained."""
    divisors = [d for d in range(2, size) if size % d == 0 and size // d >= k]
    best = min(divisors, key=lambda d: size // d + k * d, default=0)
    return best if best and 4 * (size // best + k * best) <= size else 0


def zero_padding(x: Any, lengths: Any) -> Any:
    """Zero the steps of x [B, T, ...] beyond the lengths int32 [B]."""
    mask = mask_from_lengths(lengths, ops.shape(x)[1])
    shape = (*ops.shape(mask), *(1,) * (len(x.shape) - 2))
    return ops.where(ops.reshape(mask, shape), x, ops.zeros_like(x))
