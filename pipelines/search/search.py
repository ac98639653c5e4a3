"""Greedy search, sampling and beam search over a step function.

A step is `step(tokens int32 [N], state, memory) -> (logits [N, V], state)`; a state is any structure of tensors
with N = B K rows, the K paths of an example next to each other, a memory one of tensors with B rows. Buffers have a
fixed size and each search is one loop of the backend, so that the same code runs eagerly, traced, exported, and with
other backends. The loop ends when every row is done. A row that is done is frozen: what happens in the rest of the
batch does not change it.

How the attention of an answer came about is the decoder's to say, in one pass over the tokens found here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from pipelines.search.loop import (
    BLOCKED,
    DEAD,
    PAD,
    Path,
    Search,
    best,
    empty,
    extended,
    log_total,
    penalty,
    restricted,
    rows,
    run,
)
from pipelines.search.loop import Hypotheses as Hypotheses
from pipelines.search.loop import Rules as Rules
from pipelines.search.loop import shrinking as shrinking
from pipelines.search.settings import SearchSettings

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def greedy(step: Step, state: Any, rules: Rules, limits: Any = None, memory: Any = ()) -> Hypotheses:
    """Take the most probable token at every step.

    Args:
        step: see above.
        state: before the first step, each tensor [B, ...].
        rules: what every answer must obey.
        limits: int32 [B], a longest answer for each example, at most `rules.max_length`.
        memory: what the step looks at and does not change, each tensor [B, ...].

    Returns:
        One answer an example (K = 1), its score the log-probability.
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
    """Draw every token from the model's distribution, sharpened or cut.

    Args:
        step: see above.
        state: before the first step, each tensor [B, ...].
        rules: what every answer must obey.
        temperature: logits are divided by it; > 0, below 1 sharpens.
        top_k: draw from this many most probable tokens; 0 takes all.
        top_p: draw from the fewest most probable tokens that together have this probability (Holtzman et al.
            2020, arXiv 1904.09751); 1 takes all.
        seed: the same seed gives an example the same answer, whatever else is in its batch: all draw the same numbers.
        noise: float32 [B, L] in [0, 1), the numbers that choose the tokens; made from `seed` when left out.
        limits: as for `greedy`.
        memory: as for `greedy`.

    Returns:
        One answer an example (K = 1), its score the log-probability under the unchanged model.

    Raises:
        ValueError: temperature, top_k or top_p is out of range.
    """
    if temperature <= 0 or top_k < 0 or not 0 < top_p <= 1:
        raise ValueError(
            "expected temperature > 0, top_k >= 0 and 0 < top_p <= 1, got "
            f"temperature={temperature}, top_k={top_k}, top_p={top_p}"
        )
    if noise is None:  # drawn before the loop: a seed cannot advance inside one on every backend
        noise = ops.repeat(keras.random.uniform((1, rules.max_length), seed=seed), rows(state), axis=0)

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
    """What no step changes, by name, each tensor [B, ...]."""
    limits = ops.full((rows(state),), rules.max_length) if limits is None else limits
    return {"memory": memory, "limits": ops.cast(limits, "int32")}


