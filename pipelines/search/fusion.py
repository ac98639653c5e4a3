"""CTC prefix beam search with shallow fusion of a language model, in NumPy.

Hannun et al., "First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs", 2014:
the score is log p_ctc(prefix) + alpha log p_lm(prefix) + beta |units|, where a unit is a word or character of the
language model. Blank is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from pipelines.search.ngram import BEGIN, END, SPACE, Gram, NGram

Array = np.ndarray[Any, Any]
BLANK = 0
Prefix = tuple[int, ...]


class Hypothesis(NamedTuple):
    """A transcript as symbol indices, its score, and the two parts of the score (natural logarithms)."""

    tokens: Prefix
    score: float
    acoustic: float
    language: float


class Fusion(Protocol):
    """Language model scores of a prefix, symbol by symbol."""

    def start(self) -> Any:
        """The state of the empty prefix."""

    def extend(self, state: Any, token: int) -> tuple[Any, float]:
        """The state after one more symbol, and the score of that symbol."""

    def finish(self, state: Any) -> float:
        """The score of the end of the recording."""


@dataclass(frozen=True)
class SymbolFusion:
    """Fusion of a character model: every character of a symbol is scored when the symbol is appended.

    `symbols[i]` is the text of symbol i, a character or a word piece. The model sees a space as `SPACE`, except at the
    start of the first piece.
    """

    model: NGram
    symbols: Sequence[str]
    alpha: float = 0.5
    beta: float = 0.0

    def start(self) -> Gram:
        """The state at the start of a sentence."""
        return (BEGIN,)

    def extend(self, state: Gram, token: int) -> tuple[Gram, float]:
        """alpha log p(character | state) + beta, summed over the symbol's characters."""
        text, gained = self.symbols[token], 0.0
        if len(text) > 1 and state == (BEGIN,):
            text = text.removeprefix(" ")
        for character in text:
            unit = SPACE if character == " " else character
            gained += self.alpha * self.model.log(state, unit) + self.beta
            state = self.model.advance(state, unit)
        return state, gained

    def finish(self, state: Gram) -> float:
        """alpha log p(end | state)."""
        return self.alpha * self.model.log(state, END)


@dataclass(frozen=True)
class WordFusion:
    """Fusion of a word model: a word is scored when the space after it is appended.

    The space is a symbol of its own, or the first character of the next word's first piece.
    """

    model: NGram
    symbols: Sequence[str]
    alpha: float = 0.5
    beta: float = 1.0

    def start(self) -> tuple[Gram, str]:
        """The state at the start of a sentence."""
        return (BEGIN,), ""

    def extend(self, state: tuple[Gram, str], token: int) -> tuple[tuple[Gram, str], float]:
        """0 within a word; alpha log p(word | state) + beta at its end."""
        context, begun = state
        symbol, gained = self.symbols[token], 0.0
        if symbol.startswith(" ") and begun:
            gained, context, begun = self._word(context, begun), self.model.advance(context, begun), ""
        return (context, begun + symbol.strip(" ")), gained

    def finish(self, state: tuple[Gram, str]) -> float:
        """The scores of the last word and of the end of the sentence."""
        context, begun = state
        last = 0.0
        if begun:
            last, context = self._word(context, begun), self.model.advance(context, begun)
        return last + self.alpha * self.model.log(context, END)

    def _word(self, context: Gram, word: str) -> float:
        return self.alpha * self.model.log(context, word) + self.beta


class _Beam(NamedTuple):
    """Log-probability of a prefix over paths that end in a blank, and over those that end in its last symbol."""

    blank: float
    symbol: float

    @property
    def total(self) -> float:
        """The log-probability over all paths."""
        return _add(self.blank, self.symbol)


def _add(one: float, two: float) -> float:
    """log(exp(one) + exp(two))."""
    if one < two:
        one, two = two, one
    return one if two == -math.inf else one + math.log1p(math.exp(two - one))


def prefix_beam(
    log_probs: Array, fusion: Fusion | None = None, width: int = 16, unlikely: float = -12.0
) -> list[Hypothesis]:
    """The `width` best transcripts of one recording, best first.

    `log_probs` float [T, V] are log-probabilities of the real frames, blank 0. In each frame symbols with a
    log-probability below `unlikely` are skipped (-inf: none). Raises ValueError for another shape or a width below 1.
    """
    log_probs = np.asarray(log_probs, np.float64)
    if log_probs.ndim != 2 or log_probs.shape[1] < 2:
        raise ValueError(f"expected log-probabilities [T, V] with V >= 2, got shape {list(log_probs.shape)}")
    if width < 1:
        raise ValueError(f"the beam width must be at least 1, got {width}")
    beams: dict[Prefix, _Beam] = {(): _Beam(0.0, -math.inf)}
    language: dict[Prefix, tuple[Any, float]] = {(): (fusion.start() if fusion else None, 0.0)}
    for frame in log_probs:
        grown = _step(beams, frame, np.flatnonzero(frame >= unlikely))
        for prefix in grown:
            if fusion and prefix not in language:
                state, score = language[prefix[:-1]]
                state, gain = fusion.extend(state, prefix[-1])
                language[prefix] = state, score + gain
        ranked = sorted(grown, key=lambda p: grown[p].total + (language[p][1] if fusion else 0.0), reverse=True)
        beams = {prefix: grown[prefix] for prefix in ranked[:width]}
    return _finished(beams, language, fusion)


def _step(beams: dict[Prefix, _Beam], frame: Array, likely: Array) -> dict[Prefix, _Beam]:
    """Extend every prefix by one frame: kept by a blank or a repetition, or one symbol longer."""
    grown: dict[Prefix, _Beam] = {}
    nothing = _Beam(-math.inf, -math.inf)
    symbols = [(int(token), float(frame[token])) for token in likely if token != BLANK]
    for prefix, beam in beams.items():
        last = prefix[-1] if prefix else BLANK
        total = beam.total
        kept = grown.get(prefix, nothing)
        repeated = beam.symbol + float(frame[last]) if prefix else -math.inf
        grown[prefix] = _Beam(_add(kept.blank, total + float(frame[BLANK])), _add(kept.symbol, repeated))
        for token, value in symbols:
            longer = (*prefix, token)
            reached = value + (beam.blank if token == last else total)
            if reached == -math.inf:
                continue
            before = grown.get(longer, nothing)
            grown[longer] = _Beam(before.blank, _add(before.symbol, reached))
    return grown


def _finished(
    beams: dict[Prefix, _Beam], language: dict[Prefix, tuple[Any, float]], fusion: Fusion | None
) -> list[Hypothesis]:
    found = []
    for prefix, beam in beams.items():
        state, score = language.get(prefix, (None, 0.0))
        score += fusion.finish(state) if fusion else 0.0
        found.append(Hypothesis(prefix, beam.total + score, beam.total, score))
    return sorted(found, key=lambda hypothesis: hypothesis.score, reverse=True)
