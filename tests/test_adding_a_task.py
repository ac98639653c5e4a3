"""A task that the house does not know fits in: the one that `docs/adding-a-task.md` adds, as it stands there."""

import csv
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import load_task
from pipelines.task import Task
from tests import adding


@pytest.fixture
def casing(tmp_path: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        adding.add(tmp_path, patch)
        yield load_task(adding.NAME)
    for name in [name for name in sys.modules if name.startswith("pipelines.") and adding.NAME in name]:
        del sys.modules[name]


def test_the_page_holds_the_whole_protocol(casing: Any) -> None:
    for part in (*Task.__annotations__, *(name for name, _ in inspect.getmembers(Task, inspect.isfunction))):
        assert part.startswith("_") or hasattr(casing, part), part


def test_characters_are_read_as_the_page_says(casing: Any) -> None:
    """Python's own case functions are the reference, where a letter has one partner; others stay as they are."""
    preprocessor = casing.Preprocessor("abioß é")
    read = preprocessor.read(["I  saw É", ""])
    codes = {name: ["".join(map(chr, row)) for row in read[name].to_list()] for name in ("small", "capital")}
    assert codes == {"small": ["i saw é", " "], "capital": ["I sAw É", " "]}
    assert read["upper"].to_list() == [[1, 0, 0, 0, 0, 0, 1], [0]]
    assert read["tokens"].to_list()[0] == [4, 7, 1, 2, 1, 7, 8]
    assert read["lengths"].numpy().tolist() == [7, 1]


def test_no_pair_of_words_is_in_two_splits(casing: Any) -> None:
    """Each text holds a kind and ends in a word: what training has put together is never asked."""
    module, seen = casing.synthetic, {}
    for split in ("train", "validation", "test"):
        pairs = set()
        for text in (example["text"] for example in module.examples(split, 800, 0)):
            kind = next(number for number, kind in enumerate(module._KINDS) if f" {kind} " in text)
            pairs.add((kind, text.split()[-1].strip(".?").lower()))
        for word in module._WORDS:
            assert {kind % 2 for kind, other in pairs if other == word} == {0, 1}, f"{split}: {word} needs no context"
        assert not any(pairs & others for others in seen.values())
        seen[split] = pairs


def project(folder: Path) -> Path:
    """Copy the project into ``folder`` and do what the page says."""
    for part in ("models", "pipelines", "tests"):
        shutil.copytree(adding.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(adding.ROOT / "pyproject.toml", folder)
    adding.write_files(folder)
    line = f'    "casing": "{adding.summary()}",\n'
    insert(folder / "pipelines" / "__init__.py", "TASKS: dict[str, str] = {\n", line)
    insert(folder / "tests" / "test_contract.py", "OVERFIT: dict[str, dict[str, Any]] = {\n", adding.by_heart())
    return folder


def insert(file: Path, head: str, line: str) -> None:
    text = file.read_text("utf-8")
    assert text.count(head) == 1, file
    file.write_text(text.replace(head, head + line), "utf-8")


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
    summary = python(folder, "-m", "pytest", *tests, "-k", "casing", "-m", "slow or not slow", "-p", "no:cacheprovider")
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
    cased = ["In May the two of us went to Rome.", "It may rain; I hope for sun.", "Mrs Hope told Mark a story."]
    with open(folder / "texts.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([f"{text} No {n}."] for n in range(80) for text in cased)])
    said = {}
    for line in re.findall(r"^pipelines (.*)$", adding.text(), re.MULTILINE):
        said[line] = python(folder, "-m", "pipelines", *shlex.split(line))
    demonstration, first, *_, last = said.values()
    assert "casing" in demonstration
    assert first.split("\t")[0] == "The singer from Rome is called Rose."
    answer, score, question = last.rstrip("\n").split("\t")
    assert answer.lower() == question and 0.5 <= float(score) <= 1
