"""Figures rendered without a display; ``save`` writes them as PNG."""

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

RISES, FALLS, SHARE = "#b2182b", "#2166ac", "#7570b3"
SHOWN = 80
"""Maximum number of labelled steps; of a longer sequence the part with the largest weights is shown."""


class Picture(Figure):
    """A matplotlib figure that notebooks display without pyplot's global state."""

    def _repr_png_(self) -> bytes:
        return png(self)


def canvas(width: float, height: float) -> Picture:
    """Return an empty figure of the given size in inches."""
    figure = Picture(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """Render a figure as PNG, without warnings about missing glyphs."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, whatever the file's extension; an existing file is replaced atomically.

    Raises:
        RuntimeError: the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(png(figure))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RuntimeError(f"{path}: cannot be written: {error.strerror}") from None


def learning_curves(history: list[dict[str, float]], metric: str, path: Path) -> None:
    """Plot training loss and the validation metric over epochs side by side.

    Args:
        history: one row per epoch with ``epoch``, ``loss`` and ``validation_METRIC``; a line marks the first epoch that
            is ``rewarded``.
        metric: the monitored validation metric.
        path: PNG file to write.
    """
    epochs = [row["epoch"] for row in history]
    turn = next((row["epoch"] for row in history if row.get("rewarded")), None)
    figure = canvas(9, 3.2)
    panels: Any = figure.subplots(1, 2)
    for panel, name in zip(panels, ("loss", f"validation_{metric}"), strict=True):
        panel.plot(epochs, [row[name] for row in history], marker="o", markersize=3)
        panel.set(title=name.replace("_", " "), xlabel="epoch")
        panel.grid(alpha=0.3)
        if turn is not None:
            panel.axvline(turn - 0.5, color="gray", linestyle="--", label="start of the reward phase")
            panel.legend(fontsize="small")
    figure.savefig(path, format="png", dpi=120)


def window(weights: np.ndarray, width: int = SHOWN) -> slice:
    """Return the ``width`` consecutive steps of float [T] with the largest total absolute weight."""
    total = np.concatenate([[0.0], np.abs(weights).cumsum()])
    if len(weights) <= width:
        return slice(0, len(weights))
    start = int(np.argmax(total[width:] - total[:-width]))
    return slice(start, start + width)


def token_panels(
    pieces: Sequence[str],
    attributions: np.ndarray,
    weights: np.ndarray,
    maps: Mapping[str, np.ndarray],
    title: str = "",
) -> Picture:
    """Plot attributions, pooling weights, and maps of states and gates above each other over the same tokens.

    Args:
        pieces: names of the T steps.
        attributions: float [T], signed.
        weights: float [T], non-negative.
        maps: name -> float [T, H]; states in [-1, 1], gates in [0, 1].
        title: title of the figure.
    """
    part = window(attributions)
    shown = len(pieces[part])
    figure = canvas(max(7.0, 2.6 + 0.19 * shown), 4.2 + 1.1 * len(maps))
    panels: Any = figure.subplots(2 + len(maps), 1, sharex=True, height_ratios=[2, 1.2, *[1] * len(maps)])
    places = np.arange(shown)
    panels[0].bar(places, attributions[part], color=np.where(attributions[part] >= 0, RISES, FALLS))
    panels[0].axhline(0, color="black", linewidth=0.6)
    panels[0].set_ylabel("attribution")
    panels[1].bar(places, weights[part], color=SHARE)
    panels[1].set_ylabel("share of\nthe pooling")
    _draw_maps(figure, panels[2:], maps, part)
    _name_ticks(panels[-1].xaxis, pieces[part])
    note = f" (pieces {part.start + 1} to {part.stop} of {len(pieces)})" if shown < len(pieces) else ""
    figure.suptitle(title + note, fontsize=10, parse_math=False)
    return figure


def _draw_maps(figure: Figure, panels: Sequence[Any], maps: Mapping[str, np.ndarray], part: slice) -> None:
    keys: dict[str, Any] = {}
    for panel, (name, values) in zip(panels, maps.items(), strict=True):
        key, low, colours = ("state", -1, "RdBu_r") if values.min() < 0 else ("gate: 0 closed, 1 open", 0, "viridis")
        keys[key] = panel.imshow(values[part].T, aspect="auto", interpolation="nearest", cmap=colours, vmin=low, vmax=1)
        panel.set(ylabel=name.replace(" ", "\n"), yticks=[])
    for key, image in keys.items():
        figure.colorbar(image, ax=list(panels), label=key, aspect=40, ticks=[-1, 0, 1])


def alignment(columns: Sequence[str], rows: Sequence[str], weights: np.ndarray, title: str = "") -> Picture:
    """Plot attention weights float [rows, columns] of produced tokens (rows) over source steps (columns)."""
    figure = canvas(max(5.0, 2.5 + 0.25 * len(columns)), max(3.0, 1.2 + 0.25 * len(rows)))
    panel: Any = figure.subplots()
    image = panel.imshow(weights, aspect="auto", interpolation="nearest", cmap="viridis", vmin=0, vmax=1)
    figure.colorbar(image, ax=panel, label="attention", aspect=40, ticks=[0, 0.5, 1])
    panel.set(xlabel="source", ylabel="answer")
    _name_ticks(panel.xaxis, columns)
    _name_ticks(panel.yaxis, rows, rotation=0)
    panel.set_title(title, fontsize=10, parse_math=False)
    return figure


def picture_attention(picture: np.ndarray, words: Sequence[str], weights: np.ndarray, columns: int = 5) -> Picture:
    """Show an image once for each word, overlaid with the word's attention.

    Args:
        picture: float [Y, X, 3] in [0, 1], or uint8.
        words: the U words of the caption.
        weights: float [U, GY, GX] over the feature grid, rows from the top.
        columns: images side by side.
    """
    rows = -(-(len(words) + 1) // columns)
    figure = canvas(2.0 * columns, 2.2 * rows)
    panels: Any = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for panel in panels:
        panel.axis("off")
    draw_attention(panels, picture, words, weights)
    return figure


def draw_attention(panels: Sequence[Any], picture: np.ndarray, words: Sequence[str], weights: np.ndarray) -> None:
    """Draw an image on the first panel, and on each further one with a word's attention; see ``picture_attention``."""
    height, width = picture.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    panels[0].imshow(picture)
    for panel, word, share in zip(panels[1:], words, weights, strict=False):
        panel.imshow(picture)
        panel.imshow(share, alpha=0.6, cmap="inferno", extent=extent, interpolation="bicubic", vmin=0)
        panel.set_title(word, fontsize=9, parse_math=False)


def _name_ticks(axis: Any, names: Sequence[str], rotation: int = 90) -> None:
    """Label the steps; dollar signs are not parsed as formulas."""
    axis.set_ticks(np.arange(len(names)))
    for label in axis.set_ticklabels(names, rotation=rotation, fontsize=8):
        label.set_parse_math(False)
