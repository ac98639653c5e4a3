"""Warm start: initialise a training from the settings, vocabulary and weights of another run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import config as configuration
from pipelines.runs.folder import open_run

if TYPE_CHECKING:  # the command line asks for settings before it imports Keras
    import keras

    from pipelines.runs.load import Loaded
    from pipelines.task import Task


def settings_of(init: str | Path, task: str) -> dict[str, Any]:
    """Return the settings of the initial run; preset, file and command line override them.

    Raises:
        ValueError: the run cannot be used, or belongs to another task.
    """
    _, record = open_run(init)
    if record["task"] != task:
        raise ValueError(f"--init {init}: is a {record['task']} run, not {task}")
    return dict(record["config"])


def take_weights(model: keras.Model, other: Loaded, task: Task) -> list[str]:
    """Copy the weights of ``other`` into the network of ``task``, which has the same architecture.

    Layers named in the task's ``head`` are not copied when the outputs of the two tasks have different meanings.

    Returns:
        The names of the weights that were not copied.

    Raises:
        ValueError: a weight does not fit; names it, both shapes, and the settings that differ.
    """
    here, there = list(model.weights), list(other.model.weights)
    head = () if task.same_head(other.task) else task.head
    left, wrong = [], []
    for mine, theirs in zip(here, there, strict=True) if len(here) == len(there) else ():
        if set(mine.path.split("/")) & set(head):
            left.append(mine.path)
        elif tuple(mine.shape) != tuple(theirs.shape):
            wrong.append(f"{mine.path} is {tuple(theirs.shape)} there, {tuple(mine.shape)} here")
    if wrong or len(here) != len(there):
        changed = configuration.difference(configuration.to_dict(other.config), configuration.to_dict(task.config))
        count = f"{len(there)} weights there, {len(here)} here" if len(here) != len(there) else ""
        reasons = "; ".join(part for part in (count, *wrong[:5], f"settings: {changed}" if changed else "") if part)
        raise ValueError(f"--init {other.run.path}: does not fit: {reasons}")
    for mine, theirs in zip(here, there, strict=True):
        if mine.path not in left:
            mine.assign(theirs)
    return left
