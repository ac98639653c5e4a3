"""CTC decoding in the graph: best path, prefix beam search, and alignment of symbols to frames."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from models.ctc import beam_decode

NEVER = -1e30
KEPT = 5
"""Maximum number of alternative transcripts of a recording."""


def best_path(logits: Any, steps: Any) -> dict[str, Any]:
    """Take the most probable symbol of every frame; merge repetitions and remove blanks.

    Args:
        logits: float32 [B, T, V].
        steps: int32 [B], number of frames.

    Returns:
        ``tokens`` int32 [B, U] padded with 0, their ``count`` [B], the ``first`` and ``last`` frame of each symbol
        [B, U], its ``probability`` [B, U] (the maximum over these frames), and ``score`` float32 [B], the geometric
        mean of the best path's probabilities over all frames (0 without frames).
    """
    log_probs = tf.nn.log_softmax(logits)
    path = tf.argmax(logits, axis=-1, output_type=tf.int32)
    best = tf.reduce_max(log_probs, axis=-1)
    real = tf.sequence_mask(steps, tf.shape(logits)[1])
    path = tf.where(real, path, 0)
    before = tf.pad(path, [[0, 0], [1, 0]])[:, :-1]
    begins = (path != before) & (path != 0)
    count = tf.reduce_sum(tf.cast(begins, tf.int32), axis=1)
    longest = tf.maximum(1, tf.reduce_max(count))
    number = tf.where(path != 0, tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1, longest)
    tokens = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(path, begins), count).to_tensor(shape=[None, None])
    tokens = tf.pad(tokens, [[0, 0], [0, longest - tf.shape(tokens)[1]]])
    total = tf.reduce_sum(tf.where(real, best, 0.0), axis=1)
    score = tf.where(steps > 0, tf.exp(total / tf.cast(tf.maximum(steps, 1), tf.float32)), 0.0)
    return gathered_symbols(number, tokens, count, best) | {"score": score}


def gathered_symbols(number: Any, tokens: Any, count: Any, log_probs: Any) -> dict[str, Any]:
    """Aggregate frames by symbol: ``first``, ``last``, ``probability`` [B, U] of ``best_path``, with tokens and count.

    Args:
        number: int32 [B, T], symbol index of each frame; U for none.
        tokens, count: int32 [B, U], padded with 0, and int32 [B].
        log_probs: float32 [B, T], of each frame's symbol.
    """
    rows, longest = tf.unstack(tf.shape(tokens))
    segment = tf.reshape(number + tf.range(rows)[:, None] * (longest + 1), [-1])
    place = tf.broadcast_to(tf.range(tf.shape(number)[1]), tf.shape(number))

    def gathered(function: Any, values: Any) -> Any:
        flat = function(tf.reshape(values, [-1]), segment, rows * (longest + 1))
        kept = tf.reshape(flat, [-1, longest + 1])[:, :longest]
        return tf.where(tf.sequence_mask(count, longest), kept, tf.zeros_like(kept))

    sure = gathered(tf.math.unsorted_segment_max, tf.exp(log_probs))
    first, last = (gathered(f, place) for f in (tf.math.unsorted_segment_min, tf.math.unsorted_segment_max))
    return {"tokens": tokens, "count": count, "first": first, "last": last, "probability": sure}


def beam_path(logits: Any, steps: Any, width: int) -> dict[str, Any]:
    """Prefix beam search for the most probable transcripts, summed over paths (Graves and Jaitly 2014, algorithm 1).

    Args:
        logits: float32 [B, T, V], T >= 1, blank 0.
        steps: int32 [B]; 0 gives an empty transcript.
        width: beam width.

    Returns:
        As ``best_path`` for the best transcript and its most probable alignment, with ``score`` float32 [B] the
        transcript's probability to the power 1 / steps; ``alternatives`` int32 [B, K, U] padded with 0, best first,
        K = min(width, V, 5); and ``alternative_scores`` float32 [B, K].
    """
    kept, steps = min(width, KEPT, logits.shape[2]), tf.cast(steps, tf.int32)  # one step has no more than V transcripts
    stacked, _, log_probs = beam_decode(logits, steps, width, kept)
    stacked = tf.pad(stacked, [[0, 0], [0, 0], [0, tf.maximum(0, 1 - tf.shape(stacked)[2])]])
    spoken = (steps > 0)[:, None]
    stacked = tf.where(spoken[:, :, None], stacked, 0)
    scores = tf.where(spoken, tf.exp(log_probs / tf.cast(tf.maximum(steps, 1), tf.float32)[:, None]), 0.0)
    best = stacked[:, 0]
    found = align(logits, steps, best, tf.reduce_sum(tf.cast(best > 0, tf.int32), axis=1))
    return found | {"score": scores[:, 0], "alternatives": stacked, "alternative_scores": scores}


def align(logits: Any, steps: Any, tokens: Any, count: Any) -> dict[str, Any]:
    """Most probable path for given symbols (Viterbi over the symbols with blanks between them).

    Args:
        logits, steps: float32 [B, T, V] and int32 [B].
        tokens, count: int32 [B, U], U >= 1, padded with 0, and int32 [B]; they must fit into the frames.

    Returns:
        ``tokens``, ``count``, ``first``, ``last`` and ``probability``, see ``best_path``.
    """
    logits = tf.pad(logits, [[0, 0], [0, 1], [0, 0]])  # a traced scan over the steps behind the first needs one
    log_probs, steps, count = tf.nn.log_softmax(logits), tf.cast(steps, tf.int32), tf.cast(count, tf.int32)
    batch, longest = tf.unstack(tf.shape(tokens))
    blanks = tf.zeros_like(tokens)
    states = tf.concat([tf.reshape(tf.stack([blanks, tokens], 2), [batch, -1]), blanks[:, :1]], axis=1)  # b t b t … b
    emitted = tf.transpose(tf.gather(log_probs, states, axis=2, batch_dims=1), [1, 0, 2])
    skips = states != tf.pad(states, [[0, 0], [2, 0]])[:, :-2]
    first = tf.where(tf.range(tf.shape(states)[1]) < 2, emitted[0], NEVER)
    real = tf.transpose(tf.sequence_mask(steps, tf.shape(logits)[1]))

    def forward(before: tuple[Any, Any], now: tuple[Any, Any]) -> tuple[Any, Any]:
        score, (emission, goes_on) = before[0], now
        one = tf.pad(score, [[0, 0], [1, 0]], constant_values=NEVER)[:, :-1]
        two = tf.where(skips, tf.pad(score, [[0, 0], [2, 0]], constant_values=NEVER)[:, :-2], NEVER)
        choices = tf.stack([score, one, two])
        chosen = tf.where(goes_on[:, None], tf.argmax(choices, 0, tf.int32), 0)
        return tf.where(goes_on[:, None], tf.reduce_max(choices, 0) + emission, score), chosen

    start = (first, tf.zeros_like(states))
    scores, chosen = tf.scan(forward, (emitted[1:], real[1:]), start)
    final = tf.concat([first[None], scores], 0)[-1]
    ends = tf.stack([2 * count, tf.maximum(2 * count - 1, 0)], axis=1)
    last = tf.gather(ends, tf.argmax(tf.gather(final, ends, batch_dims=1), 1), batch_dims=1)
    back = tf.scan(lambda state, step: state - tf.gather(step, state, batch_dims=1), chosen, last, reverse=True)
    path = tf.transpose(tf.concat([back, last[None]], 0))
    real = tf.sequence_mask(steps, tf.shape(logits)[1])
    spoken = (path % 2 == 1) & real
    value = tf.gather(log_probs, tf.gather(states, path, batch_dims=1), axis=2, batch_dims=2)
    return gathered_symbols(tf.where(spoken, path // 2, longest), tokens, count, value)
