"""Batch jobs: any number of inputs through a predictor in bounded memory, into a file that can be continued."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tqdm import tqdm

from pipelines.cli.predict_files import COLUMNS as COLUMNS
from pipelines.cli.predict_files import Kind as Kind
from pipelines.cli.predict_files import Prediction, Tally, behind, header
from pipelines.cli.predict_files import line as line
from pipelines.cli.predict_files import opened as opened
from pipelines.cli.predict_inputs import Given
from pipelines.cli.predict_inputs import inputs as inputs

if TYPE_CHECKING:
    from pipelines.predictor import Predictor
    from pipelines.task import Task

MOST = 512
"""Inputs that are answered together at most: enough to sort them by length into full batches."""
PADDED = 64 * 2**20
"""Bytes that inputs answered together hold at most, each counted as large as the largest of them, as padding does."""


def run(predictor: Predictor, inputs: Iterable[Any], out: BinaryIO, kind: Kind, total: int | None = None) -> None:
    """Answer every input, one line each, in order; an input that fails does not stop the others.

    Inputs that fail, and those that are longer than the model reads, are named on standard error.

    Args:
        predictor: the model.
        inputs: raw inputs, or ``Given`` ones with what their rows hold besides; read as they are needed.
        out: where lines go; a file that ``opened`` continues is continued behind its last complete line.
        kind: ``lines`` of ANSWER, tab, score, tab, input (and, where it failed, tab, the reason); JSON lines; or CSV
            with the ``COLUMNS``, and behind them the other columns of the inputs.
        total: how many inputs there are, for the progress bar, one that stands for several counted once; None where
            nobody knows.

    Raises:
        ValueError: the file that is continued is of something else, or belongs to other inputs.
        RuntimeError: inputs failed; names them by number. All the others were answered.
    """
    tally, cuts = getattr(out, "tally", None) or Tally(), Cuts()
    quiet = not sys.stderr.isatty()
    inputs, columns = _columns(inputs) if kind == "csv" else (inputs, ())
    if kind == "csv":
        getattr(out, "begin", out.write)(header(columns))
    with tqdm(total=total, initial=tally.answered, unit=" inputs", disable=quiet, dynamic_ncols=True) as bar:

        def more(count: int) -> None:
            bar.total = None if bar.total is None else bar.total + count

        rest = behind(expanded(predictor.task, inputs, more), tally, kind)
        for part in chunks(rest):
            for prediction in answered(predictor, part):
                numbered = prediction | {"id": str(tally.answered)}
                tally.count("error" in prediction)
                out.write(line(numbered, kind, columns))
                cuts.see(tally.answered, prediction)
                if "error" in prediction:
                    tqdm.write(f"input {tally.answered}: {prediction['error']}", file=sys.stderr)
            out.flush()
            bar.update(len(part))
    cuts.close()
    if tally.failed:
        raise RuntimeError(tally.sentence())


def _columns(inputs: Iterable[Any]) -> tuple[Iterable[Any], tuple[str, ...]]:
    """Return the inputs again, and the names of the further columns of the first good row of a table."""
    every, seen = iter(inputs), []
    columns: tuple[str, ...] = ()
    for one in itertools.islice(every, MOST):
        seen.append(one)
        columns = tuple(one.columns) if isinstance(one, Given) else ()
        if columns or not isinstance(one, Given):
            break
    return itertools.chain(seen, every), columns


def answered(predictor: Predictor, part: list[Any]) -> Iterator[Prediction]:
    """Answer inputs in order; further columns of a row come under ``columns``, and a failed input has no score."""
    found = iter(predictor.each([_raw(one) for one in part if not getattr(one, "error", "")]))
    for one in part:
        reason = getattr(one, "error", "")
        prediction = predictor.failed(_raw(one), reason) if reason else next(found)
        columns = {"columns": dict(one.columns)} if isinstance(one, Given) and one.columns else {}
        yield prediction | columns | ({"score": None} if "error" in prediction else {})


def _raw(given: Any) -> Any:
    return given.raw if isinstance(given, Given) else given


def expanded(
    task: Task | type[Task], inputs: Iterable[Any], more: Callable[[int], None] = lambda count: None
) -> Iterator[Any]:
    """Give every input that stands for several, such as a folder of pictures, as those; the others as they are.

    ``more`` is told how many inputs were not counted yet.
    """
    for given in inputs:
        try:
            examples = [] if getattr(given, "error", "") else task.parse([_raw(given)])
        except ValueError:
            examples = []
        if not examples:
            yield given  # answering it will say why
            continue
        more(len(examples) - 1)
        for example in examples:
            yield replace(given, raw=example[task.raw]) if isinstance(given, Given) else example[task.raw]


def chunks(inputs: Iterable[Any], most: int = MOST, padded: int = PADDED) -> Iterator[list[Any]]:
    """Cut inputs into lists that fit in memory: by number, and by size as if padded to the largest one's."""
    part: list[Any] = []
    largest = 0
    for one in inputs:
        size = max(_size(one), 1)
        if part and (len(part) == most or max(size, largest) * (len(part) + 1) > padded):
            yield part
            part, largest = [], 0
        part.append(one)
        largest = max(largest, size)
    if part:
        yield part


def _size(given: Any) -> int:
    """Bytes of an input: of the file where it is the path of one, else of itself."""
    given = _raw(given)
    if isinstance(given, str | Path):
        with contextlib.suppress(OSError, ValueError):
            return os.stat(given).st_size
        return len(str(given))
    return int(getattr(given, "nbytes", 0)) or len(given) if hasattr(given, "__len__") else 1


def lines_in(path: str) -> int:
    """Count the lines of a file, block by block."""
    with open(path, "rb") as file:
        last, count = b"\n", 0
        while block := file.read(1 << 20):
            last, count = block[-1:], count + block.count(b"\n")
    return count + (last != b"\n")


SENTENCE = "longer than the model reads; only its beginning was answered"
NAMED = 5
"""Inputs of a job that get a line of their own; of the others the number is told, or millions would drown the rest."""


class Cuts:
    """Counts the answers whose ``cut`` is true; names the first ``NAMED`` of them on standard error."""

    def __init__(self) -> None:
        self.count = 0

    def see(self, number: int, prediction: Mapping[str, Any]) -> None:
        """Look at the answer of input ``number``, counted from 1."""
        if prediction.get("cut"):
            self.count += 1
            if self.count <= NAMED:
                tqdm.write(f"input {number}: {SENTENCE}", file=sys.stderr)

    def close(self) -> None:
        """Say how many there were beside those that were named."""
        if self.count > NAMED:
            tqdm.write(f"{self.count - NAMED} more inputs: {SENTENCE}", file=sys.stderr)