def _single(step: Step, state: Any, rules: Rules, given: Any, choose: Callable[[Any, Any, Any], Any]) -> Hypotheses:
    """One path an example; `choose(logits [B, V], t, given)` takes its next token."""

    def body(t: Any, search: Search) -> tuple[Path, Any]:
        path, given = search.path, search.given
        logits, state = step(ops.reshape(path.last, (-1,)), search.state, given["memory"])
        logits = ops.cast(logits, "float32")
        allowed = restricted(logits, path.tokens, t, rules)
        tokens = ops.cast(choose(allowed, t, given), "int32")[:, None]
        gains = ops.take_along_axis(allowed, tokens, axis=-1) - log_total(logits)
        sums = path.sums + ops.where(path.done, 0.0, gains)
        return extended(path, t, ops.where(path.done, PAD, tokens), sums, rules, given["limits"]), state

    return _answers(run(body, Search(empty(rows(state), 1, rules), state, given), rules), 0.0)


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

    Partial and finished answers compete in one beam, ordered by log-probability / ((5 + length) / 6) ^ alpha
    (Wu et al. 2016, arXiv 1609.08144, equation 14); a finished one keeps its score and its place until better
    ones push it out. An answer cut at its limit competes as it is.

    Args:
        step: see above; rows of the beams of one example are next to each other.
        state: before the first step, each tensor [B, ...].
        rules: what every answer must obey.
        width: K, partial answers kept, and answers returned.
        length_penalty: alpha; 0 orders by log-probability, larger values prefer longer answers.
        limits: int32 [B], a longest answer for each example, at most `rules.max_length`.
        memory: as for `greedy`; the beams of an example share it.

    Returns:
        The K best answers of each example.

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
        ranks = ops.reshape(sums / penalty(lengths, length_penalty), (-1, width * ids.shape[-1]))
        _, places = ops.top_k(ranks, width)
        parents = places // ids.shape[-1]
        flat = ops.reshape(parents + ops.arange(ops.shape(parents)[0], dtype="int32")[:, None] * width, (-1,))
        tokens, sums = (ops.take_along_axis(ops.reshape(x, ops.shape(ranks)), places, axis=1) for x in (ids, sums))
        path = Path(*(_reordered(part, flat) for part in path))
        state = keras.tree.map_structure(lambda x: ops.take(x, flat, axis=0), state)
        return extended(path, t, tokens, sums, rules, given["limits"]), state

    given = _given(state, rules, limits, memory)
    state = keras.tree.map_structure(lambda x: ops.repeat(x, width, axis=0), state)
    search = Search(empty(rows(state) // width, width, rules), state, given)
    return _answers(run(body, search, rules), length_penalty)


def _answers(path: Path, alpha: float) -> Hypotheses:
    """Score the finished paths; what holds a forbidden token is no answer."""
    alive = path.sums > DEAD
    scores = ops.where(alive, path.sums / penalty(path.lengths, alpha), -float("inf"))
    tokens = ops.where(alive[:, :, None], path.tokens, PAD)
    return Hypotheses(tokens, ops.where(alive, path.lengths, 0), scores, ops.where(alive, path.sums, -float("inf")))


def _reordered(part: Any, flat: Any) -> Any:
    """Take the beams of a part [B, K, ...] in the order flat [B K], which counts beams over the batch."""
    rest = part.shape[2:]
    return ops.reshape(ops.take(ops.reshape(part, (-1, *rest)), flat, axis=0), ops.shape(part))


def _candidates(logits: Any, path: Path, t: Any, width: int, rules: Rules) -> tuple[Any, Any]:
    """Log-probabilities and tokens of the C best continuations of each path, [N, V] -> two [B, K, C].

    No more than K continuations of one path can be among the K best of all, so C = min(K, V). A finished path
    has one continuation, PAD, that costs nothing.
    """
    count = min(width, logits.shape[-1])
    values, ids = best(logits, path.tokens, t, rules, count)
    shape = (-1, width, count)
    gains, ids = ops.reshape(values - log_total(logits), shape), ops.reshape(ids, shape)
    stay = ops.convert_to_tensor(np.where(np.arange(count) == 0, 0.0, BLOCKED).astype("float32"))
    done = path.done[:, :, None]
    return ops.where(done, stay, gains), ops.where(done, PAD, ids)


def search(
    step: Step, state: Any, rules: Rules, settings: SearchSettings, limits: Any = None, memory: Any = ()
) -> Hypotheses:
    """Answer as the settings say: by beam search, greedily, or by sampling.

    All examples sample with the same numbers, so that an answer does not depend on the others in its batch; the score
    of a sampled answer is its log-probability, which is not normalised by the length.

    Args:
        step: see above.
        state: before the first step, each tensor [B, ...].
        rules: what every answer must obey.
        settings: of the search.
        limits: int32 [B], a longest answer for each example, at most `rules.max_length`.
        memory: what the step looks at and does not change, each tensor [B, ...].
    """
    shared = {"limits": limits, "memory": memory}
    if not settings.sampling_temperature:
        return beam(step, state, rules, width=settings.beam_width, length_penalty=settings.length_penalty, **shared)
    return sample(
        step,
        state,
        rules,
        temperature=settings.sampling_temperature,
        top_k=settings.sampling_top_k,
        top_p=settings.sampling_top_p,
        seed=settings.sampling_seed,
        **shared,
    )
