"""Counts of validation: text lengths for each field, unseen words, and digests for duplicates."""

import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_WORD = re.compile(r"\w+")
_BITS = 27


class WordTable:
    """Remembers words in 16 MiB, however many there are: of a million, one in a hundred is confused with another."""

    def __init__(self) -> None:
        self._bits = bytearray(2 ** (_BITS - 3))

    def add(self, word: str) -> None:
        """Remember ``word``."""
        place = hash(word) % 2**_BITS
        self._bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, word: str) -> bool:
        """Say whether ``word`` was added."""
        place = hash(word) % 2**_BITS
        return bool(self._bits[place >> 3] & 1 << (place & 7))


Seen = dict[str, WordTable]
"""Words of the training split by field, so that two languages are not mixed."""


@dataclass
class Lengths:
    """Lengths of the texts of one field, and how many of their words the training split lacks."""

    words: Counter[int] = field(default_factory=Counter)
    characters: Counter[int] = field(default_factory=Counter)
    tokens: int = 0
    unseen: int = 0

    def add(self, text: str, seen: WordTable, learn: bool) -> None:
        """Count one text; with ``learn`` its words are added to ``seen``, else looked up there."""
        self.characters[len(text)] += 1
        self.words[len(text.split())] += 1
        words = _WORD.findall(text.casefold())
        if learn:
            for word in words:
                seen.add(word)
        else:
            self.tokens += len(words)
            self.unseen += sum(word not in seen for word in words)

    def summary(self, unseen: bool) -> dict[str, Any]:
        """Return the percentiles and, with ``unseen``, the share of unseen words."""
        return {
            "words": percentiles(self.words),
            "characters": percentiles(self.characters),
            "unseen_words": round(self.unseen / self.tokens, 6) if unseen and self.tokens else None,
        }


@dataclass
class Split:
    """Counts of one split.

    Attributes:
        compared: what is compared to find duplicates, see `identity.kind_of`.
        texts: digest of the texts of each usable example.
        files: digest of the decoded file of each; empty if examples have no files.
        refused: numbers of the unusable examples.
    """

    name: str
    known: Counter[str] | None
    examples: int = 0
    bad: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    fields: dict[str, Lengths] = field(default_factory=dict)
    not_nfc: int = 0
    not_nfc_at: list[str] = field(default_factory=list)
    unusual: int = 0
    unusual_at: list[str] = field(default_factory=list)
    compared: str = "text"
    texts: array = field(default_factory=lambda: array("Q"))
    files: array = field(default_factory=lambda: array("Q"))
    refused: set[int] = field(default_factory=set)


def percentiles(lengths: Counter[int]) -> dict[str, int]:
    """Return the shortest, the 50th, 95th and 99th percentile (nearest rank), and the longest of counted lengths."""
    if not lengths:
        return {}
    values = np.array(sorted(lengths), np.int64)
    ranks = np.cumsum([lengths[int(value)] for value in values])
    at = {str(p): int(values[np.searchsorted(ranks, p / 100 * ranks[-1])]) for p in (50, 95, 99)}
    return {"min": int(values[0]), **at, "max": int(values[-1])}
