"""What ``explain`` gives for any task: the answer, its reasons as numbers and as a picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np
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
        rows = self.numbers["rows"]
        lines = ["\t".join(rows[0])] if rows else []
        lines += ["\t".join(f"{v:.5f}" if isinstance(v, float) else str(v) for v in row.values()) for row in rows]
        return "\n".join(lines)
