"""Text in graph: cleaning, subword segmentation and back, with plain TensorFlow operations only.

A piece stands for a run of bytes that begins with at most one space. A text is its words, each behind one space, and
a word is cut greedily into the longest pieces from the left; single bytes are pieces too, so every text can be
written, and joining the pieces gives the text back up to white space. In `vocabulary.txt` a piece that begins a word
is written bare (`film`), one that continues a word carries `##` (`##s`), a single byte is `<0x20>`.

The same functions run in training, prediction and export: a SavedModel that uses them loads with tensorflow alone.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines.data.reading import text_of
from pipelines.data.source import Example

PAD, BOS, EOS = 0, 1, 2
SPECIALS = ("<pad>", "<bos>", "<eos>")
FIRST_BYTE = len(SPECIALS)
RESERVED = (*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256)))
EMPTY = FIRST_BYTE + ord(" ")  # the one-piece text that stands for no text at all
CONTINUES = "##"

_LONGEST_WORD = 100  # characters; a longer word is cut, so that no word costs more than linear time
_BLANK = r"[\p{Z}\p{Cc}]+"
_TAG = r"<!--[^>]*-->|</?[A-Za-z][^<>]*>"
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#0*39;|&apos;", "'"), ("&nbsp;", " "), ("&amp;", "&"))


def clean(texts: tf.Tensor) -> tf.Tensor:
    """Makes valid UTF-8 with single spaces: what `encode` sees and `decode` gives back.

    Invalid bytes become U+FFFD; every run of Unicode white space and control characters becomes one space, none at
    the ends. `texts` is tf.string of any shape; so is the result.
    """
    valid = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    return tf.strings.strip(tf.strings.regex_replace(valid, _BLANK, " "))


def normalise(texts: tf.Tensor, lowercase: bool = True, markup: bool = False) -> tf.Tensor:
    """Cleans texts, and optionally removes HTML markup and case.

    Args:
        texts: tf.string of any shape.
        lowercase: lower-case by the Unicode rules that know no language (Turkish İ becomes i and a combining dot).
        markup: replace tags such as `<br />` by a space and the common entities by their character.

    Returns:
        tf.string of the same shape, as `clean` leaves it.
    """
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    if markup:
        texts = tf.strings.regex_replace(texts, _TAG, " ")
        for entity, character in _ENTITIES:
            texts = tf.strings.regex_replace(texts, entity, character)
    if lowercase:
        texts = tf.strings.lower(texts, encoding="utf-8")
    return clean(texts)


def ensure_min_length(ids: tf.RaggedTensor) -> tf.RaggedTensor:
    """Gives every empty row of `ids` [B, (T)] the single piece EMPTY, which decodes to the empty string."""
    lengths = ids.row_lengths()
    filler = tf.RaggedTensor.from_row_lengths(
        tf.fill([tf.math.count_nonzero(lengths == 0)], tf.constant(EMPTY, ids.dtype)),
        tf.cast(lengths == 0, lengths.dtype),
    )
    return tf.concat([ids, filler], axis=1)


def truncate(ids: tf.RaggedTensor, length: int, keep: str = "head") -> tf.RaggedTensor:
    """Cuts rows of `ids` [B, (T)] to at most `length` pieces.

    `keep` says which pieces stay: "head", "tail", or "both" (the first half, rounded up, and the last half).
    Raises ValueError for another `keep` or a length below 1.
    """
    if length < 1:
        raise ValueError(f"truncate: length must be at least 1, got {length}")
    if keep == "head":
        return ids[:, :length]
    if keep == "tail":
        return ids[:, -length:]
    if keep != "both":
        raise ValueError(f"truncate: keep must be head, tail or both, got {keep!r}")
    position = tf.ragged.range(ids.row_lengths())
    from_end = tf.expand_dims(ids.row_lengths(), 1) - position
    head = (length + 1) // 2
    return tf.ragged.boolean_mask(ids, (position < head) | (from_end <= length - head))


class SubwordVocabulary(tf.Module):
    """A fixed list of pieces with the in-graph functions that need it.

    Attributes:
        vocabulary: the pieces as `vocabulary.txt` has them; the index is the id. It begins with RESERVED.
        size: number of pieces, V.
        written: the bytes that each piece stands for, in the same order.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """Builds the look-up tables.

        Raises ValueError when the list does not begin with RESERVED, or a piece is repeated, empty, not valid
        Unicode, holds white space or control characters, or a bare `##…` makes it ambiguous.
        """
        super().__init__()
        self.vocabulary = tuple(vocabulary)
        self.size = len(self.vocabulary)
        learned = _learned_bytes(self.vocabulary)
        written = [b""] * len(SPECIALS) + [bytes([byte]) for byte in range(256)] + learned
        # A learned piece of one ASCII character is preferred to the byte piece that stands for the same byte.
        ids = dict(zip(written[FIRST_BYTE:], range(FIRST_BYTE, self.size), strict=True))
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(list(ids)), tf.constant(list(ids.values()), tf.int32)),
            default_value=PAD,
        )
        self.written = tuple(written)
        self._names = tf.constant(self.vocabulary)
        self._written = tf.constant(written)
        self._byte_lengths = tf.constant([len(piece) for piece in written], tf.int32)
        self._match_lengths = tf.constant(sorted({len(piece) for piece in ids}, reverse=True), tf.int32)

    @classmethod
    def load(cls, path: str | Path) -> "SubwordVocabulary":
        """Reads a vocabulary file: UTF-8, one piece a line. Raises ValueError naming the file when it does not fit."""
        try:
            lines = Path(path).read_bytes().decode("utf-8").removesuffix("\n").split("\n")
            return cls(lines)
        except ValueError as error:
            raise ValueError(f"{path}: not a vocabulary: {error}") from None

    def save(self, path: str | Path) -> None:
        """Writes the vocabulary as a UTF-8 file, one piece a line."""
        Path(path).write_bytes("".join(f"{piece}\n" for piece in self.vocabulary).encode("utf-8"))

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Segments texts: tf.string [B] -> int32 ids [B, (T)]; T is 0 for a text without words.

        Greedy longest match within each white-space word (the inference rule of WordPiece, Schuster & Nakajima 2012),
        done once for each distinct word of the batch.
        """
        words = tf.strings.split(clean(texts))
        distinct, index = tf.unique(words.values)
        by_word = tf.gather(self._segment(distinct), index)
        return tf.RaggedTensor.from_row_splits(by_word.values, tf.gather(by_word.row_splits, words.row_splits))

    def decode(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.Tensor:
        """Joins pieces: int ids [B, (T)], ragged or padded -> tf.string [B]; <pad>, <bos> and <eos> write nothing."""
        return clean(tf.strings.reduce_join(tf.gather(self._written, ids), axis=1))

    def pieces(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.RaggedTensor | tf.Tensor:
        """Names each id as the vocabulary file writes it: int [B, (T)] -> tf.string of the same shape."""
        return tf.gather(self._names, ids)

    def _segment(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Segments words without white space: tf.string [N] -> int32 [N, (T)]."""
        cut = tf.strings.regex_replace(tf.strings.join([" ", words]), f".{{{_LONGEST_WORD + 1}}}", "\\0\n")
        parts = tf.strings.split(cut, "\n")
        ids = self._match(parts.values)
        return tf.RaggedTensor.from_row_splits(ids.values, tf.gather(ids.row_splits, parts.row_splits))

    def _match(self, parts: tf.Tensor) -> tf.RaggedTensor:
        """Cuts strings [N] into longest pieces from the left, one piece of every unfinished string a step."""
        count = tf.size(parts)
        owner, rest = _unfinished(tf.range(count), parts)

        def step(n: tf.Tensor, owner: tf.Tensor, rest: tf.Tensor, owners: tf.TensorArray, ids: tf.TensorArray) -> tuple:
            best = self._longest(rest)
            owners, ids = owners.write(n, owner), ids.write(n, best)
            # a length beyond every string: to the end
            rest = tf.strings.substr(rest, tf.gather(self._byte_lengths, best), tf.fill(tf.shape(best), 2**30))
            return n + 1, *_unfinished(owner, rest), owners, ids

        one = tf.TensorShape([None])
        *_, owners, ids = tf.while_loop(
            lambda n, owner, *_: tf.size(owner) > 0,
            step,
            (1, owner, rest, _growing(), _growing()),
            shape_invariants=(tf.TensorShape([]), one, one, tf.TensorShape(None), tf.TensorShape(None)),
        )
        owners, ids = owners.concat(), ids.concat()
        order = tf.argsort(owners, stable=True)
        return tf.RaggedTensor.from_value_rowids(
            tf.gather(ids, order), tf.cast(tf.gather(owners, order), tf.int64), tf.cast(count, tf.int64)
        )

    def _longest(self, rest: tf.Tensor) -> tf.Tensor:
        """The id of the longest piece that each non-empty string begins with: tf.string [N] -> int32 [N]."""
        starts = tf.strings.substr(
            rest[:, None], tf.zeros_like(self._match_lengths)[None, :], self._match_lengths[None, :]
        )
        ids = self._table.lookup(starts)
        return tf.gather(ids, tf.argmax(ids != PAD, axis=1), batch_dims=1)


