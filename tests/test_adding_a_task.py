"""The task that `docs/adding-a-task.md` adds, as it stands there, passes what every task must pass."""

import csv
import random
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import TASKS, load_task
from pipelines.recipes.classify import Classification
from tests import adding


@pytest.fixture
def brackets(tmp_path: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        adding.add(tmp_path, patch)
        yield load_task(adding.NAME)
    for name in [name for name in sys.modules if name.startswith("pipelines.tasks.") and adding.NAME in name]:
        del sys.modules[name]


def test_a_task_on_a_recipe_is_four_files_in_one_folder(tmp_path: Path) -> None:
    files = adding.write_files(tmp_path)
    names = {"__init__.py", "config.py", "synthetic.py", "task.py"}
    assert files == sorted(files, key=files.index) and set(files) == {f"pipelines/tasks/brackets/{n}" for n in names}


def test_it_is_found_with_its_summary(brackets: Any) -> None:
    assert issubclass(brackets, Classification)
    assert TASKS[adding.NAME] == "a text of brackets -> whether they are balanced"
    assert list(TASKS)[-1] == adding.NAME


def test_built_in_texts_have_a_class_each_and_share_no_split(brackets: Any) -> None:
    """Checked by removing pairs until nothing is left, another way than that of the page."""
    source, seen = brackets.builtin_source(), {}
    for split in ("train", "validation", "test"):
        for example in source.read(split):
            rest = example["text"]
            while "()" in rest:
                rest = rest.replace("()", "")
            assert (rest == "") == (example["label"] == "balanced")
            assert example["text"].count("(") == example["text"].count(")")
            assert seen.setdefault(example["text"], split) == split


def test_the_baseline_sees_no_order(brackets: Any) -> None:
    source = brackets.builtin_source()
    name, score = brackets.baseline(list(source.read("train")), list(source.read("test")))
    assert (name, score) == ("counting brackets", 0.5)


def project(folder: Path) -> Path:
    """Copy the project into ``folder`` and do what the page says."""
    for part in ("models", "pipelines", "tests"):
        shutil.copytree(adding.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(adding.ROOT / "pyproject.toml", folder)
    adding.write_files(folder)
    return folder


def python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{arguments}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.slow
def test_the_task_passes_the_tests_of_every_task(tmp_path: Path) -> None:
    folder = project(tmp_path)
    tests = ["tests/test_contract.py", "tests/test_architecture.py"]
    summary = python(
        folder, "-m", "pytest", *tests, "-k", "brackets", "-m", "slow or not slow", "-p", "no:cacheprovider"
    )
    assert int(re.search(r"(\d+) passed", summary)[1]) >= 16, summary  # type: ignore[index]


@pytest.mark.slow
def test_the_page_is_written_as_the_house_is(tmp_path: Path) -> None:
    files = adding.write_files(project(tmp_path))
    python(tmp_path, "-m", "ruff", "check", *files)
    python(tmp_path, "-m", "ruff", "format", "--check", *files)
    python(tmp_path, "-m", "mypy", *files)


@pytest.mark.slow
def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    folder = project(tmp_path)
    rows = [["text", "label"], *([text, str(balanced(text)).lower()] for text in _texts(400))]
    with open(folder / "texts.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    said = {}
    for line in re.findall(r"^pipelines (.*)$", adding.text(), re.MULTILINE):
        said[line] = python(folder, "-m", "pipelines", *shlex.split(line))
    demonstration, first, *_, last = said.values()
    assert "brackets" in demonstration
    assert first.split("\t")[0] == "balanced"
    answer, score, question = last.rstrip("\n").split("\t")
    assert answer in ("true", "false") and question == "())(()" and 0.5 <= float(score) <= 1


def balanced(text: str) -> bool:
    while "()" in text:
        text = text.replace("()", "")
    return not text


def _texts(count: int) -> list[str]:
    chooser = random.Random(0)
    return ["".join(chooser.sample("()" * size, 2 * size)) for size in chooser.choices(range(1, 6), k=count)]
