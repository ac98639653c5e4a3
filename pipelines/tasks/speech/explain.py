"""Explanation of a transcript: spectrogram, symbol probabilities over time, words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.explain.explanation import Explanation
from pipelines.explain.plots import Picture, canvas
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.features import mel_of, seconds_per_step

Array = np.ndarray[Any, Any]
SHOWN_SECONDS = 12.0


def explain(
    config: Config, symbols: tuple[str, ...], prediction: Mapping[str, Any], arrays: dict[str, Array]
) -> Explanation:
    """Lay out why a recording got its transcript.

    Args:
        config: the settings.
        symbols: of the alphabet.
        prediction: the answer, with its ``words``.
        arrays: ``features`` float32 [T, bands] and ``posteriors`` float32 [T', V] of the recording.

    Returns:
        The rows of the numbers are the words with their start and end in seconds and their confidence.
    """
    answer, score, words = (prediction[name] for name in ("answer", "score", "words"))
    mel, step = mel_of(config), seconds_per_step(config)
    shown = {"answer": answer, "score": score, "seconds_per_step": step, "rows": words}
    picture = _picture(arrays, symbols, words, (mel.hop / mel.rate, step), f"{answer} ({score:.3f})")
    return Explanation(answer, score, shown, arrays, picture)


def _picture(
    arrays: dict[str, Array],
    symbols: tuple[str, ...],
    words: list[dict[str, Any]],
    steps: tuple[float, float],
    title: str,
) -> Picture:
    """Three panels over the same seconds; of a long recording the beginning is shown."""
    features, posteriors = arrays["features"], arrays["posteriors"]
    hop, step = steps
    seconds = min(len(features) * hop, SHOWN_SECONDS)
    figure = canvas(max(6.0, 2.5 * seconds), 7.0)
    panels: Any = figure.subplots(3, 1, sharex=True, height_ratios=[3, 4, 1])
    panels[0].imshow(
        features.T, origin="lower", aspect="auto", extent=(0, len(features) * hop, 0, features.shape[1]), cmap="magma"
    )
    panels[0].set_ylabel("mel band")
    heard_ever = [number for number in range(posteriors.shape[1]) if posteriors[:, number].max() > 0.05]
    panels[1].imshow(
        posteriors[:, heard_ever].T,
        aspect="auto",
        interpolation="nearest",
        extent=(0, len(posteriors) * step, len(heard_ever) - 0.5, -0.5),
        cmap="viridis",
        vmin=0,
        vmax=1,
    )
    names = [{"": "blank", " ": "space"}.get(symbols[number], symbols[number]) for number in heard_ever]
    panels[1].set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    panels[1].set_ylabel("symbol")
    for word in words:
        panels[2].axvspan(word["start"], word["end"], alpha=0.15 + 0.4 * word["confidence"], color="#7570b3")
        middle = (word["start"] + word["end"]) / 2
        if middle <= seconds:
            panels[2].text(middle, 0.5, word["word"], ha="center", va="center", parse_math=False)
    panels[2].set(xlabel="seconds", yticks=[], xlim=(0, seconds), ylim=(0, 1), ylabel="words")
    note = f" (the first {seconds:g} s)" if len(features) * hop > seconds else ""
    figure.suptitle(title[:150] + note, fontsize=10, parse_math=False)
    return figure
