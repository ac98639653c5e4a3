"""Many pictures at once: a sheet of them with captions and attention, and a folder as a table."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import Predictor
from pipelines.__main__ import main
from pipelines.data.source import limited
from pipelines.explain import plots
from pipelines.runs.load import load_run
from pipelines.tasks.captioning import synthetic
from pipelines.tasks.captioning.explain import MOST, Line, Look, draw, row


def test_every_picture_has_a_row_with_its_words_or_its_reason() -> None:
    answer = "a red $ circle"
    look = Look(np.zeros((8, 8, 3), np.uint8), {"answer": answer, "score": -0.5}, answer.split(), np.ones((4, 2, 2)))
    long = look._replace(words=["word"] * (MOST + 3), maps=np.ones((MOST + 3, 2, 2)))
    lines = [
        Line({"id": "1", "captions": ["one", "two"]}, look),
        Line({"id": "2"}, None, "is gone"),
        Line({"id": "3"}, long),
    ]
    assert plots.png(draw(lines)).startswith(b"\x89PNG")
    drawn = [[panel.get_title() for panel in grid.axes if panel.get_title()] for grid in draw(lines).subfigs]
    assert drawn == [answer.split(), [], ["word"] * MOST]
    assert row(lines[0]) == {"picture": "1", "answer": answer, "score": -0.5, "reference": "one", "problem": ""}
    assert row(lines[1]) == {"picture": "2", "answer": "", "score": 0.0, "reference": "", "problem": "is gone"}


@pytest.mark.slow
def test_a_sheet_of_test_pictures_shows_captions_and_attention(
    small_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = small_run("captioning"), tmp_path / "sheet.png"
    assert main(["explain", str(run), "--sheet", "3", "--out", str(out), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    loaded = load_run(run)
    chosen = list(limited(loaded.open_source(), 3).read("test"))
    expected = Predictor(run)([example["image"] for example in chosen])
    assert [row["answer"] for row in rows] == [p["answer"] for p in expected]
    assert [row["reference"] for row in rows] == [example["captions"][0] for example in chosen]
    assert out.read_bytes().startswith(b"\x89PNG")
    broken = chosen[0] | {"id": "broken", "image": b"no picture"}
    sheet = loaded.task.sheet(loaded.model, [*chosen, broken])
    assert sheet.rows[:3] == rows and "is no picture" in sheet.rows[3]["problem"] and sheet.rows[3]["answer"] == ""
    alone = loaded.task.explain(loaded.model, chosen[0]["image"])
    drawn = [[panel.get_title() for panel in grid.axes if panel.get_title()] for grid in sheet.picture.subfigs]
    assert drawn[0] == [row["word"] for row in alone.numbers["rows"]][:MOST] and drawn[3] == []


def test_wrong_requests_for_a_sheet_are_one_sentence(
    small_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = str(small_run("captioning")), str(tmp_path / "sheet.png")
    for arguments, sentence in (
        ([], "expected either an input or --sheet N"),
        (["x.png", "--sheet", "3"], "expected either an input or --sheet N"),
        (["--sheet", "0"], "--sheet: expected a positive number of examples, came 0"),
        (["--sheet", "2", "--split", "tset"], "there is no split tset"),
        (["--sheet", "2", "--data", str(tmp_path / "gone")], "there is no such file or folder"),
        (["--sheet", "2", "--lm", "train"], "unknown argument --lm"),
    ):
        assert main(["explain", run, *arguments, "--out", out]) == 2
        assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_folder_is_answered_as_a_table_in_order(small_run: Any, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "pictures").mkdir()
    names = ["b.png", "a.png", "c.png"]
    for name, example in zip(names, synthetic.examples("test", 3, 0), strict=True):
        (tmp_path / "pictures" / name).write_bytes(example["image"])
    (tmp_path / "pictures" / "a2.jpg").write_bytes(b"text")
    run, out = small_run("captioning"), tmp_path / "answers.csv"
    assert main(["predict", str(run), str(tmp_path / "pictures"), "--out", str(out)]) == 1
    assert "input 2: " in capfd.readouterr().err
    with open(out, newline="") as file:
        table = list(csv.DictReader(file))
    assert [Path(row["input"]).name for row in table] == ["a.png", "a2.jpg", "b.png", "c.png"]
    assert [bool(row["error"]) for row in table] == [False, True, False, False]
    expected = Predictor(run)([row["input"] for row in table])
    assert [row["answer"] for row in table] == [p["answer"] for p in expected]
