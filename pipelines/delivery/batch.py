"""Batch jobs: any number of inputs through a predictor in bounded memory, into a file that can be continued."""

import contextlib
import csv
import fcntl
import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from tqdm import tqdm

from pipelines.delivery.cuts import Cuts

MOST = 512
"""Inputs that are answered together at most: enough to sort them by length into full batches."""
PADDED = 64 * 2**20
"""Bytes that inputs answered together hold at most, each counted as large as the largest of them, as padding does."""
NAMED = 50
"""Failed inputs that the last sentence names by number; every one is named when it fails."""

COLUMNS = ("input", "answer", "score", "error")
"""First line of a CSV file."""
EXPECTED = {"lines": "ANSWER, tab, score, tab, input", "json": "a JSON object", "csv": ",".join(COLUMNS)}

Prediction = dict[str, Any]
Kind = Literal["lines", "json", "csv"]


class Answering(Protocol):
    """What a job needs of a ``Predictor``."""

    task: Any

    def __call__(self, inputs: Any) -> list[Prediction]:
        """Answer raw inputs in order."""


@dataclass
class Tally:
    """What a job has done so far.

    Attributes:
        answered: lines of output, failed ones included.
        failed: how many of them failed.
        first: the numbers of the first ``NAMED`` failed inputs, counted from 1.
        last: the input of the last line, as the line holds it.
    """

    answered: int = 0
    failed: int = 0
    first: list[int] = field(default_factory=list)
    last: str | None = None

    def count(self, failed: bool) -> None:
        """Count one more line."""
        self.answered += 1
        self.failed += failed
        if failed and len(self.first) < NAMED:
            self.first.append(self.answered)

    def sentence(self) -> str:
        """Return the closing sentence on what failed."""
        more = f" and {self.failed - len(self.first)} more" if self.failed > len(self.first) else ""
        numbers = ", ".join(map(str, self.first))
        return f"{self.failed} of {self.answered} inputs failed: number {numbers}{more}; the line of each says why"


def run(predictor: Answering, inputs: Iterable[Any], out: BinaryIO, kind: Kind, total: int | None = None) -> None:
    """Answer every input, one line each, in order; an input that fails does not stop the others.

    Inputs that fail, and those that are longer than the model reads, are named on standard error.

    Args:
        predictor: the model.
        inputs: raw inputs; read as they are needed.
        out: where lines go; a file that ``opened`` continues is continued behind its last complete line.
        kind: ``lines`` of ANSWER, tab, score, tab, input (and, where it failed, tab, the reason); JSON lines; or CSV
            with the ``COLUMNS``.
        total: how many inputs there are, for the progress bar, one that stands for several counted once; None where
            nobody knows.

    Raises:
        ValueError: the file that is continued belongs to other inputs.
        RuntimeError: inputs failed; names them by number. All the others were answered.
    """
    tally, cuts = getattr(out, "tally", None) or Tally(), Cuts()
    quiet = not sys.stderr.isatty()
    if kind == "csv" and not getattr(out, "size", 0):
        out.write(_row(COLUMNS))
    with tqdm(total=total, initial=tally.answered, unit=" inputs", disable=quiet, dynamic_ncols=True) as bar:

        def more(count: int) -> None:
            bar.total = None if bar.total is None else bar.total + count

        rest = _behind(expanded(predictor.task, inputs, more), tally, kind)
        for part in chunks(rest):
            for prediction in answer_all(predictor, part):
                numbered = prediction | {"id": str(tally.answered)}
                tally.count("error" in prediction)
                out.write(line(numbered, kind))
                cuts.see(tally.answered, prediction)
                if "error" in prediction:
                    tqdm.write(f"input {tally.answered}: {prediction['error']}", file=sys.stderr)
            out.flush()
            bar.update(len(part))
    cuts.close()
    if tally.failed:
        raise RuntimeError(tally.sentence())


def answer_all(predictor: Answering, inputs: list[Any]) -> list[Prediction]:
    """Answer inputs of which each may be unusable: where the whole list fails, its halves are tried.

    Returns:
        One prediction an input, in order; a failed one has an empty answer of score 0 and its reason under ``error``.
    """
    if not inputs:
        return []
    try:
        return predictor(inputs)
    except Exception as error:  # whatever one input causes must not take its neighbours along
        if len(inputs) == 1:
            reason = " ".join(str(error).split())[:500] or type(error).__name__
            return [{"id": "0", "input": _shown(inputs[0]), "answer": "", "score": 0.0, "error": reason}]
    half = len(inputs) // 2
    return answer_all(predictor, inputs[:half]) + answer_all(predictor, inputs[half:])


