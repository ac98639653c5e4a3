"""Pictures, drawn without a screen and written as PNG."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def learning_curves(history: list[dict[str, float]], metric: str, path: Path) -> None:
    """Draw training loss and the validation metric over epochs side by side.

    Args:
        history: one row an epoch with ``epoch``, ``loss`` and ``validation_METRIC``.
        metric: which validation metric chose the best epoch.
        path: file to write, PNG whatever its name.
    """
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels: Any = figure.subplots(1, 2)
    for panel, name in zip(panels, ("loss", f"validation_{metric}"), strict=True):
        panel.plot(epochs, [row[name] for row in history], marker="o", markersize=3)
        panel.set(title=name.replace("_", " "), xlabel="epoch")
        panel.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=120)
