"""LiteRT: three precisions that answer as the run does, or are not delivered."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.__main__ import main
from pipelines.export import numeric

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
VARIANTS = ["float32", "float16", "dynamic"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, small_run: Any) -> Any:
    """Return ``exported(task) -> folder`` of the small run's LiteRT export, written once."""
    pytest.importorskip("ai_edge_litert")
    from pipelines.export.litert import export

    made: dict[str, Path] = {}

    def folder(task: str) -> Path:
        if task not in made:
            made[task] = export(small_run(task), tmp_path_factory.mktemp("litert") / task)
        return made[task]

    return folder


def documented() -> Any:
    """The function that docs/exports.md shows for LiteRT."""
    page = (ROOT / "docs" / "exports.md").read_text("utf-8")
    (body,) = re.findall(r"^```python\n# litert.py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    scope: dict[str, Any] = {}
    exec(body, scope)
    return scope["answer"]


@pytest.mark.parametrize("task", ["sentiment", "speech"])
def test_each_precision_answers_as_the_run(task: str, small_run: Any, exported: Any) -> None:
    folder = exported(task)
    card = json.loads((folder / "model.json").read_text())
    assert list(card["files"]) == [f"{name}.tflite" for name in VARIANTS]
    sizes = [facts["bytes"] for facts in card["files"].values()]
    assert sizes == [(folder / name).stat().st_size for name in card["files"]] and sizes[0] > sizes[1]
    loaded, network = numeric.load(small_run(task))
    answer = documented()
    for x, expected in numeric.cases(loaded, network, 3):
        for name, near in zip(VARIANTS, (1e-4, 0.05, 0.5), strict=True):
            got = answer(folder / f"{name}.tflite", card, x)
            assert set(got) == set(expected)
            np.testing.assert_allclose(got[numeric.SCORES], expected[numeric.SCORES], atol=near, rtol=0)
            if task == "speech":
                np.testing.assert_array_equal(got["steps"], expected["steps"])


def test_eight_bits_spare_the_front_end(small_run: Any, exported: Any) -> None:
    """With a rounded Fourier transform most of the probability of a quiet recording goes elsewhere."""
    from pipelines.export.litert import Interpreter, _convert, run

    loaded, network = numeric.load(small_run("speech"))
    x, expected = max(numeric.cases(loaded, network), key=lambda pair: pair[0]["audio"].size)
    spared, spoilt = (
        numeric.moved(expected, run(Interpreter(model_content=content), x, network))
        for content in ((exported("speech") / "dynamic.tflite").read_bytes(), _convert_bare(_convert, network))
    )
    assert spared < 0.02 and spoilt > 2 * spared


def _convert_bare(convert: Any, network: Any) -> bytes:
    import dataclasses

    return bytes(convert(dataclasses.replace(network, sheltered=None))["dynamic"])


def test_a_variant_that_is_too_far_is_left_out_and_named(
    small_run: Any, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    export_litert = pytest.importorskip("pipelines.export.litert")
    monkeypatch.setitem(export_litert.VARIANTS, "dynamic", 0.0)
    assert main(["export", str(small_run("sentiment")), "--format", "litert", "--out", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "out")
    assert "dynamic.tflite: left out: it moves" in err and "float16.tflite: 0." in err
    assert not (tmp_path / "out" / "dynamic.tflite").exists()
    assert list(json.loads((tmp_path / "out" / "model.json").read_text())["files"]) == [
        "float32.tflite", "float16.tflite",
    ]  # fmt: skip


def test_an_export_that_differs_is_not_delivered(
    small_run: Any, exported: Any, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines.export import litert as export_litert

    target = shutil.copytree(exported("sentiment"), tmp_path / "out")
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    honest = export_litert.run
    monkeypatch.setattr(export_litert, "run", lambda *a: {name: value * 1.001 for name, value in honest(*a).items()})
    assert main(["export", str(small_run("sentiment")), "--format", "litert", "--out", str(target)]) == 1
    err = capsys.readouterr().err
    assert re.search(r"the export differs from the run by 0\.00\d+, allowed is 0.0001", err) and err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
