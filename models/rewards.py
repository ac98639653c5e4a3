"""How good a drawn answer is, in graph: the reward of training on whole answers."""

from __future__ import annotations

from typing import Any

from keras import ops

PAD = 0
ORDERS = 4


def sentence_bleu(answers: Any, references: Any) -> Any:
    """BLEU-4 of every answer against all references of its example, on tokens.

    Precisions of more than one token are smoothed by one, (matches + 1) / (n-grams + 1) (Lin and Och 2004,
    C04-1072, section 4), since a short answer without a common run of four would otherwise be worth nothing. An
    n-gram counts at most as often as in the reference that holds it most often, and an answer shorter than the
    nearest reference is punished (Papineni et al. 2002, P02-1040). An answer without a token is worth 0.

    Args:
        answers: int32 [B, K, U], right-padded with 0.
        references: int32 [B, R, W], right-padded with 0; a reference without a token is none.

    Returns:
        float32 [B, K], in [0, 1].
    """
    room = [[0, 0], [0, 0], [0, ORDERS - 1]]  # so that the shortest rows have places for runs of every order
    answers, references = (ops.pad(ops.cast(x, "int32"), room) for x in (answers, references))
    length = ops.sum(ops.cast(answers != PAD, "float32"), axis=-1)  # [B, K]
    total = ops.zeros_like(length)
    common = answers[:, :, None, :, None] == references[:, None, :, None, :]  # [B, K, R, U, W]
    common = ops.logical_and(common, references[:, None, :, None, :] != PAD)
    own = answers[:, :, :, None] == answers[:, :, None, :]  # [B, K, U, U]
    runs, selves = common, own
    for order in range(1, ORDERS + 1):
        if order > 1:
            runs = ops.logical_and(runs[..., :-1, :-1], common[..., order - 1 :, order - 1 :])
            selves = ops.logical_and(selves[..., :-1, :-1], own[..., order - 1 :, order - 1 :])
        matches, grams = _matches(runs, selves, answers[..., order - 1 :] != PAD)
        smoothing = float(order > 1)
        share = (matches + smoothing) / ops.maximum(grams + smoothing, 1.0)
        total = total + ops.log(ops.maximum(share, 1e-9)) / ORDERS
    return ops.where(length > 0, ops.exp(total + _brevity(length, references)), 0.0)


def _matches(runs: Any, selves: Any, real: Any) -> tuple[Any, Any]:
    """Clipped matches and number of n-grams, float32 [B, K] each.

    An n-gram matches unless so many equal ones come before it that the references have no more.

    Args:
        runs: bool [B, K, R, U', W'], n-grams of the answer that equal n-grams of a reference.
        selves: bool [B, K, U', U'], n-grams of the answer that equal each other.
        real: bool [B, K, U'], n-grams that end before the padding.
    """
    steps = ops.arange(ops.shape(selves)[-1])
    earlier = ops.logical_and(selves, steps[None, :] < steps[:, None])
    before = ops.sum(ops.cast(earlier, "int32"), axis=-1)
    most = ops.max(ops.sum(ops.cast(runs, "int32"), axis=-1), axis=2)
    matched = ops.logical_and(real, before < most)
    return tuple(ops.sum(ops.cast(x, "float32"), axis=-1) for x in (matched, real))


def _brevity(length: Any, references: Any) -> Any:
    """Logarithm of the brevity penalty, float32 [B, K], for answers of length float32 [B, K].

    Of two references that are equally near, the shorter one counts.
    """
    lengths = ops.sum(ops.cast(references != PAD, "float32"), axis=-1)  # [B, R]
    lengths = ops.where(lengths > 0, lengths, 1e6)[:, None, :]
    distance = ops.abs(lengths - length[:, :, None]) + lengths * 1e-4
    nearest = ops.take_along_axis(
        ops.broadcast_to(lengths, ops.shape(distance)), ops.argmin(distance, axis=-1)[:, :, None], axis=-1
    )[:, :, 0]
    return ops.minimum(0.0, 1.0 - nearest / ops.maximum(length, 1.0))
