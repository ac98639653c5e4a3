"""What makes a demonstration fail: a score too low, a lead too small, an export that answers otherwise."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.cli import demo
from pipelines.export.saved_model import Proven

HIGHER = SimpleNamespace(
    metric="bleu",
    higher_is_better=True,
    threshold=80.0,
    margin=40.0,
    answered=lambda row: row["translation"].decode(),
)
LOWER = SimpleNamespace(metric="wer", higher_is_better=False, threshold=0.1, margin=0.2)
FINE = demo.Result("speech", 1200, 61.5, "wer", 0.05, "templates", 0.4, Path("demo/speech"), ())


@pytest.mark.parametrize(
    ("task", "value", "reference", "failures"),
    [
        (HIGHER, 80.0, 40.0, []),
        (HIGHER, 79.9, 10.0, ["bleu 79.9000 misses 80.0"]),
        (HIGHER, 90.0, 50.1, ["bleu 90.0000 does not beat words (50.1000) by 40.0"]),
        (HIGHER, 10.0, 99.0, ["bleu 10.0000 misses 80.0", "bleu 10.0000 does not beat words (99.0000) by 40.0"]),
        (LOWER, 0.05, 0.3, []),
        (LOWER, 0.11, 0.9, ["wer 0.1100 misses 0.1"]),
        (LOWER, 0.05, 0.2, ["wer 0.0500 does not beat words (0.2000) by 0.2"]),
        (LOWER, 0.9, 0.05, ["wer 0.9000 misses 0.1", "wer 0.9000 does not beat words (0.0500) by 0.2"]),
    ],
)
def test_a_score_must_reach_its_threshold_and_lead_by_its_margin(
    task: Any, value: float, reference: float, failures: list[str]
) -> None:
    assert demo._verdict(task, {"metrics": {task.metric: {"value": value}}}, "words", reference) == failures


@pytest.mark.parametrize(("failures", "status"), [((), 0), (("wer 0.9 misses 0.1", "the export differs"), 1)])
def test_one_task_that_fails_is_named_and_fails_the_demonstration(
    failures: tuple[str, ...], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    results = {"speech": replace(FINE, failures=failures), "sentiment": replace(FINE, task="sentiment")}
    monkeypatch.setattr(demo, "_one", lambda name, folder: results[name])
    assert demo.run_demo(["speech", "sentiment"], tmp_path / "demo") == status
    said = capsys.readouterr()
    assert said.err.splitlines() == [f"pipelines: speech: {failure}" for failure in failures]
    rows = [line.split() for line in said.out.splitlines() if line.startswith("s")]
    assert rows == [[name, "1,200", "61.5", "wer", "0.0500", "0.4000", "(templates)"] for name in results]


def test_an_export_that_is_refused_is_a_failure_of_a_run_that_is_scored_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, meanwhile: Any) -> Proven:
        raise RuntimeError("the export's score differs from the run's by 1")

    monkeypatch.setattr(demo, "prove", refuse)
    monkeypatch.setattr(demo, "evaluate", lambda folder: {"folder": folder})
    monkeypatch.setattr(demo, "table", str)
    record = {"folder": tmp_path}
    assert demo._judged(HIGHER, tmp_path) == (record, ["the export's score differs from the run's by 1"])


def proven(folder: Path, last: str) -> Proven:
    """Two hard cases and four examples of the test split, of which the export answers the last one with ``last``."""
    rows = [
        {"id": f"test-{i}", "input": f"in {i}", "answer": f"out {i}", "references": [f"reference {i}"]}
        for i in range(4)
    ]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"id": "0"}, {"id": "1"}, *({"id": row["id"]} for row in rows)]
    answers = [b"", b"?", b"out 0", b"out 1", b"out 2", last.encode()]
    return Proven(folder / "export", asked, {"translation": np.array(answers, object)})


def test_answers_of_the_export_are_shown_beside_their_references(tmp_path: Path) -> None:
    shown = demo._answers(HIGHER, proven(tmp_path, "out 3")).splitlines()
    assert len(shown) == 9 and shown[-2:] == ["  in 3", "    -> out 3   (reference: reference 3)"]


def test_an_answer_that_differs_from_the_runs_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="test-3: the export answers 'out 4', the run 'out 3'"):
        demo._answers(HIGHER, proven(tmp_path, "out 4"))
