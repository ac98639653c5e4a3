"""Explain one answer of a run: a picture and the numbers in it."""

import json
from pathlib import Path
from typing import Any

from pipelines.training.explanation import Explanation
from pipelines.training.loading import load_run
from pipelines.training.plots import save


def explain(run: str | Path, raw: Any) -> Explanation:
    """Answer one raw input with a trained run and say where the answer comes from.

    Raises:
        ValueError: no usable run, or its task has no explanation.
        RuntimeError: the explanation failed its own check.
    """
    loaded = load_run(run)
    if not hasattr(loaded.task, "explain"):
        raise ValueError(f"{run}: is a {loaded.task.NAME} run, whose answers cannot be explained yet")
    return loaded.task.explain(loaded.model, loaded.preprocessor, loaded.config, raw)


def run(folder: str | Path, raw: str, out: str | Path, as_json: bool = False) -> int:
    """Write the picture to ``out`` and print the numbers: a table, or one JSON object.

    Raises:
        ValueError: the run cannot be used, or the folder of ``out`` does not exist.
        RuntimeError: the explanation failed, or ``out`` cannot be written.
    """
    if not Path(out).expanduser().absolute().parent.is_dir():
        raise ValueError(f"--out {out}: there is no folder {Path(out).parent}")
    explanation = explain(folder, raw)
    save(explanation.picture, Path(out).expanduser())
    print(json.dumps(explanation.numbers, ensure_ascii=False) if as_json else explanation.table())
    return 0
