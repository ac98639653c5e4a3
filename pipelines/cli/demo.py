"""The command ``pipelines demo``: train, evaluate and export every task on built-in data."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from pipelines.export.saved_model import Proven, prove
from pipelines.log import say
from pipelines.runs.files import claim, clear
from pipelines.task import Task
from pipelines.tasks import load_task
from pipelines.training.evaluate import evaluate, table
from pipelines.training.train import train

SHOWN = 4


@dataclass(frozen=True)
class Result:
    """One row of the summary table, with the failures as sentences."""

    task: str
    parameters: int
    seconds: float
    metric: str
    value: float
    baseline: str
    baseline_value: float
    run: Path
    failures: tuple[str, ...]


def run_demo(tasks: list[str], out: Path) -> int:
    """Run every task in ``tasks``, with run and export in ``out/TASK`` and ``out/TASK/export``, and print a table.

    Returns exit status 1 if a metric misses its threshold or its margin over the baseline, or an export differs from
    its run; else 0.

    Raises:
        ValueError: ``out`` is not an earlier demonstration.
    """
    claim(out)
    results = [_one(name, clear(out, name)) for name in tasks]
    print(_closing(results))
    for result in results:
        for failure in result.failures:
            print(f"pipelines: {result.task}: {failure}", file=sys.stderr)
    return 1 if any(result.failures for result in results) else 0


def _one(name: str, folder: Path) -> Result:
    say(f"== {name}")
    task = load_task(name)
    begin = time.monotonic()
    keras.backend.clear_session()
    train(name, run=folder, preset="small")
    record, failures = _judged(task, folder)
    source = task.builtin_source()
    method, reference = task.baseline(list(source.read("train")), list(source.read("test")))
    failures = _verdict(task, record, method, reference) + failures
    seconds, value = time.monotonic() - begin, record["metrics"][task.metric]["value"]
    return Result(name, record["parameters"], seconds, task.metric, value, method, reference, folder, tuple(failures))


def _judged(task: type[Task], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Export a run, and evaluate it meanwhile: return its scores, and export failures."""
    records = []

    def score() -> None:
        records.append(evaluate(folder))
        print(table(records[0]))

    failures = []
    try:
        print(_answers(task, prove(folder, meanwhile=score)))
    except RuntimeError as error:
        failures.append(str(error))
    if not records:
        score()
    return records[0], failures


def _verdict(task: type[Task], record: dict[str, Any], method: str, reference: float) -> list[str]:
    value, sign = record["metrics"][task.metric]["value"], 1 if task.higher_is_better else -1
    failures = []
    if sign * (value - task.threshold) < 0:
        failures.append(f"{task.metric} {value:.4f} misses {task.threshold}")
    if sign * (value - reference) < task.margin:
        failures.append(f"{task.metric} {value:.4f} does not beat {method} ({reference:.4f}) by {task.margin}")
    return failures


def _answers(task: type[Task], proven: Proven) -> str:
    """Format the export's answers in its fresh process to a few test examples, with input and reference."""
    lines = (proven.folder.parent / "predictions.jsonl").read_text("utf-8").splitlines()
    predictions = {one["id"]: one for one in map(json.loads, lines)}
    shown = ["answers of the export in a fresh process:"]
    for number, example in list(enumerate(proven.examples))[-SHOWN:]:
        text = task.answered({name: values[number] for name, values in proven.answers.items()})
        prediction = predictions[example["id"]]
        if text != prediction["answer"]:
            raise RuntimeError(f"{example['id']}: the export answers {text!r}, the run {prediction['answer']!r}")
        shown.append(f"  {prediction['input']}\n    -> {text}   (reference: {prediction['references'][0]})")
    return "\n".join(shown)


def _closing(results: list[Result]) -> str:
    lines = [f"\n{'task':<12} {'parameters':>10} {'seconds':>8}  {'metric':<14} {'value':>8}  without recurrence"]
    for r in results:
        lines.append(
            f"{r.task:<12} {r.parameters:>10,} {r.seconds:>8.1f}  {r.metric:<14} {r.value:>8.4f}  "
            f"{r.baseline_value:.4f} ({r.baseline})"
        )
        lines.append(f"             run {r.run}, export {r.run / 'export'}")
    return "\n".join(lines)
