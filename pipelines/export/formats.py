"""What a run can be exported to beside a SavedModel, and what stands in the way; known without TensorFlow."""

import json
from collections.abc import Mapping
from pathlib import Path

from pipelines.export.extras import instead, unmet
from pipelines.tasks import TASKS, load_settings

NEEDS = ("onnx", "litert")
"""Formats that hold a network alone, numbers in and numbers out; the extra of that name writes and proves them."""

OLDER = {
    "saved_model": ("saved_model.pb", "SavedModel"),
    "onnx": ("model.onnx", "ONNX export"),
    "litert": ("float32.tflite", "LiteRT export"),
}
"""By what an older export is known, which a new one may replace: a file in it, and what it is called in errors."""


def check(run: str, form: str, decoding: Mapping[str, str]) -> None:
    """Refuse what cannot be exported as ``form``, one of ``NEEDS``.

    Args:
        run: the run folder; whether it is one is left to whoever loads it.
        form: the format.
        decoding: settings of the search that were asked for.

    Raises:
        ValueError: the task's answer is more than its network gives, a search was asked for, or a package is missing or
            too old.
    """
    task = _task(run)
    if task and not load_settings(task).NUMERIC:
        able = [name for name in TASKS if load_settings(name).NUMERIC]
        raise ValueError(
            f"--format {form}: a {task} answer is what beam search finds with the network, and its raw input needs "
            f"strings or picture files; {form} holds a network alone (possible for {', '.join(able)}); use --format "
            "saved_model, which holds all of it"
        )
    if decoding:
        option = "--" + next(iter(decoding)).replace("_", "-")
        raise ValueError(
            f"{option}: --format {form} holds a network alone, without a search; decode the log-probabilities that it "
            "gives (docs/exports.md), or use --format saved_model"
        )
    missing = unmet(form)
    if missing:
        install = " ".join(f"'{package}'" for package in missing)
        raise ValueError(f"--format {form}: needs {' and '.join(missing)}: pip install {install}{instead(missing)}")


def _task(run: str) -> str:
    try:
        task = json.loads((Path(run).expanduser() / "config.json").read_text("utf-8"))["task"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return task if task in TASKS else ""
