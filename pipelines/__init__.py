"""Recurrent task pipelines: raw sentences, recordings and pictures in, answers out."""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.config import VERSION as __version__
    from pipelines.predictor import Predictor
    from pipelines.tasks import TASKS, load_settings, load_task
    from pipelines.training.evaluate import evaluate
    from pipelines.training.train import train

os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # or the first process takes all memory of every GPU
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # spectra and the proof of an export need more than its 10 bits

_PUBLIC = {
    "Predictor": "pipelines.predictor",
    "TASKS": "pipelines.tasks",
    "evaluate": "pipelines.training.evaluate",
    "load_settings": "pipelines.tasks",
    "load_task": "pipelines.tasks",
    "train": "pipelines.training.train",
}
__all__ = ["TASKS", "Predictor", "__version__", "evaluate", "load_settings", "load_task", "train"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import pipelines`` alone stays instant."""
    if name == "__version__":
        return importlib.import_module("pipelines.config").VERSION
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'pipelines' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what is public."""
    return sorted(__all__)
