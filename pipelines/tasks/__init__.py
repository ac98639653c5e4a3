"""The registry of tasks: every package in this folder is one.

``config.py`` of a task holds what can be set and imports no Keras, so that help and usage errors are instant;
``task.py`` holds the task itself. The docstring of the package is ``Name: summary.``
"""

import importlib
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING

from pipelines.config import nearest

if TYPE_CHECKING:
    from pipelines.task import Task

FIRST = ("sentiment", "translation", "speech", "captioning")
"""The order of tasks in lists; others follow by name."""


def _found() -> dict[str, str]:
    """Return the tasks by name, with their summaries."""
    here = {module.name for module in pkgutil.iter_modules(__path__) if module.ispkg}
    names = [name for name in FIRST if name in here] + sorted(here - set(FIRST))
    summaries = (importlib.import_module(f"{__name__}.{name}").__doc__ or "" for name in names)
    return {name: text.partition(": ")[2].strip(". \n") for name, text in zip(names, summaries, strict=True)}


TASKS = _found()
"""Summaries of the tasks by name."""


def load_settings(task: str) -> ModuleType:
    """Import the settings of ``task`` (``Config``, ``PRESETS``, ``FORMATS``, ``NUMERIC``) without Keras.

    Raises:
        ValueError: there is no such task.
    """
    if task not in TASKS:
        raise ValueError(f"there is no task {task!r}; the tasks are: {', '.join(TASKS)}{nearest(task, list(TASKS))}")
    return importlib.import_module(f"{__name__}.{task}.config")


def load_task(task: str) -> "type[Task]":
    """Import ``task`` whole: its class, see `pipelines.task.Task`.

    Raises:
        ValueError: there is no such task.
    """
    load_settings(task)
    found: type[Task] = importlib.import_module(f"{__name__}.{task}.task").TASK
    return found
