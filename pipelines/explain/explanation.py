"""The result of ``explain``: an answer with numbers, arrays and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Explanation:
    """One answer and its explanation.

    Attributes:
        answer: the answer of ``predict``.
        score: its score.
        numbers: JSON types; ``rows`` is a table (list of equal dicts) with one row per token, frame or word.
        arrays: the full maps by name, for notebooks.
        picture: the figure.
    """

    answer: str
    score: float
    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]
    picture: Figure


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: a figure of several examples, and a table with one row per example."""

    picture: Figure
    rows: list[dict[str, Any]]


def table(rows: list[dict[str, Any]]) -> str:
    """Format equal dicts as tab-separated lines with a header."""
    lines = ["\t".join(rows[0])] if rows else []
    lines += ["\t".join(f"{v:.5f}" if isinstance(v, float) else str(v) for v in row.values()) for row in rows]
    return "\n".join(lines)
