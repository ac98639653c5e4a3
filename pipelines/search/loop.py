"""The loop shared by all searches: rules, hypotheses and fixed-size buffers."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from models.ops import top_k

PAD = 0
BLOCKED = -1e9  # added to the logits of forbidden tokens; a path with a sum below DEAD contains one
DEAD = -1e8

_shrinking_on = contextvars.ContextVar("shrinking", default=False)


@dataclass(frozen=True)
class Rules:
    """Constraints on every answer.

    Attributes:
        start: the start token.
        end: the end token.
        max_length: L, the maximum length including the end token.
        min_length: minimum number of tokens before the end token.
        no_repeat_ngram: n-grams of this size occur at most once in an answer; 0 disables the rule.
        forbidden: tokens that are never produced, in addition to PAD and the start token.

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
        tokens: int32 [B, K, L], including the end token where it was reached, then PAD.
        lengths: int32 [B, K], including the end token; 0 where fewer than K answers exist.
        scores: float32 [B, K], the ranking scores; -inf where there is no answer.
        log_probabilities: float32 [B, K], in nats, of the complete answer under the model.
    """

    tokens: Any
    lengths: Any
    scores: Any
    log_probabilities: Any


class Path(NamedTuple):
    """Partial answers; the leading axes are [B, K]."""

    tokens: Any
    last: Any
    lengths: Any
    sums: Any
    done: Any


def empty(batch: Any, width: int, rules: Rules) -> Path:
    """Paths [B, K] before the first step; all but the first of a beam start dead, as they are equal."""
    tokens = ops.zeros((batch, width, rules.max_length), dtype="int32")
    blank = tokens[:, :, 0]
    sums = ops.zeros_like(blank, dtype="float32") + np.where(np.arange(width) == 0, 0.0, BLOCKED).astype("float32")
    return Path(tokens, blank + rules.start, blank, sums, sums < DEAD)


class Search(NamedTuple):
    """Loop variables of a search.

    Attributes:
        path: the partial answers, [B, K, ...].
        state: of the decoder, tensors [B K, ...].
        given: inputs that no step changes, tensors [B, ...]: the memory, limits and so on.
    """

    path: Path
    state: Any
    given: Any


Body = Callable[[Any, Search], tuple[Path, Any]]


@contextlib.contextmanager
def shrinking() -> Iterator[None]:
    """Remove finished examples from loops traced in this block, once they are a quarter of the batch.

    Answers do not change. It is faster for batches with answers of many lengths, and slightly slower for a single one.
    It requires a graph with an open batch axis that XLA does not compile; other loops keep their shapes.
    """
    token = _shrinking_on.set(True)
    try:
        yield
    finally:
        _shrinking_on.reset(token)


def run(body: Body, search: Search, rules: Rules) -> Path:
    """Repeat ``body(t, search) -> (path, state)`` until every path is finished or has L tokens."""
    if _shrinking_on.get() and all(tensor.shape[0] is None for tensor in keras.tree.flatten(search)):
        return _shrinking(body, search, rules)

    def loop(t: Any, *parts: Any) -> tuple[Any, ...]:
        now = search._replace(path=Path(*parts[:5]), state=keras.tree.pack_sequence_as(search.state, parts[5:]))
        return (t + 1, *_alike(body(t, now), (search.path, search.state), ops.shape))

    start = (ops.convert_to_tensor(0, dtype="int32"), *keras.tree.flatten((search.path, search.state)))
    parts = ops.while_loop(lambda t, *parts: _unfinished(t, Path(*parts[:5]), rules), loop, start)
    return Path(*parts[1:6])


def _unfinished(t: Any, path: Path, rules: Rules) -> Any:
    return ops.logical_and(t < rules.max_length, ops.logical_not(ops.all(path.done)))


def _alike(after: Any, before: Any, shape: Callable[[Any], Any]) -> list[Any]:
    """Flatten and restore the types and shapes of the loop's start: gathers lose static sizes."""
    pairs = zip(keras.tree.flatten(after), keras.tree.flatten(before), strict=True)
    return [ops.reshape(ops.cast(x, old.dtype), shape(old)) for x, old in pairs]


