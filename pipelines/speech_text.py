"""Transcripts: how a text is written before it is learned and scored, and the alphabet that spells it."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

APOSTROPHES = "'’"
LARGEST = 2000


def normalise(text: str, lowercase: bool = True, punctuation: bool = False) -> str:
    """One form for every transcript: NFC, single spaces, case folded if asked, no punctuation or symbols unless kept.

    Apostrophes always stay (as '), because they are part of words.
    """
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    text = unicodedata.normalize("NFC", text.lower()) if lowercase else text
    if not punctuation:
        text = "".join(" " if _is_punctuation(character) else character for character in text)
    return " ".join(text.split())


def _is_punctuation(character: str) -> bool:
    return character not in APOSTROPHES and unicodedata.category(character)[0] in "PSC"


class Alphabet(tf.Module):
    """The symbols that the network tells apart; number 0 is the CTC blank and is written as nothing.

    Attributes:
        symbols: the text of each symbol.
        size: V, the blank included.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        """Raise ValueError unless the list begins with the blank "" and holds single, different characters."""
        super().__init__()
        self.symbols = tuple(symbols)
        if not self.symbols or self.symbols[0] != "" or len(set(self.symbols)) < len(self.symbols):
            raise ValueError("an alphabet begins with the blank '' and repeats no symbol")
        if any(len(symbol) != 1 for symbol in self.symbols[1:]):
            raise ValueError("an alphabet holds single characters")
        self.size = len(self.symbols)
        self.numbers = {symbol: number for number, symbol in enumerate(self.symbols)}
        self._written = tf.constant(self.symbols)

    @classmethod
    def learn(cls, texts: Iterable[str]) -> Alphabet:
        """Collect the characters of normalised texts. ValueError when there are none, or more than 2000."""
        characters = sorted({character for text in texts for character in text})
        if not characters:
            raise ValueError("the transcripts of the training data hold no letters")
        if len(characters) > LARGEST:
            raise ValueError(
                f"the transcripts hold {len(characters)} different characters, at most {LARGEST} can be learned"
            )
        return cls(["", *characters])

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
        """Numbers of a normalised text's characters; characters outside the alphabet are left out."""
        return [self.numbers[character] for character in text if character in self.numbers]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that numbers spell, without outer and double spaces."""
        return " ".join("".join(self.symbols[number] for number in numbers).split())

    def spell(self, tokens: Any) -> Any:
        """The same in graph: int32 [B, U], ragged or padded with 0 -> tf.string [B] without outer and double spaces."""
        text = tf.strings.reduce_join(tf.gather(self._written, tokens), axis=1)
        return tf.strings.strip(tf.strings.regex_replace(text, " +", " "))


def frames_needed(tokens: Sequence[int]) -> int:
    """Least steps in which CTC can spell tokens: one each, and a blank between equal neighbours."""
    return len(tokens) + sum(one == two for one, two in itertools.pairwise(tokens))
