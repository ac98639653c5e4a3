"""The task of `docs/adding-a-task.md`, out of the page itself."""

import importlib
import re
from pathlib import Path

import pytest

import pipelines

ROOT = Path(__file__).parents[1]
PAGE = "docs/adding-a-task.md"
NAME = "casing"
FILE = re.compile(r"^`([\w/]+\.py)`\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(rf'^    "{NAME}": "(.*)",$', re.MULTILINE)
EASY = re.compile(rf'^    "{NAME}": \{{.*\}},\n', re.MULTILINE)


def text() -> str:
    return (ROOT / PAGE).read_text("utf-8")


def summary() -> str:
    """What the line in ``TASKS`` says of the task."""
    (found,) = LINE.findall(text())
    return str(found)


def by_heart() -> str:
    """The line in ``OVERFIT`` of the contract test."""
    (found,) = EASY.findall(text())
    return str(found)


def write_files(folder: Path) -> list[str]:
    """Write the modules of the page below ``folder``; return their names."""
    files = dict(FILE.findall(text()))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")
    return list(files)


def add(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the task one of this process's tasks, without a change to the checkout."""
    for file in write_files(folder):
        package = importlib.import_module(".".join(Path(file).parent.parts))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str((folder / file).parent)])
    monkeypatch.setitem(pipelines.TASKS, NAME, summary())
