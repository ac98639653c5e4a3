"""Recurrent task pipelines: raw sentences, recordings and pictures in, answers out.

``TASKS`` is the only registry. A task named ``x`` is two modules: ``pipelines/x_config.py`` (what can be
set; imports no keras, so that help and usage errors are instant) and ``pipelines/x.py`` (everything else).
"""

import importlib
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # or the first process takes all memory of every GPU
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # spectra and the proof of an export need more than its 10 bits

TASKS: dict[str, str] = {
    "sentiment": "a sentence or a text -> an opinion or another class",
    "translation": "a sentence in one language -> the same in another, with the alignment of their pieces",
    "speech": "a recording -> its transcript, with the time of every word",
    "captioning": "a picture -> a sentence that describes it, with where each word looked",
}

_PUBLIC = {
    "Predictor": "pipelines.predictor",
    "train": "pipelines.training.train",
    "evaluate": "pipelines.training.evaluate",
}

if TYPE_CHECKING:
    from pipelines.predictor import Predictor as Predictor
    from pipelines.training.evaluate import evaluate as evaluate
    from pipelines.training.train import train as train


def load_settings(task: str) -> ModuleType:
    """Import the settings of ``task`` (``Config``, ``PRESETS``) without keras.

    Raises:
        ValueError: there is no such task.
    """
    if task not in TASKS:
        from pipelines.config import nearest  # noqa: PLC0415  # slow to import, and a mistake alone needs it

        raise ValueError(f"there is no task {task!r}; the tasks are: {', '.join(TASKS)}{nearest(task, list(TASKS))}")
    return importlib.import_module(f"pipelines.tasks.{task}.config")


def load_task(task: str) -> Any:
    """Import ``task`` whole: a module that satisfies ``pipelines.task.Task``.

    Raises:
        ValueError: there is no such task.
    """
    load_settings(task)
    return importlib.import_module(f"pipelines.tasks.{task}.task")


def __getattr__(name: str) -> Any:
    """Import the public functions on first use, so that ``import pipelines`` alone stays instant."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'pipelines' has no attribute {name!r}")
