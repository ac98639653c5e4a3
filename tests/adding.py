"""The task of `docs/adding-a-task.md`, out of the page itself."""

import re
from pathlib import Path

import pytest

from pipelines import tasks

ROOT = Path(__file__).parents[1]
PAGE = "docs/adding-a-task.md"
NAME = "brackets"
FILE = re.compile(r"^`([\w/]+\.py)`\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def text() -> str:
    return (ROOT / PAGE).read_text("utf-8")


def write_files(folder: Path) -> list[str]:
    """Write the modules of the page below ``folder``; return their names."""
    files = dict(FILE.findall(text()))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")
    return list(files)


def add(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the task one of this process's tasks, without a change to the checkout."""
    write_files(folder)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(folder / "pipelines" / "tasks")])
    monkeypatch.setitem(tasks.TASKS, NAME, tasks._found()[NAME])
