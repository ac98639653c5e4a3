"""Recurrent task pipelines: raw sentences, recordings and pictures in, answers out.

``TASKS`` is the only registry: every package in ``pipelines/tasks`` is a task. Its ``config.py`` holds what can be set
and imports no Keras, so that help and usage errors are instant; its ``task.py`` holds the task itself.
"""

import importlib
import os
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipelines import tasks

if TYPE_CHECKING:
    from pipelines.predictor import Predictor as Predictor
    from pipelines.task import Task
    from pipelines.training.evaluate import evaluate as evaluate
    from pipelines.training.train import train as train

__version__ = "0.1.0"

os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # or the first process takes all memory of every GPU
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # spectra and the proof of an export need more than its 10 bits

FIRST = ("sentiment", "translation", "speech", "captioning")
"""The order of tasks in lists; others follow by name."""


def _tasks() -> dict[str, str]:
    """Return the tasks by name, with the summary that is the docstring of their package."""
    found = {module.name for module in pkgutil.iter_modules(tasks.__path__) if module.ispkg}
    names = [name for name in FIRST if name in found] + sorted(found - set(FIRST))
    summaries = (importlib.import_module(f"pipelines.tasks.{name}").__doc__ or "" for name in names)
    return {name: text.partition(": ")[2].strip(". \n") for name, text in zip(names, summaries, strict=True)}


TASKS = _tasks()
_PUBLIC = {
    "Predictor": "pipelines.predictor",
    "train": "pipelines.training.train",
    "evaluate": "pipelines.training.evaluate",
}


def load_settings(task: str) -> ModuleType:
    """Import the settings of ``task`` (``Config``, ``PRESETS``, ``FORMATS``) without Keras.

    Raises:
        ValueError: there is no such task.
    """
    if task not in TASKS:
        from pipelines.config import nearest  # noqa: PLC0415  # slow to import, and a mistake alone needs it

        raise ValueError(f"there is no task {task!r}; the tasks are: {', '.join(TASKS)}{nearest(task, list(TASKS))}")
    return importlib.import_module(f"pipelines.tasks.{task}.config")


def load_task(task: str) -> "type[Task]":
    """Import ``task`` whole: its class, see `pipelines.task.Task`.

    Raises:
        ValueError: there is no such task.
    """
    load_settings(task)
    found: type[Task] = importlib.import_module(f"pipelines.tasks.{task}.task").TASK
    return found


def __getattr__(name: str) -> Any:
    """Import the public functions on first use, so that ``import pipelines`` alone stays instant."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'pipelines' has no attribute {name!r}")
