"""The same text in other pieces: segmentation drawn anew for every training batch, in graph.

A network that always sees `shops` as one piece learns nothing about `shop` from it. Cutting a piece now and then into
shorter ones shows it the parts (subword regularisation, Kudo 2018, P18-1007). For greedy longest match the way to
draw other segmentations is to refuse a match at random (MaxMatch-Dropout, Hiraoka 2022, arXiv 2209.04126); here that
is done on ids that are segmented already, because strings would have to be looked up again for every batch.
"""

from typing import Any

import tensorflow as tf

from pipelines.data.batching import GROWTH, padded, widths
from pipelines.data.text.vocabulary import FIRST_BYTE, SubwordVocabulary

ROUNDS = 2  # a part of a refused piece may be refused in its turn, once


def alternatives(vocabulary: SubwordVocabulary) -> tf.RaggedTensor:
    """Return what each piece is written as when it is refused itself, int32 [V, (T)].

    The longest other piece that it begins with, and the rest by greedy longest match; special pieces and single bytes
    stay what they are.
    """
    written = vocabulary.written
    ids = {text: i for i, text in enumerate(written) if i >= FIRST_BYTE}
    longest = max(map(len, ids))
    rows = [[i] for i in range(FIRST_BYTE)]
    for text in written[FIRST_BYTE:]:
        rows.append(_parts(text, len(text) - 1, ids, longest) if len(text) > 1 else [ids[text]])
    return tf.ragged.constant(rows, tf.int32, row_splits_dtype=tf.int64)


def _parts(text: bytes, first: int, ids: dict[bytes, int], longest: int) -> list[int]:
    """Cut bytes into longest pieces from the left, the first of at most ``first`` bytes."""
    found, most = [], first
    while text:
        size = next(n for n in range(min(most, len(text)), 0, -1) if text[:n] in ids)
        found.append(ids[text[:size]])
        text, most = text[size:], longest
    return found


class Resegmentation:
    """Draws other segmentations of padded rows of pieces.

    Args:
        vocabulary: of the pieces.
        share: probability that a piece is refused in each of ``ROUNDS``, in [0, 1).
        most: longest row in pieces; what grows beyond it is cut.
        growth: of the padded widths.
    """

    def __init__(self, vocabulary: SubwordVocabulary, share: float, most: int, growth: float = GROWTH) -> None:
        self.share, self.most, self.size = share, most, vocabulary.size
        same = tf.RaggedTensor.from_row_lengths(tf.range(self.size), tf.ones([self.size], tf.int64))
        self.table = tf.concat([same, alternatives(vocabulary)], axis=0)
        self.limits = widths(most, growth)

    def __call__(self, ids: Any, lengths: Any, seed: Any) -> tuple[Any, Any]:
        """Write each row anew; what it decodes to stays the same, unless it is cut.

        Args:
            ids: int32 [B, T], padded on the right.
            lengths: int32 [B].
            seed: int32 [2]; the same one draws the same segmentation.

        Returns:
            int32 [B, T'], padded with 0 to one of a few widths, and the new lengths int32 [B].
        """
        rows = tf.RaggedTensor.from_tensor(ids, lengths=lengths)
        for number in range(ROUNDS):
            rows = self._refused(rows, seed + tf.constant([0, 1_000_003 * (number + 1)], seed.dtype))
        rows = rows[:, : self.most]
        return padded(rows, self.limits), tf.cast(rows.row_lengths(), tf.int32)

    def _refused(self, rows: tf.RaggedTensor, seed: Any) -> tf.RaggedTensor:
        drawn = tf.random.stateless_uniform(tf.shape(rows.values), seed) < self.share
        parts = tf.gather(self.table, rows.values + self.size * tf.cast(drawn, tf.int32))
        return tf.RaggedTensor.from_row_splits(parts.values, tf.gather(parts.row_splits, rows.row_splits))
