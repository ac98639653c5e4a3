"""The search that a task's settings ask for: a beam, the greedy path, or answers drawn at random."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from models.decoders import AttentionDecoder
from pipelines.search.search import Hypotheses, Rules, beam, sample


def found(
    step: Callable[[Any, Any, Any], tuple[Any, Any]],
    state: Any,
    memory: Any,
    rules: Rules,
    config: Any,
    limits: Any = None,
) -> Hypotheses:
    """Answer with the settings ``beam_width``, ``length_penalty`` and ``sampling_...`` of ``config``.

    All examples draw with the same numbers, so that a drawn answer does not depend on the others in its batch; its
    score is its log-probability, which is not normalised by the length.

    Args:
        step: see `pipelines.search.search`.
        state: before the first step, each tensor [B, ...].
        memory: what the step looks at, each tensor [B, ...].
        rules: what every answer must obey.
        config: the task's settings.
        limits: int32 [B], a longest answer for each example.
    """
    shared = {"limits": limits, "memory": memory}
    if not config.sampling_temperature:
        return beam(step, state, rules, width=config.beam_width, length_penalty=config.length_penalty, **shared)
    return sample(
        step,
        state,
        rules,
        temperature=config.sampling_temperature,
        top_k=config.sampling_top_k,
        top_p=config.sampling_top_p,
        seed=config.sampling_seed,
        **shared,
    )


def attention(decoder: AttentionDecoder, tokens: Any, lengths: Any, start: int, *sight: Any) -> Any:
    """Return how answers came about, float32 [B, L, S], zero from an answer's end on.

    Only as many steps are taken as the longest answer has.

    Args:
        decoder: attended.
        tokens: int32 [B, L], the answers.
        lengths: int32 [B], their tokens.
        start: the token before the first.
        *sight: what the decoder saw: keys [B, S, D], their lengths int32 [B], and a summary [B, G] if there was one.
    """
    size = tokens.shape[1]
    longest = tf.maximum(tf.reduce_max(lengths), 1)
    seen = tf.concat([tf.fill([tf.shape(tokens)[0], 1], start), tokens[:, :-1]], axis=1)[:, :longest]
    weights = decoder.attend(seen, lengths, *sight) * tf.sequence_mask(lengths, longest, tf.float32)[:, :, None]
    return tf.ensure_shape(tf.pad(weights, [[0, 0], [0, size - longest], [0, 0]]), [None, size, None])


def name(config: Any) -> str:
    """Say how answers are found, for ``metrics.json``."""
    if config.sampling_temperature:
        cuts = (f", top-k {config.sampling_top_k}" if config.sampling_top_k else "") + (
            f", top-p {config.sampling_top_p:g}" if config.sampling_top_p < 1 else ""
        )
        found = f"sampling, temperature {config.sampling_temperature:g}{cuts}, seed {config.sampling_seed}"
    else:
        found = "greedy" if config.beam_width == 1 else f"beam {config.beam_width}, alpha {config.length_penalty}"
    least = f", at least {config.min_tokens} tokens" if config.min_tokens else ""
    return found + least + (f", no {config.no_repeat_ngram}-gram twice" if config.no_repeat_ngram else "")
