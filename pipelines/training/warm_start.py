"""Begin a training with what another run has learned: its settings, its vocabulary, its weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import config as configuration
from pipelines.runs.folder import WEIGHTS, open_run, sha256

if TYPE_CHECKING:
    from pipelines.runs.load import Loaded


def settings_of(init: str | Path, task: str) -> dict[str, Any]:
    """Return the settings of the run to begin with; they stand below preset, file and command line.

    Raises:
        ValueError: no usable run, or one of another task.
    """
    _, record = open_run(init)
    if record["task"] != task:
        raise ValueError(f"--init {init}: is a {record['task']} run, not {task}")
    return dict(record["config"])


def fingerprint(other: Loaded) -> str:
    """Return the SHA-256 of the weights that are taken over, so that a resumed run notices others."""
    return sha256(other.run.path / WEIGHTS)


def adopt_preprocessor(task: Any, config: Any, other: Loaded, examples: Iterable[Any]) -> Any:
    """Take over the vocabulary under the settings of the new run.

    A task with ``adopt`` learns from the examples what is new, such as labels.
    """
    if hasattr(task, "adopt"):
        return task.adopt(config, other.preprocessor, examples)
    return task.load_preprocessor(config, other.run.path)


def take_weights(model: Any, other: Loaded, config: Any, preprocessor: Any) -> list[str]:
    """Copy the other run's weights into a model that is built alike.

    Layers named in the task's ``HEAD`` are left as they are when the ``labels`` of the two preprocessors differ.

    Returns:
        The names of the weights that were left.

    Raises:
        ValueError: a weight does not fit; names it, both shapes, and the settings that differ.
    """
    here, there = list(model.weights), list(other.model.weights)
    new_head = getattr(preprocessor, "labels", None) != getattr(other.preprocessor, "labels", None)
    head = getattr(other.task, "HEAD", ()) if new_head else ()
    left, wrong = [], []
    for mine, theirs in zip(here, there, strict=True) if len(here) == len(there) else ():
        if set(mine.path.split("/")) & set(head):
            left.append(mine.path)
        elif tuple(mine.shape) != tuple(theirs.shape):
            wrong.append(f"{mine.path} is {tuple(theirs.shape)} there, {tuple(mine.shape)} here")
    if wrong or len(here) != len(there):
        changed = configuration.difference(configuration.to_dict(other.config), configuration.to_dict(config))
        count = f"{len(there)} weights there, {len(here)} here" if len(here) != len(there) else ""
        reasons = "; ".join(part for part in (count, *wrong[:5], f"settings: {changed}" if changed else "") if part)
        raise ValueError(f"--init {other.run.path}: does not fit: {reasons}")
    for mine, theirs in zip(here, there, strict=True):
        if mine.path not in left:
            mine.assign(theirs)
    return left
