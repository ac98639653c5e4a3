"""The command ``pipelines explain``: a figure and a table for one answer or a contact sheet."""

import json
from pathlib import Path
from typing import Any

from pipelines.cli.predict import SENTENCE
from pipelines.data.source import limited
from pipelines.explain.explanation import Explanation, table
from pipelines.explain.plots import save
from pipelines.log import say
from pipelines.runs.files import need_file
from pipelines.runs.load import load_run
from pipelines.training.decode import prepared


def explain(run: str | Path, raw: Any, **decoding: Any) -> Explanation:
    """Answer one raw input with a trained run and explain the answer.

    Raises:
        ValueError: the run or its resources cannot be used, or its task has no explanation.
        RuntimeError: the explanation failed its own check.
    """
    loaded = prepared(load_run(run, **decoding))
    return loaded.task.explain(loaded.model, raw)


def run(folder: str | Path, raw: str, out: str | Path, as_json: bool = False, **decoding: Any) -> int:
    """Write the figure to ``out`` and print the numbers: a table, or one JSON object.

    Raises:
        ValueError: the run cannot be used, or the folder of ``out`` does not exist.
        RuntimeError: the explanation failed, or ``out`` cannot be written.
    """
    target = need_file(out)
    explanation = explain(folder, raw, **decoding)
    save(explanation.picture, target)
    if explanation.numbers.get("cut"):
        say(f"the input is {SENTENCE}")
    numbers = explanation.numbers
    print(json.dumps(numbers, ensure_ascii=False) if as_json else table(numbers["rows"]))
    return 0


def run_sheet(
    folder: str | Path,
    count: int,
    out: str | Path,
    as_json: bool = False,
    data: str | None = None,
    split: str = "test",
    **decoding: Any,
) -> int:
    """Write a contact sheet of examples to ``out`` and print a table, or a JSON array, of them.

    Args:
        folder: the run folder.
        count: number of examples, spread evenly and reproducibly over the split.
        out: the figure to write.
        as_json: print JSON.
        data: a data specification; the run's own when omitted.
        split: the split.
        **decoding: decoding settings that override the run's own.

    Raises:
        ValueError: the run, its data or ``out`` cannot be used, or its task has no contact sheet.
        RuntimeError: ``out`` cannot be written.
    """
    target = need_file(out)
    loaded = prepared(load_run(folder, **decoding))
    source = limited(loaded.open_source(data), count)
    examples = list(source.read(split, lambda problem: say(f"{problem.where}: {problem.reason}")))
    if not examples:
        raise ValueError(f"{source.spec}: no usable example in split {split}")
    sheet = loaded.task.sheet(loaded.model, examples)
    save(sheet.picture, target)
    print(json.dumps(sheet.rows, ensure_ascii=False) if as_json else table(sheet.rows))
    return 0
