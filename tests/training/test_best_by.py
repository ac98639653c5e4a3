"""The score that chooses the best epoch, where the task's own is not what counts."""

import csv
from pathlib import Path
from typing import Any, get_args

import pytest

from pipelines import TASKS, load_task, train
from pipelines.runs.load import load_run


@pytest.mark.parametrize("name", TASKS)
def test_every_choice_is_a_score_and_the_first_is_the_tasks_own(name: str, small_run: Any) -> None:
    task = load_task(name)
    config = task.config_class
    field = config.__dataclass_fields__["monitor"]
    first, *others = get_args(field.type)
    assert first == task.metric == config().monitored(task.metric) and others
    with open(small_run(name) / "history.csv", newline="") as file:
        assert {f"validation_{choice}" for choice in (first, *others)} <= set(next(csv.reader(file)))


def test_the_best_epoch_is_chosen_by_it(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    scores = iter([{"accuracy": 0.9, "macro_f1": 0.2}, {"accuracy": 0.1, "macro_f1": 0.8}] * 2)
    monkeypatch.setattr(
        "pipelines.tasks.sentiment.task.Sentiment.scorer", lambda self, predictions: lambda numbers: next(scores)
    )
    for choice, best in (("accuracy", 1), ("macro_f1", 2)):
        run = train("sentiment", run=tmp_path / choice, preset="tiny", limit=40, epochs=2, monitor=choice)
        assert f"best epoch {best}: validation {choice}" in capsys.readouterr().err
        assert load_run(run).config.monitor == choice
