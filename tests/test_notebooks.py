"""Every notebook runs: in a reduced form here, as a reader runs it in the slow tests."""

import ast
import json
import os
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from models.recurrent.kernels import portable
from pipelines import TASKS, load_task
from pipelines.training import evaluate as evaluation
from tests.conftest import beginning

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_CELLS = 15
REDUCED: dict[str, dict[str, Any]] = {
    "00_why_gates": {
        "STEPS": 12,
        "LAGS": (2,),
        "LENGTHS": (2, 3),
        "CELLS": ("lstm",),
        "UPDATES": 2,
        "TASKS": ("sentiment",),
        "PRETRAINED": ROOT / "pretrained" / "sentiment",
        "REVIEWS": 8,
    },
    "05_your_own_data": {"SETTINGS": {"preset": "tiny"}, "LIMIT": 32},
}
"""What the first code cell of a notebook sets, in place of its own values; cells tagged ``slow`` are left out:
exports, and what another notebook does in the same words."""


def cells(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text("utf-8"))["cells"])


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_clean_and_told(path: Path) -> None:
    found = cells(path)
    assert len(found) <= MOST_CELLS
    assert found[0]["cell_type"] == "markdown" and source(found[0]).startswith("# ")
    ids = [cell["id"] for cell in found]
    assert len(set(ids)) == len(ids)
    for cell in found:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None, f"{path.name}: committed with outputs"
            logic = (ast.FunctionDef, ast.ClassDef, ast.While, ast.Try)
            assert not [node for node in ast.walk(ast.parse(source(cell))) if isinstance(node, logic)]


def test_there_is_one_for_the_gates_one_a_task_and_one_for_own_data() -> None:
    names = [path.stem for path in NOTEBOOKS]
    assert names == ["00_why_gates", *(f"0{n}_{task}" for n, task in enumerate(TASKS, 1)), "05_your_own_data"]


class Shown:
    """Stands for what IPython would show: the default tests do without it."""

    def __init__(self, *given: Any, **options: Any) -> None:
        assert given or options


def run_cell(cell: dict[str, Any], names: dict[str, Any]) -> Any:
    """Execute a cell; return the value of its last line as a notebook would show it."""
    tree = ast.parse(source(cell))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


@pytest.fixture
def as_in_jupyter(tmp_path: Path, monkeypatch: Any) -> Path:
    """An empty working directory, and a stand-in for what shows sounds and pictures."""
    display = types.ModuleType("IPython.display")
    for name in ("Audio", "Image", "display"):
        setattr(display, name, Shown)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ALIKE = ("02_translation", "04_captioning")
"""Notebooks whose cells are those of others but for the task: here in the slow tests too."""
AS_MARKED = [pytest.param(path, marks=pytest.mark.slow) if path.stem in ALIKE else path for path in NOTEBOOKS]


@pytest.mark.parametrize("path", AS_MARKED, ids=lambda path: path.stem)
def test_a_notebook_runs_in_a_reduced_form(
    path: Path, as_in_jupyter: Path, small_run: Any, monkeypatch: Any, capsys: Any
) -> None:
    reduced = dict(REDUCED.get(path.stem, {}))
    task = path.stem.split("_")[1] if path.stem[3:] in TASKS else "sentiment"
    if path.stem != "05_your_own_data":  # training resumes a run that has ended: the one that other tests use
        shutil.copytree(small_run(task), as_in_jupyter / "runs" / task)
        reduced |= {"SETTINGS": {"preset": "tiny", "limit": 32}}
    module = load_task(task)
    monkeypatch.setattr(module, "open_source", staticmethod(few_examples(module.open_source)))
    monkeypatch.setattr(evaluation, "bootstrap", few_resamples(evaluation.bootstrap))
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    names: dict[str, Any] = {"__name__": "__main__"}
    with portable():
        for number, cell in enumerate(code):
            if "slow" in cell["metadata"].get("tags", ()):
                continue
            shown = run_cell(cell, names)
            if number == 0:
                assert set(reduced) <= set(names), f"{path.name} does not set {set(reduced) - set(names)}"
                names |= reduced
            if "picture" in "".join(cell["metadata"].get("tags", ())):
                assert isinstance(shown, Figure) and shown.axes
    assert capsys.readouterr().out


def few_examples(open_source: Any) -> Any:
    """Of built-in data the beginning is read, under the name of the whole, so that a run of it is resumed."""
    return lambda spec, config: (
        beginning(open_source(spec, config), 64) if spec == "synthetic" else open_source(spec, config)
    )


def few_resamples(bootstrap: Any) -> Any:
    return lambda scorer, count, resamples, **options: bootstrap(scorer, count, 5, **options)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_as_a_reader_runs_it(path: Path, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs .[slow]")
    nbclient = pytest.importorskip("nbclient", reason="needs .[slow]")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "pretrained").symlink_to(ROOT / "pretrained")
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    client = nbclient.NotebookClient(
        book, timeout=1200, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute(env=environment)
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.output_type == "error"]
