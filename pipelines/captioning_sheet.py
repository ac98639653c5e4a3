"""Pictures of a split on one sheet, each with its caption and where every word of it looked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pipelines.captioning_data import Preprocessor
from pipelines.captioning_explain import Look, look
from pipelines.data.sources.source import Example
from pipelines.training import plots
from pipelines.training.explanation import Sheet

MOST = 14
"""Words of a caption that are drawn; a longer one is written whole above them."""


class Line(NamedTuple):
    """One picture of the sheet: what it is, what was seen in it, or why nothing was."""

    example: Example
    look: Look | None
    problem: str = ""


def sheet(
    preprocessor: Preprocessor,
    examples: Iterable[Example],
    decode_one: Callable[[Mapping[str, Any]], dict[str, Any]],
    answer: Callable[[Example, Mapping[str, np.ndarray]], dict[str, Any]],
) -> Sheet:
    """Caption pictures one by one; one that cannot be used has its reason in place of a caption.

    Args:
        preprocessor: of the run.
        examples: with ``id``, ``image`` and perhaps ``captions``.
        decode_one: as for `captioning_explain.look`.
        answer: from an example and the only row of its batch to a prediction.
    """
    lines = []
    for example in examples:
        image = example["image"]
        named = example | {"image": "" if isinstance(image, bytes) else str(image)}
        try:
            lines.append(Line(example, look(preprocessor, image, decode_one, partial(answer, named))))
        except ValueError as error:
            lines.append(Line(example, None, str(error)))
    return Sheet(draw(lines), [row(line) for line in lines])


def draw(lines: Sequence[Line]) -> plots.Picture:
    """Draw every picture in a row of its own, its words with their attention beside it."""
    columns = 1 + max((min(len(line.look.words), MOST) for line in lines if line.look), default=1)
    figure = plots.canvas(1.25 * columns, 1.55 * len(lines))
    grids: Any = figure.subfigures(len(lines), 1)
    for grid, line in zip(np.atleast_1d(grids), lines, strict=True):
        panels: Any = np.atleast_1d(grid.subplots(1, columns))
        for panel in panels:
            panel.axis("off")
        title = f"{line.example['id']}: {line.problem or (line.look.prediction['answer'] if line.look else '')}"
        grid.suptitle(title[:150], x=0.01, ha="left", fontsize=8, parse_math=False)
        if line.look:
            plots.draw_attention(panels, line.look.shown, line.look.words[:MOST], line.look.maps[:MOST])
    return figure


def row(line: Line) -> dict[str, Any]:
    """Return the numbers of one picture: its name, answer, score, first reference, and why there is no answer."""
    references = line.example.get("captions", [])
    found = line.look.prediction if line.look else {"answer": "", "score": 0.0}
    return {
        "picture": line.example["id"],
        "answer": found["answer"],
        "score": found["score"],
        "reference": references[0] if references else "",
        "problem": line.problem,
    }
