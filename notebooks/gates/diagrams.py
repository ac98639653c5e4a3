"""Teaching figures: curves on shared axes, and networks unrolled in time."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from matplotlib.figure import Figure

from pipelines.config import from_dict
from pipelines.explain.plots import Picture, canvas
from pipelines.task import Task

INPUT, STATE, OUTPUT = "#dbe9f6", "#fde3c8", "#d9efd5"
SHOWN_STEPS, WIDEST = 4, 12
"""Number of steps drawn for a sequence, and number of steps that fit side by side."""
EXAMPLES = 64
"""Number of built-in examples on which an untrained network's preprocessor is fitted."""


def curves(
    named: Mapping[str, tuple[Any, Any]],
    labels: tuple[str, str],
    *,
    logarithmic: str = "",
    levels: Mapping[str, float] | None = None,
    title: str = "",
    panel: Any = None,
) -> Figure:
    """Plot curves on shared axes.

    Args:
        named: legend -> (x, y), each a sequence of numbers.
        labels: labels of the x axis and the y axis.
        logarithmic: logarithmic axes: ``""``, ``"x"``, ``"y"`` or ``"xy"``.
        levels: legend -> y of a dashed horizontal line.
        title: title of the plot.
        panel: matplotlib axes; a new figure when omitted.
    """
    panel = canvas(6.4, 3.8).subplots() if panel is None else panel
    for name, (x, y) in named.items():
        panel.plot(x, y, label=name, marker="o" if len(x) < 12 else None, markersize=4)
    for name, level in (levels or {}).items():
        panel.axhline(level, color="grey", linestyle="--", linewidth=1, label=name)
    for axis in logarithmic:
        panel.set(**{f"{axis}scale": "log"})
    panel.set(xlabel=labels[0], ylabel=labels[1])
    panel.set_title(title, fontsize=10, parse_math=False)
    panel.grid(alpha=0.3)
    if len(panel.lines) > 1:
        panel.legend(fontsize=8)
    return panel.figure


@dataclass(frozen=True)
class Pattern:
    """Input and output pattern of a network in time.

    Attributes:
        name: of the network.
        reads: name and shape of its input, B first; T for an open length.
        writes: the same for its output.
        many_in: whether the input is a sequence.
        many_out: whether the output is a sequence.
        feeds_back: whether previous outputs are inputs of the next step.
    """

    name: str
    reads: str
    writes: str
    many_in: bool
    many_out: bool
    feeds_back: bool

    @property
    def kind(self) -> str:
        """``many to one`` and so on."""
        return " to ".join("many" if many else "one" for many in (self.many_in, self.many_out))


def untrained(task: type[Task], **settings: Any) -> keras.Model:
    """Build a task's untrained network, with a preprocessor fitted on the first ``EXAMPLES`` built-in examples.

    Args:
        task: the class of the task.
        **settings: of its ``Config``, overriding the preset ``small``.
    """
    config = from_dict(task.config_class, {**task.presets["small"](), **settings}, "small")
    source = task.open_source("synthetic", config)
    preprocessor = task.fit(config, itertools.islice(source.read("train"), EXAMPLES))
    return task(config, preprocessor).network()


def pattern_of(model: keras.Model) -> Pattern:
    """Derive a model's pattern from its symbolic inputs and outputs: sequences have an open second axis.

    An input named ``target`` holds the previous outputs.
    """
    sizes = {tensor.name: tensor.shape for tensor in model.inputs if len(tensor.shape) > 1}
    feeds_back = sizes.pop("target", None) is not None
    (name, read), *_ = sizes.items()
    logits = model.output["logits"] if isinstance(model.output, dict) else model.output
    return Pattern(
        model.name,
        f"{name} {_shape(read)}",
        f"logits {_shape(logits.shape)}",
        read[1] is None,
        len(logits.shape) == 3,
        feeds_back,
    )


def _shape(shape: Sequence[int | None]) -> str:
    named = ["B", *("T" if size is None else str(size) for size in shape[1:])]
    return f"[{', '.join(named)}]"


def unrolled(patterns: Sequence[Pattern]) -> Picture:
    """Draw networks unrolled in time: inputs below, states in the middle, outputs above.

    A network that feeds back its output reads the full input before it writes.
    """
    counts = [SHOWN_STEPS * (1 + (p.many_in and p.feeds_back)) for p in patterns]
    places = _places(counts)
    rows = 1 + places[-1][0]
    figure = canvas(0.72 * WIDEST, 2.7 * rows)
    grid = figure.add_gridspec(rows, WIDEST)
    for (row, column), pattern, steps in zip(places, patterns, counts, strict=True):
        panel = figure.add_subplot(grid[row, column : column + steps])
        reading = range(SHOWN_STEPS) if pattern.many_in else range(1)
        writing = range(steps - SHOWN_STEPS, steps) if pattern.many_out else range(steps - 1, steps)
        _chain(panel, steps, reading, writing, pattern.feeds_back)
        panel.set_title(f"{pattern.name}: {pattern.kind}", fontsize=11)
        panel.text((steps - 1) / 2, -0.7, pattern.reads, ha="center", fontsize=9)
        panel.text((steps - 1) / 2, 2.5, pattern.writes, ha="center", fontsize=9)
        panel.set(xlim=(-0.6, steps - 0.4), ylim=(-0.8, 2.75))
        panel.axis("off")
    return figure


def _places(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Row and first column of each panel, filled row by row up to ``WIDEST`` columns."""
    places, row, column = [], 0, 0
    for count in counts:
        if column and column + count > WIDEST:
            row, column = row + 1, 0
        places.append((row, column))
        column += count
    return places


def _chain(panel: Any, steps: int, reading: range, writing: range, feeds_back: bool) -> None:
    for t in range(steps):
        _box(panel, t, 1, "h", STATE)
        if t:
            _arrow(panel, (t - 0.76, 1), (t - 0.24, 1))
    for n, t in enumerate(reading, start=1):
        _box(panel, t, 0, f"x{_number(n, len(reading))}", INPUT)
        _arrow(panel, (t, 0.22), (t, 0.78))
    for n, t in enumerate(writing, start=1):
        _box(panel, t, 2, f"y{_number(n, len(writing))}", OUTPUT)
        _arrow(panel, (t, 1.22), (t, 1.78))
        if feeds_back and t + 1 in writing:
            _arrow(panel, (t + 0.24, 1.9), (t + 0.86, 1.24), dashed=True)


def _number(n: int, count: int) -> str:
    return "" if count == 1 else "₁₂₃₄₅₆₇₈"[n - 1]


def _box(panel: Any, x: float, y: float, text: str, colour: str) -> None:
    style = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "#555555"}
    panel.text(x, y, text, ha="center", va="center", fontsize=10, bbox=style)


def _arrow(panel: Any, start: tuple[float, float], end: tuple[float, float], dashed: bool = False) -> None:
    style = {"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0, "color": "#555555", "linestyle": "--" if dashed else "-"}
    panel.annotate("", xy=end, xytext=start, arrowprops=style)
