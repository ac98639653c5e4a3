"""Greedy search, sampling and beam search over a step function.

A step is `step(tokens int32 [N], state, memory) -> (logits [N, V], state)`. N = B K: the K paths of an example are
adjacent. The searches share these arguments:

- step: see above.
- state: before the first step; a structure of tensors [B, ...].
- rules: constraints on every answer.
- limits: int32 [B], the maximum length for each example, at most `rules.max_length`.
- memory: read-only input of the step, tensors [B, ...], shared by the paths of an example.

Buffers have a fixed size and each search is one loop of the backend, so the same code runs eagerly, traced, exported
and with other backends. The loop ends when all rows are finished. A finished row is frozen: it does not depend on the
rest of the batch. Attention weights are not recorded; the decoder recomputes them from the tokens in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from pipelines.search import loop
from pipelines.search.loop import Hypotheses as Hypotheses
from pipelines.search.loop import Path, Search
from pipelines.search.loop import Rules as Rules
from pipelines.search.loop import shrinking as shrinking
from pipelines.search.settings import SearchSettings

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def greedy(step: Step, state: Any, rules: Rules, limits: Any = None, memory: Any = ()) -> Hypotheses:
    """Choose the most probable token at every step.

    Returns:
        One answer per example (K = 1), tokens int32 [B, 1, L], scored by its log-probability.
    """
    given = _given(state, rules, limits, memory)
    return _single(step, state, rules, given, lambda logits, *_: ops.argmax(logits, axis=-1))


def sample(
    step: Step,
    state: Any,
    rules: Rules,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    noise: Any = None,
    limits: Any = None,
    memory: Any = (),
) -> Hypotheses:
    """Sample every token from the model's distribution.

    Args:
        step: see the module.
        state: see the module.
        rules: see the module.
        limits: see the module.
        memory: see the module.
        temperature: divisor of the logits, > 0; below 1 sharpens the distribution.
        top_k: number of most probable tokens to sample from; 0 uses all.
        top_p: sample from the smallest set of tokens with this total probability (Holtzman et al. 2020,
            arXiv 1904.09751); 1 uses all.
        seed: all examples use the same random numbers, so an answer does not depend on the rest of the batch.
        noise: float32 [B, L] in [0, 1), the random numbers; generated from `seed` when omitted.

    Returns:
        One answer per example (K = 1), scored by its log-probability under the unmodified model.

    Raises:
        ValueError: temperature, top_k or top_p is out of range.
    """
    if temperature <= 0 or top_k < 0 or not 0 < top_p <= 1:
        raise ValueError(
            "expected temperature > 0, top_k >= 0 and 0 < top_p <= 1, got "
            f"temperature={temperature}, top_k={top_k}, top_p={top_p}"
        )
    if noise is None:  # sampled before the loop, because not every backend advances a seed inside one
        noise = ops.repeat(keras.random.uniform((1, rules.max_length), seed=seed), loop.rows(state), axis=0)

    def draw(logits: Any, t: Any, given: Any) -> Any:
        values, ids = logits / temperature, None
        if top_k or top_p < 1:
            values, ids = ops.top_k(values, min(top_k, logits.shape[-1]) if top_k else logits.shape[-1])
        shares = ops.softmax(values, axis=-1)
        reached = ops.cumsum(shares, axis=-1)
        mass = ops.max(ops.where(reached - shares < top_p, reached, 0.0), axis=-1, keepdims=True)
        below = reached <= ops.take(given["noise"], t, axis=1)[:, None] * mass
        place = ops.minimum(ops.sum(ops.cast(below, "int32"), axis=-1), values.shape[-1] - 1)
        return place if ids is None else ops.take_along_axis(ids, place[:, None], axis=-1)[:, 0]

    return _single(step, state, rules, _given(state, rules, limits, memory) | {"noise": noise}, draw)


def _given(state: Any, rules: Rules, limits: Any, memory: Any) -> dict[str, Any]:
    """Inputs that no step changes, by name, each tensor [B, ...]."""
    limits = ops.full((loop.rows(state),), rules.max_length) if limits is None else limits
    return {"memory": memory, "limits": ops.cast(limits, "int32")}


def _single(step: Step, state: Any, rules: Rules, given: Any, choose: Callable[[Any, Any, Any], Any]) -> Hypotheses:
    """Search with one path per example; `choose(logits [B, V], t, given)` returns its next token."""

    def body(t: Any, search: Search) -> tuple[Path, Any]:
        path, given = search.path, search.given
        logits, state = step(ops.reshape(path.last, (-1,)), search.state, given["memory"])
        logits = ops.cast(logits, "float32")
        allowed = loop.restricted(logits, path.tokens, t, rules)
        tokens = ops.cast(choose(allowed, t, given), "int32")[:, None]
        gains = ops.take_along_axis(allowed, tokens, axis=-1) - ops.logsumexp(logits, axis=-1, keepdims=True)
        sums = path.sums + ops.where(path.done, 0.0, gains)
        return loop.extended(path, t, ops.where(path.done, loop.PAD, tokens), sums, rules, given["limits"]), state

    return _answers(loop.run(body, Search(loop.empty(loop.rows(state), 1, rules), state, given), rules), 0.0)


def beam(
    step: Step,
    state: Any,
    rules: Rules,
    *,
    width: int = 5,
    length_penalty: float = 1.0,
    limits: Any = None,
    memory: Any = (),
) -> Hypotheses:
    """Keep the K best partial answers of every example.

    Partial and finished answers compete in one beam, ranked by log-probability / ((5 + length) / 6) ^ alpha
    (Wu et al. 2016, arXiv 1609.08144, equation 14). An answer cut at its limit competes unchanged.

    Args:
        step: see the module.
        state: see the module.
        rules: see the module.
        limits: see the module.
        memory: see the module.
        width: K, the beam width and number of answers.
        length_penalty: alpha; 0 ranks by log-probability, larger values favour longer answers.

    Returns:
        The K best answers of each example, tokens int32 [B, K, L].

    Raises:
        ValueError: width is below 1.
    """
    if width < 1:
        raise ValueError(f"the beam width must be at least 1, not {width}")

    def body(t: Any, search: Search) -> tuple[Path, Any]:
        path, given = search.path, search.given
        logits, state = step(ops.reshape(path.last, (-1,)), search.state, given["memory"])
        gains, ids = _candidates(ops.cast(logits, "float32"), path, t, width, rules)
        sums = path.sums[:, :, None] + gains  # [B, K, C]
        lengths = ops.where(path.done, path.lengths, t + 1)[:, :, None]
        ranks = ops.reshape(sums / loop.penalty(lengths, length_penalty), (-1, width * ids.shape[-1]))
        _, places = ops.top_k(ranks, width)
        parents = places // ids.shape[-1]
        flat = ops.reshape(parents + ops.arange(ops.shape(parents)[0], dtype="int32")[:, None] * width, (-1,))
        tokens, sums = (ops.take_along_axis(ops.reshape(x, ops.shape(ranks)), places, axis=1) for x in (ids, sums))
        path = Path(*(_reordered(part, flat) for part in path))
        state = keras.tree.map_structure(lambda x: ops.take(x, flat, axis=0), state)
        return loop.extended(path, t, tokens, sums, rules, given["limits"]), state

    given = _given(state, rules, limits, memory)
    state = keras.tree.map_structure(lambda x: ops.repeat(x, width, axis=0), state)
    search = Search(loop.empty(loop.rows(state) // width, width, rules), state, given)
    return _answers(loop.run(body, search, rules), length_penalty)


def _answers(path: Path, alpha: float) -> Hypotheses:
    """Score the finished paths and remove those with a forbidden token."""
    alive = path.sums > loop.DEAD
    scores = ops.where(alive, path.sums / loop.penalty(path.lengths, alpha), -float("inf"))
    tokens = ops.where(alive[:, :, None], path.tokens, loop.PAD)
    return Hypotheses(tokens, ops.where(alive, path.lengths, 0), scores, ops.where(alive, path.sums, -float("inf")))


def _reordered(part: Any, flat: Any) -> Any:
    """Gather the beams of a part [B, K, ...] in the order flat [B K], indices over batch and beam."""
    rest = part.shape[2:]
    return ops.reshape(ops.take(ops.reshape(part, (-1, *rest)), flat, axis=0), ops.shape(part))


def _candidates(logits: Any, path: Path, t: Any, width: int, rules: Rules) -> tuple[Any, Any]:
    """Log-probabilities and tokens of the C best continuations of each path, [N, V] -> two [B, K, C].

    At most K continuations of one path are among the K best, so C = min(K, V). A finished path has one continuation,
    PAD, with log-probability 0.
    """
    count = min(width, logits.shape[-1])
    values, ids = loop.best(logits, path.tokens, t, rules, count)
    shape = (-1, width, count)
    gains, ids = ops.reshape(values - ops.logsumexp(logits, axis=-1, keepdims=True), shape), ops.reshape(ids, shape)
    stay = ops.convert_to_tensor(np.where(np.arange(count) == 0, 0.0, loop.BLOCKED).astype("float32"))
    done = path.done[:, :, None]
    return ops.where(done, stay, gains), ops.where(done, loop.PAD, ids)


def search(
    step: Step, state: Any, rules: Rules, settings: SearchSettings, limits: Any = None, memory: Any = ()
) -> Hypotheses:
    """Search or sample according to the settings, tokens int32 [B, K, L]; for the other arguments see the module.

    All examples sample with the same random numbers; sampled answers are scored by log-probability, not normalised by
    length.
    """
    s, shared = settings, {"limits": limits, "memory": memory}
    if not s.sampling_temperature:
        return beam(step, state, rules, width=s.beam_width, length_penalty=s.length_penalty, **shared)
    cuts: dict[str, Any] = {"top_k": s.sampling_top_k, "top_p": s.sampling_top_p}
    return sample(step, state, rules, temperature=s.sampling_temperature, seed=s.sampling_seed, **cuts, **shared)
