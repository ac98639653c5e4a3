"""The result of ``explain``: an answer with numbers, arrays and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Explanation:
    """One answer and where it comes from.

    Attributes:
        answer: what ``predict`` answers.
        score: its score.
        numbers: JSON types; ``rows`` is a table (list of equal dicts) with one row a piece, frame or word.
        arrays: the full maps by name, for notebooks.
        picture: all of it as a figure.
    """

    answer: str
    score: float
    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]
    picture: Figure

    def table(self) -> str:
        """Lay out ``rows`` as tab-separated lines with a header."""
        return table(self.numbers["rows"])


@dataclass(frozen=True)
class Sheet:
    """Several examples explained together: a figure, and a table with one row an example."""

    picture: Figure
    rows: list[dict[str, Any]]


def table(rows: list[dict[str, Any]]) -> str:
    """Lay out equal dicts as tab-separated lines with a header."""
    lines = ["\t".join(rows[0])] if rows else []
    lines += ["\t".join(f"{v:.5f}" if isinstance(v, float) else str(v) for v in row.values()) for row in rows]
    return "\n".join(lines)
