"""Transcripts: normalisation, alphabets, and words with their times."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines.data.text.vocabulary import CONTINUES, EMPTY, RESERVED, SubwordVocabulary

APOSTROPHES = "'’"
JOINERS = "\u200c\u200d"
BETWEEN_WORDS = "\u200b"
_LOOSE = re.compile(rf"(?<!\S)[{JOINERS}]+|[{JOINERS}]+(?!\S)")
"""Joiners at an end of a word, where they join nothing."""
LARGEST = 10_000
"""Different characters: Chinese needs four to eight thousand. More come from a column that is no transcript."""


def normalise(text: str, lowercase: bool = True, punctuation: bool = False) -> str:
    """One form for every transcript: NFC, single spaces, case folded if asked, no punctuation or symbols unless kept.

    Apostrophes always stay (as '), because they are part of words. What cannot be seen goes and parts no word, such as
    soft hyphens and marks of direction; the joiners U+200C and U+200D stay within words, because Persian and Sinhala
    are spelled with them, and the zero width space U+200B is a space.
    """
    text = unicodedata.normalize("NFC", _visible(text)).replace("’", "'")
    text = unicodedata.normalize("NFC", text.lower()) if lowercase else text
    if not punctuation:
        text = "".join(" " if _is_punctuation(character) else character for character in text)
    return " ".join(_LOOSE.sub("", text).split())


def _visible(text: str) -> str:
    if text.isascii():
        return text
    text = text.replace(BETWEEN_WORDS, " ")
    return "".join(one for one in text if one in JOINERS or unicodedata.category(one) != "Cf")


def _is_punctuation(character: str) -> bool:
    return character not in APOSTROPHES + JOINERS and unicodedata.category(character)[0] in "PSC"


class Alphabet(tf.Module):
    """The symbols that the network tells apart; number 0 is the CTC blank and is written as nothing.

    Symbols are characters, or word pieces as in `pipelines.data.text.vocabulary`; the first of a word begins with " ".

    Attributes:
        symbols: the text of each symbol.
        size: V, the blank included.
        pieces: whether symbols are pieces.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        """Raise ValueError unless the list begins with the blank "" and holds different characters or pieces.

        Pieces stand behind "" and " ", and hold a space at their beginning only.
        """
        super().__init__()
        self.symbols = tuple(symbols)
        if not self.symbols or self.symbols[0] != "" or len(set(self.symbols)) < len(self.symbols):
            raise ValueError("an alphabet begins with the blank '' and repeats no symbol")
        self.pieces = any(len(symbol) > 1 for symbol in self.symbols)
        if "" in self.symbols[1:] or (self.pieces and self.symbols[1] != " "):
            raise ValueError("an alphabet holds single characters, or pieces of words behind '' and ' '")
        if any(symbol[1:].split() != [symbol[1:]] for symbol in self.symbols if len(symbol) > 1):
            raise ValueError("a piece of a word holds a space at its beginning only")
        self.size = len(self.symbols)
        self.numbers = {symbol: number for number, symbol in enumerate(self.symbols)}
        self._written = tf.constant(self.symbols)
        self._begins = tf.constant([len(symbol) > 1 and symbol[0] == " " for symbol in self.symbols])

    @classmethod
    def learn(cls, texts: Iterable[str]) -> Alphabet:
        """Collect the characters of normalised texts. ValueError when there are none, or more than ``LARGEST``."""
        characters = sorted({character for text in texts for character in text})
        if not characters:
            raise ValueError("the transcripts of the training data hold no letters")
        if len(characters) > LARGEST:
            raise ValueError(
                f"the transcripts hold {len(characters)} different characters, at most {LARGEST} are learned; "
                f"--vocabulary subword --vocabulary-size {2 * len(characters) + 2} takes them all"
            )
        return cls(["", *characters])

    @classmethod
    def learn_pieces(cls, texts: Iterable[str], size: int) -> Alphabet:
        """Learn at most ``size`` symbols from normalised texts, with every character among them.

        ValueError when there are no letters, or more than ``size`` allows.
        """
        from pipelines.data.text.learning import learn_vocabulary  # noqa: PLC0415  # tokenizers: training only

        texts = list(texts)
        characters = {character for text in texts for character in text} - {" "}
        if not characters:
            raise ValueError("the transcripts of the training data hold no letters")
        learned = learn_vocabulary(texts, max(size, 3) - 2 + len(RESERVED), lowercase=False, min_frequency=1)
        learned = [_text(piece) for piece in learned[len(RESERVED) :]]
        if not characters <= set(learned):
            raise ValueError(
                f"--vocabulary-size {size}: has no room for {len(characters)} different letters; "
                f"expected at least {2 * len(characters) + 2}"
            )
        return cls(["", " ", *learned])

    @classmethod
    def load(cls, path: Path) -> Alphabet:
        """Read what ``save`` wrote. ValueError naming the file when it is something else."""
        try:
            return cls(json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: not an alphabet: {error}") from None

    def save(self, path: Path) -> None:
        """Write a JSON list of the symbols."""
        path.write_text(json.dumps(self.symbols, ensure_ascii=False) + "\n", "utf-8")

    def encode(self, text: str) -> list[int]:
        """Numbers of a normalised text's symbols; characters outside the alphabet are left out."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """The same for several texts; pieces are the longest from the left, see `SubwordVocabulary`."""
        if not self.pieces:
            return [[self.numbers[character] for character in text if character in self.numbers] for text in texts]
        named = [symbol[1:] if symbol[0] == " " else CONTINUES + symbol for symbol in self.symbols[2:]]
        ids = SubwordVocabulary([*RESERVED, *named]).encode(tf.constant(texts, tf.string)).to_list()
        known = {EMPTY: 1} | {len(RESERVED) + i: 2 + i for i in range(len(named))}
        return [[known[piece] for piece in row if piece in known] for row in ids]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that numbers spell, without outer and double spaces."""
        return " ".join("".join(self.symbols[number] for number in numbers).split())

    def begins(self, tokens: Any) -> Any:
        """In graph, whether each symbol is a piece that begins a word: int32 of any shape -> bool."""
        return tf.gather(self._begins, tokens)

    def spell(self, tokens: Any) -> Any:
        """The same in graph: int32 [B, U], ragged or padded with 0 -> tf.string [B] without outer and double spaces."""
        text = tf.strings.reduce_join(tf.gather(self._written, tokens), axis=1)
        return tf.strings.strip(tf.strings.regex_replace(text, " +", " "))


def _text(piece: str) -> str:
    return piece.removeprefix(CONTINUES) if piece.startswith(CONTINUES) else f" {piece}"


def frames_needed(tokens: Sequence[int]) -> int:
    """Least steps in which CTC can spell tokens: one each, and a blank between equal neighbours."""
    return len(tokens) + sum(one == two for one, two in itertools.pairwise(tokens))


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
