"""Export formats and optional packages, checked without importing TensorFlow."""

import importlib.util
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

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


EXTRAS = {
    "web": ("gradio>=6.16,<7",),
    "serve": ("bentoml>=1.4.39,<1.5",),
    "tf-serving": ("tensorflow-serving-api>=2.21,<2.22",),
    "onnx": ("tf2onnx>=1.17", "onnxruntime>=1.22"),
    "litert": ("ai-edge-litert>=2",),
}
"""As in pyproject.toml, which an installation does not have; what it has instead may be older than the code."""
MODULES = {"tensorflow-serving-api": "tensorflow_serving"}
"""Names of modules, where they are not those of their packages."""


def unmet(extra: str) -> dict[str, str]:
    """Return the requirements of an extra that are not met, with what is here instead.

    Args:
        extra: one of ``EXTRAS``.

    Returns:
        By requirement, as ``EXTRAS`` has it, the version that is here, or "" where the package is not here.
    """
    from packaging.requirements import Requirement  # noqa: PLC0415  # every command imports us, few compare versions

    found = {}
    for text in EXTRAS[extra]:
        requirement = Requirement(text)
        there, version = _installed(requirement.name)
        if not there or (version and not requirement.specifier.contains(version, prereleases=True)):
            found[text] = version
    return found


def _installed(name: str) -> tuple[bool, str]:
    """Say whether a package can be imported, and its version; "" for another build, such as onnxruntime-gpu."""
    spec = importlib.util.find_spec(MODULES.get(name, name.replace("-", "_")))
    if spec is None:
        return False, ""
    try:
        return True, metadata.version(name)
    except metadata.PackageNotFoundError:
        return spec.origin is not None, ""  # a folder of that name has no origin


def need(extra: str, sentence: str) -> None:
    """Refuse when an extra is not installed, or in other versions than those that were tried.

    Args:
        extra: one of ``EXTRAS``.
        sentence: what needs it, and how to install it.

    Raises:
        ValueError: with the sentence, and the versions that are here where they do not fit.
    """
    wrong = unmet(extra)
    if wrong:
        raise ValueError(sentence + instead(wrong))


def instead(wrong: dict[str, str]) -> str:
    """Return the versions that are here instead of what ``unmet`` names, in brackets; "" where there are none."""
    others = [f"{version} is here, expected {text}" for text, version in wrong.items() if version]
    return f" ({'; '.join(others)})" if others else ""
