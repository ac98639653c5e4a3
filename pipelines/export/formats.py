"""Export formats and optional packages; imports no TensorFlow."""

import importlib.util
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from pipelines.tasks import TASKS, load_settings

NEEDS = ("onnx", "litert")
"""Numeric formats, which hold only the network; each needs the extra of the same name."""

OLDER = {
    "saved_model": ("saved_model.pb", "SavedModel"),
    "onnx": ("model.onnx", "ONNX export"),
    "litert": ("float32.tflite", "LiteRT export"),
}
"""How an older export, which may be replaced, is recognised: a file in it, and its name in errors."""


def check(run: str, form: str, decoding: Mapping[str, str]) -> None:
    """Reject a run or search settings that cannot be exported as ``form``, one of ``NEEDS``.

    Raises:
        ValueError: the task's answers need more than its network, a search setting was given, or a package is missing
            or too old.
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
        advice = "decode its log-probabilities (docs/exports.md), or use --format saved_model"
        raise ValueError(f"{option}: --format {form} holds a network alone, without a search; {advice}")
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


EXTRAS = {
    "web": ("gradio>=6.16,<7",),
    "serve": ("uvicorn>=0.54,<1", "starlette>=1,<2", "prometheus-client>=0.21,<1", "python-multipart>=0.0.20,<1"),
    "tf-serving": ("tensorflow-serving-api>=2.21,<2.22",),
    "onnx": ("tf2onnx>=1.17", "onnxruntime>=1.22"),
    "litert": ("ai-edge-litert>=2",),
}
"""Copy of the extras in pyproject.toml, which may be absent or older in an installation."""
MODULES = {"tensorflow-serving-api": "tensorflow_serving"}
"""Module names that differ from their package names."""


def unmet(extra: str) -> dict[str, str]:
    """Return the unmet requirements of an extra, one of ``EXTRAS``: requirement -> installed version, "" if none."""
    from packaging.requirements import Requirement  # noqa: PLC0415  # only needed by a few commands

    found = {}
    for text in EXTRAS[extra]:
        requirement = Requirement(text)
        there, version = _installed(requirement.name)
        if not there or (version and not requirement.specifier.contains(version, prereleases=True)):
            found[text] = version
    return found


def _installed(name: str) -> tuple[bool, str]:
    """Return whether a package can be imported, and its version; "" for another distribution, e.g. onnxruntime-gpu."""
    spec = importlib.util.find_spec(MODULES.get(name, name.replace("-", "_")))
    if spec is None:
        return False, ""
    try:
        return True, metadata.version(name)
    except metadata.PackageNotFoundError:
        return spec.origin is not None, ""  # without an origin it is only a folder of that name


def need(extra: str, sentence: str) -> None:
    """Check that an extra, one of ``EXTRAS``, is installed in supported versions.

    Raises:
        ValueError: it is not; ``sentence``, which names the command and the installation, and the versions found.
    """
    wrong = unmet(extra)
    if wrong:
        raise ValueError(sentence + instead(wrong))


def instead(wrong: dict[str, str]) -> str:
    """Return the installed versions that do not match ``unmet`` requirements, in brackets; "" if there are none."""
    others = [f"{version} is here, expected {text}" for text, version in wrong.items() if version]
    return f" ({'; '.join(others)})" if others else ""