def expanded(task: Any, inputs: Iterable[Any], more: Callable[[int], None] = lambda count: None) -> Iterator[Any]:
    """Give every input that stands for several, such as a folder of pictures, as those; the others as they are.

    ``more`` is told how many inputs were not counted yet.
    """
    for given in inputs:
        try:
            examples = task.raw([given])
        except ValueError:
            yield given  # answering it will say why
        else:
            more(len(examples) - 1)
            yield from (example[task.RAW] for example in examples)


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
    if isinstance(given, str | Path):
        with contextlib.suppress(OSError, ValueError):
            return os.stat(given).st_size
        return len(str(given))
    return int(getattr(given, "nbytes", 0)) or len(given) if hasattr(given, "__len__") else 1


def line(prediction: Prediction, kind: Kind) -> bytes:
    """Write one prediction as a line of UTF-8; what has no UTF-8, half a surrogate pair, is escaped."""
    if kind == "json":
        text = json.dumps(prediction, ensure_ascii=False)
    elif kind == "csv":
        return _row([_cell(str(prediction.get(name, ""))) for name in COLUMNS])
    else:
        cells = [prediction["answer"], f"{prediction['score']:.4f}", str(prediction["input"])]
        cells += [prediction["error"]] if "error" in prediction else []
        text = "\t".join(_cell(cell) for cell in cells)
    return (text + "\n").encode("utf-8", "backslashreplace")


def _row(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: str) -> str:
    return " ".join(value.split())


def lines_in(path: str) -> int:
    """Count the lines of a file, block by block."""
    with open(path, "rb") as file:
        last, count = b"\n", 0
        while block := file.read(1 << 20):
            last, count = block[-1:], count + block.count(b"\n")
    return count + (last != b"\n")


def _shown(given: Any) -> str:
    return given if isinstance(given, str) else str(given) if isinstance(given, Path) else f"<{type(given).__name__}>"


# ------------------------------------------------------------------------------------------- files to continue


class Continued:
    """A file of answers that knows what was in it before; writes go behind its last complete line."""

    def __init__(self, file: BinaryIO, tally: Tally, size: int) -> None:
        self.write, self.flush, self.tally, self.size = file.write, file.flush, tally, size


@contextlib.contextmanager
def opened(path: str, resume: bool, kind: Kind) -> Iterator[Any]:
    """Open the file of a job; one job at a time.

    Args:
        path: the file.
        resume: continue a file that is there; a last line that was cut short is dropped.
        kind: what its lines are, see ``run``.

    Raises:
        ValueError: the file is there and must not be continued, holds something else, or is being written.
    """
    target = Path(path).expanduser()
    if target.is_dir() or not target.parent.is_dir():
        raise ValueError(f"--out {path}: " + ("is a folder" if target.is_dir() else "its folder is not there"))
    if target.exists() and not resume:
        raise ValueError(f"--out {path}: exists; continue it with --resume, or name another file")
    with open(target, "ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"--out {path}: is being written by another process") from None
        tally, size = _done(file, path, kind)
        file.truncate(size)
        try:
            yield Continued(file, tally, size)
        except BaseException:
            if not size and not file.tell():
                target.unlink()  # a job that never began leaves nothing behind
            raise


def _done(file: BinaryIO, path: str, kind: Kind) -> tuple[Tally, int]:
    """Count the complete lines of a file; also where the last one ends."""
    tally, size = Tally(), 0
    file.seek(0)
    for number, content in enumerate(file, start=1):
        if not content.endswith(b"\n"):
            break
        size += len(content)
        if kind == "csv" and number == 1 and content == _row(COLUMNS):
            continue
        try:
            failed, tally.last = _read(content, kind)
        except (ValueError, KeyError, TypeError, IndexError):
            raise ValueError(f"--resume: {path}:{number}: expected {EXPECTED[kind]}, as this job writes") from None
        tally.count(failed)
    return tally, size


def _read(content: bytes, kind: Kind) -> tuple[bool, str]:
    """Say whether a line is of a failed input, and which."""
    if kind == "json":
        record = json.loads(content)
        return "error" in record, str(record["input"])
    text = content.decode("utf-8")[:-1]
    if kind == "csv":
        given, _, score, error = next(csv.reader([text]))
        float(score)
        return bool(error), given
    cells = text.split("\t")
    float(cells[1])
    return len(cells) > 3, cells[2]


def _behind(inputs: Iterator[Any], tally: Tally, kind: Kind) -> Iterator[Any]:
    """Pass over the inputs that were answered before, and compare the last of them."""
    if not tally.answered:
        return inputs
    passed = list(itertools.islice(inputs, tally.answered - 1, tally.answered))
    if not passed:
        raise ValueError(f"--resume: the file holds {tally.answered} answers, there are fewer inputs")
    _, expected = _read(line({"answer": "", "score": 0.0, "input": str(passed[0])}, kind), kind)
    if expected != tally.last:
        raise ValueError(
            f"--resume: line {tally.answered} answers {tally.last!r:.80}, the input of this number is {expected!r:.80}"
        )
    return inputs