def _shrinking(body: Body, search: Search, rules: Rules) -> Path:
    """`run` with a shrinking batch: ``numbers`` int32 [b] are the remaining examples, ``kept`` holds all results."""

    def open_batch(x: Any) -> tuple[Any, ...]:
        return (-1, *ops.shape(x)[1:])

    def loop(t: Any, *parts: Any) -> tuple[Any, ...]:
        numbers, kept, now = keras.tree.pack_sequence_as(start, parts)
        path, state = body(t, now)
        after = (numbers, kept, Search(path, state, now.given))
        done = ops.all(path.done, axis=1)
        enough = 4 * ops.sum(ops.cast(done, "int32")) >= ops.shape(done)[0]
        after = ops.cond(enough, lambda: _without(done, *after), lambda: after)
        return (t + 1, *_alike(after, start, open_batch))

    numbers = ops.arange(ops.shape(search.path.done)[0], dtype="int32")
    start = (numbers, search.path, search)
    parts = ops.while_loop(
        lambda t, *parts: _unfinished(t, keras.tree.pack_sequence_as(start, parts)[2].path, rules),
        loop,
        (ops.convert_to_tensor(0, dtype="int32"), *keras.tree.flatten(start)),
    )
    numbers, kept, now = keras.tree.pack_sequence_as(start, parts[1:])
    return _put_back(kept, numbers, now.path)


def _without(done: Any, numbers: Any, kept: Path, search: Search) -> tuple[Any, Path, Search]:
    """Remove the finished examples, ``done`` bool [b]; if all are finished, the loop ends."""
    kept, width = _put_back(kept, numbers, search.path), search.path.done.shape[1]
    left = ops.cast(ops.nonzero(ops.logical_not(done))[0], "int32")
    rows = ops.reshape(left[:, None] * width + np.arange(width, dtype="int32"), (-1,))
    numbers, path, given = keras.tree.map_structure(
        lambda x: ops.take(x, left, axis=0), (numbers, search.path, search.given)
    )
    state = keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), search.state)
    return numbers, kept, Search(path, state, given)


def _put_back(kept: Path, numbers: Any, path: Path) -> Path:
    return Path(*(ops.scatter_update(old, numbers[:, None], new) for old, new in zip(kept, path, strict=True)))


def restricted(logits: Any, tokens: Any, t: Any, rules: Rules) -> Any:
    """Logits [N, V] with BLOCKED added to tokens that the rules forbid after t tokens of [B, K, L]."""
    size = logits.shape[-1]
    logits = logits + _blocked(t, rules, size)
    return logits + _repeats(tokens, t, rules.no_repeat_ngram, size) if rules.no_repeat_ngram else logits


def _blocked(t: Any, rules: Rules, size: int) -> Any:
    """BLOCKED at each token that is forbidden at step t for any history, else 0: float32 [V]."""
    every = np.arange(size)
    never = np.isin(every, [PAD, rules.start, *rules.forbidden]) & (every != rules.end)
    always = (never * BLOCKED).astype("float32")
    early = ((every == rules.end) * BLOCKED).astype("float32")
    return ops.where(t < rules.min_length, always + early, always)


def best(logits: Any, tokens: Any, t: Any, rules: Rules, count: int) -> tuple[Any, Any]:
    """Return the ``count`` largest ``restricted`` logits and their tokens, [N, V] -> float32 and int32 [N, count].

    Without an n-gram rule few tokens are forbidden: that many extra candidates are taken, and then restricted.
    """
    if rules.no_repeat_ngram:
        return top_k(restricted(logits, tokens, t, rules), count)
    size = logits.shape[-1]
    values, ids = top_k(logits, min(size, count + len({PAD, rules.start, rules.end, *rules.forbidden})))
    values, places = ops.top_k(values + ops.take(_blocked(t, rules, size), ids, axis=0), count)
    return values, ops.take_along_axis(ids, ops.cast(places, "int32"), axis=-1)


def _repeats(tokens: Any, t: Any, n: int, size: int) -> Any:
    """BLOCKED at each token that would repeat an n-gram of tokens [B, K, L], else 0: float32 [N, V]."""
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
    """Append tokens [B, K] at step t to unfinished paths, and mark the newly finished ones."""
    lengths = ops.where(path.done, path.lengths, t + 1)
    closed = ops.logical_or(ops.logical_or(tokens == rules.end, sums < DEAD), limits[:, None] <= t + 1)
    here = ops.arange(rules.max_length, dtype="int32") == t
    buffer = ops.where(here, tokens[:, :, None], path.tokens)
    return Path(buffer, tokens, lengths, sums, ops.logical_or(path.done, closed))


def rows(state: Any) -> Any:
    """The number of rows N of a state with tensors [N, ...], a scalar."""
    return ops.shape(keras.tree.flatten(state)[0])[0]


def penalty(lengths: Any, alpha: float) -> Any:
    """((5 + length) / 6) ^ alpha, float32, for ``lengths`` [B, K]."""
    return ((5.0 + ops.cast(lengths, "float32")) / 6.0) ** alpha
