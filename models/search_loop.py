"""What the searches share: rules, paths under way, and the one loop with buffers of a fixed size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

PAD = 0
BLOCKED = -1e9  # added to the logit of what may not come next; a sum below DEAD holds such a token
DEAD = -1e8


@dataclass(frozen=True)
class Rules:
    """What every answer must obey.

    Attributes:
        start: the token before the first.
        end: the token that closes an answer.
        max_length: L, the longest answer, its end token counted.
        min_length: tokens that must come before the end token.
        no_repeat_ngram: no run of this many tokens comes twice in an answer; 0 allows it.
        forbidden: tokens that never come. PAD and the start token never do either.

    Raises:
        ValueError: a length is out of range.
    """

    start: int
    end: int
    max_length: int
    min_length: int = 0
    no_repeat_ngram: int = 0
    forbidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the lengths."""
        if not 0 <= self.min_length < self.max_length or self.no_repeat_ngram < 0:
            raise ValueError(
                "expected 0 <= min_length < max_length and no_repeat_ngram >= 0, got "
                f"min_length={self.min_length}, max_length={self.max_length}, no_repeat_ngram={self.no_repeat_ngram}"
            )


class Hypotheses(NamedTuple):
    """The K best answers of each example, best first.

    Attributes:
        tokens: int32 [B, K, L], the end token included where it was reached, then PAD.
        lengths: int32 [B, K], tokens with the end token; 0 where fewer than K answers exist.
        scores: float32 [B, K], what they are ordered by; -inf where there is no answer.
        log_probabilities: float32 [B, K], in nats, of the whole answer under the model.
    """

    tokens: Any
    lengths: Any
    scores: Any
    log_probabilities: Any


class Path(NamedTuple):
    """Answers under way; the leading axes are [B, K]."""

    tokens: Any
    last: Any
    lengths: Any
    sums: Any
    done: Any


def empty(batch: Any, width: int, rules: Rules) -> Path:
    """Paths [B, K] before the first step. All but the first of a beam are dead, or K equal ones would be kept."""
    tokens = ops.zeros((batch, width, rules.max_length), dtype="int32")
    blank = tokens[:, :, 0]
    sums = ops.zeros_like(blank, dtype="float32") + np.where(np.arange(width) == 0, 0.0, BLOCKED).astype("float32")
    return Path(tokens, blank + rules.start, blank, sums, sums < DEAD)


def run(body: Callable[[Any, Path, Any], tuple[Path, Any]], path: Path, state: Any, rules: Rules) -> Path:
    """Repeat body until every path is done or L tokens long; ``state`` holds tensors [B K, ...], a row a path."""
    leaves = keras.tree.flatten(state)
    start = (*path, *leaves)

    def loop(t: Any, *parts: Any) -> tuple[Any, ...]:
        after, new = body(t, Path(*parts[:5]), keras.tree.pack_sequence_as(state, parts[5:]))
        # The loop's invariants: gathers forget sizes that were known before the loop.
        kept = (
            ops.reshape(ops.cast(x, old.dtype), ops.shape(old))
            for x, old in zip((*after, *keras.tree.flatten(new)), start, strict=True)
        )
        return (t + 1, *kept)

    def unfinished(t: Any, *parts: Any) -> Any:
        return ops.logical_and(t < rules.max_length, ops.logical_not(ops.all(parts[4])))

    parts = ops.while_loop(unfinished, loop, (ops.convert_to_tensor(0, dtype="int32"), *start))
    return Path(*parts[1:6])


def restricted(logits: Any, tokens: Any, t: Any, rules: Rules) -> Any:
    """Logits [N, V] with BLOCKED added to what the rules forbid after t tokens of [B, K, L]."""
    every = np.arange(logits.shape[-1])
    never = np.isin(every, [PAD, rules.start, *rules.forbidden]) & (every != rules.end)
    always = (never * BLOCKED).astype("float32")
    early = ((every == rules.end) * BLOCKED).astype("float32")
    logits = logits + ops.where(t < rules.min_length, always + early, always)
    return logits + _repeats(tokens, t, rules.no_repeat_ngram, len(every)) if rules.no_repeat_ngram else logits


def _repeats(tokens: Any, t: Any, n: int, size: int) -> Any:
    """BLOCKED at each token that would close an n-gram that tokens [B, K, L] hold already: float32 [N, V]."""
    length = tokens.shape[-1]
    tokens = ops.reshape(tokens, (-1, length))
    starts = max(length - n + 1, 0)
    seen = ops.broadcast_to(ops.arange(starts) + n - 1 < t, (ops.shape(tokens)[0], starts))
    for j in range(n - 1):
        tail = ops.take(tokens, ops.maximum(t - n + 1 + j, 0), axis=1)[:, None]
        seen = ops.logical_and(seen, tokens[:, j : j + starts] == tail)
    rows = ops.broadcast_to(ops.arange(ops.shape(tokens)[0], dtype="int32")[:, None], ops.shape(seen))
    places = ops.stack([rows, tokens[:, n - 1 : n - 1 + starts]], axis=-1)
    values = ops.where(seen, BLOCKED, 0.0)
    return ops.scatter(ops.reshape(places, (-1, 2)), ops.reshape(values, (-1,)), (ops.shape(tokens)[0], size))


def extended(path: Path, t: Any, tokens: Any, sums: Any, rules: Rules, limits: Any) -> Path:
    """Append tokens [B, K] at place t of the paths that are not done, and mark those that now are."""
    lengths = ops.where(path.done, path.lengths, t + 1)
    closed = ops.logical_or(tokens == rules.end, sums < DEAD)
    if limits is not None:
        closed = ops.logical_or(closed, ops.cast(limits, "int32")[:, None] <= t + 1)
    here = ops.arange(rules.max_length, dtype="int32") == t
    buffer = ops.where(here, tokens[:, :, None], path.tokens)
    return Path(buffer, tokens, lengths, sums, ops.logical_or(path.done, closed))


def rows(state: Any) -> Any:
    """N, a scalar: the rows of a state, whose tensors are [N, ...]."""
    return ops.shape(keras.tree.flatten(state)[0])[0]


def log_total(logits: Any) -> Any:
    """Logarithm of the normaliser, [N, V] -> [N, 1]."""
    return ops.logsumexp(logits, axis=-1, keepdims=True)


def penalty(lengths: Any, alpha: float) -> Any:
    """((5 + length) / 6) ^ alpha, float32, of ``lengths`` [B, K]."""
    return ((5.0 + ops.cast(lengths, "float32")) / 6.0) ** alpha
