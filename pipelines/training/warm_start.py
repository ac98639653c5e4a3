"""Warm start: begin a training with the settings, the vocabulary and the weights of another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from pipelines import config as configuration
from pipelines.runs.folder import WEIGHTS, open_run, sha256
from pipelines.runs.load import Loaded
from pipelines.task import Task


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


def take_weights(model: keras.Model, other: Loaded, task: Task) -> list[str]:
    """Copy the other run's weights into the network of ``task``, which is built alike.

    Layers named in the task's ``head`` are left as they are when the outputs of the two tasks mean something else.

    Returns:
        The names of the weights that were left.

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
