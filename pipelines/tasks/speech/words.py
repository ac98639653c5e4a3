"""Symbols to words with their times, in graph."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from pipelines.tasks.speech.text import Alphabet


def worded(found: dict[str, Any], alphabet: Alphabet, step: float) -> dict[str, Any]:
    """Write transcripts and their words from decoded symbols.

    Args:
        found: what `pipelines.search.ctc.best_path` or ``beam_path`` returns.
        alphabet: the symbols.
        step: seconds from one step to the next.

    Returns:
        ``text`` string [B] and its ``score`` [B]; for every word its text ``words`` string [B, W], ``start`` and
        ``end`` in seconds and ``confidence``, the geometric mean of its symbols' probabilities, float32 [B, W], all
        padded on the right ("" and 0); and where several transcripts were found ``alternatives`` string [B, K] with
        their ``alternative_scores`` float32 [B, K].
    """
    written = {"text": alphabet.spell(found["tokens"]), "score": found["score"], **_words(found, alphabet, step)}
    if "alternatives" in found:
        shape = tf.shape(found["alternatives"])
        texts = alphabet.spell(tf.reshape(found["alternatives"], [-1, shape[2]]))
        written["alternatives"] = tf.reshape(texts, shape[:2])
        written["alternative_scores"] = found["alternative_scores"]
    return written


def _words(found: dict[str, Any], alphabet: Alphabet, step: float) -> dict[str, Any]:
    """Words from symbols: each run of symbols between spaces, with the steps of its first and last one."""
    tokens = found["tokens"]
    letter = tf.sequence_mask(found["count"], tf.shape(tokens)[1]) & (tokens != alphabet.numbers.get(" ", -1))
    opens = letter & (alphabet.begins(tokens) | ~tf.pad(letter, [[0, 0], [1, 0]])[:, :-1])
    count = tf.reduce_sum(tf.cast(opens, tf.int32), axis=1)
    number = tf.boolean_mask(tf.cumsum(tf.cast(opens, tf.int32), axis=1) - 1, letter)
    before = tf.cumsum(count, exclusive=True)
    row = tf.cast(tf.where(letter)[:, 0], tf.int32)
    segment, total = number + tf.gather(before, row), tf.reduce_sum(count)

    def spelled(tokens: Any, segment: Any, total: Any) -> Any:
        return alphabet.spell(tf.RaggedTensor.from_value_rowids(tokens, segment, total))

    def padded(function: Any, values: Any, empty: Any) -> Any:
        each = function(tf.boolean_mask(values, letter), segment, total)
        return tf.RaggedTensor.from_row_lengths(each, count).to_tensor(empty)

    sure = tf.math.log(tf.maximum(found["probability"], 1e-30))
    first = padded(tf.math.unsorted_segment_min, found["first"], 0)
    last = padded(tf.math.unsorted_segment_max, found["last"] + 1, 0)
    return {
        "words": padded(spelled, found["tokens"], ""),
        "start": tf.cast(first, tf.float32) * step,
        "end": tf.cast(last, tf.float32) * step,
        "confidence": tf.where(last > 0, tf.exp(padded(tf.math.unsorted_segment_mean, sure, 0.0)), 0.0),
    }