def _growing() -> tf.TensorArray:
    """An array of int32 vectors of any length, one a step; the first is empty, because none cannot be joined."""
    array = tf.TensorArray(tf.int32, 1, dynamic_size=True, infer_shape=False, element_shape=[None])
    return array.write(0, tf.zeros([0], tf.int32))


def _unfinished(owner: tf.Tensor, rest: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Keeps the strings that still have bytes, and their owners."""
    left = tf.where(tf.strings.length(rest) > 0)[:, 0]
    return tf.gather(owner, left), tf.gather(rest, left)


def _learned_bytes(vocabulary: Sequence[str]) -> list[bytes]:
    """Checks a vocabulary and returns the bytes that each piece after RESERVED stands for."""
    if tuple(vocabulary[: len(RESERVED)]) != RESERVED:
        raise ValueError(f"it must begin with the {len(RESERVED)} reserved pieces <pad> <bos> <eos> <0x00> … <0xFF>")
    seen = set(RESERVED)
    written = []
    for line, piece in enumerate(vocabulary[len(RESERVED) :], len(RESERVED) + 1):
        text = piece.removeprefix(CONTINUES)
        if not text or "".join(text.split()) != text or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
            raise ValueError(f"line {line}: {piece!r} is empty or holds white space or control characters")
        if piece in seen:
            raise ValueError(f"line {line}: {piece!r} is there twice")
        seen.add(piece)
        written.append((text if piece.startswith(CONTINUES) else f" {piece}").encode("utf-8"))
    return written


def raw_texts(inputs: Iterable[Any], name: str) -> list[Example]:
    """Wrap texts as raw examples without references; ids count from 0.

    Args:
        inputs: texts, or bytes, which are read as UTF-8, or as UTF-16 with its mark.
        name: under which each example holds its text, a ``str``.

    Raises:
        ValueError: an input is something else, such as the None or NaN of a missing one, or bytes that are no text.
    """
    examples: list[Example] = []
    for number, given in enumerate(inputs):
        if not isinstance(given, str | bytes):
            raise ValueError(f"input {number + 1}: expected a text, came {type(given).__name__}")
        try:
            text = text_of(given) if isinstance(given, bytes) else str(given)  # NumPy's str_ is a str
        except ValueError as error:
            raise ValueError(f"input {number + 1}: {error}") from None
        examples.append({"id": str(number), "where": f"input {number + 1}", name: text})
    return examples
