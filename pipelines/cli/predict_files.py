"""The file of a batch job: its lines, and what it takes to go on behind them."""

import contextlib
import csv
import fcntl
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

NAMED = 50
"""Failed inputs that the last sentence names by number; every one is named when it fails."""

COLUMNS = ("input", "answer", "score", "error")
"""Of a CSV file."""
HEADER = ",".join(COLUMNS).encode()
"""Beginning of the first line of a CSV file."""
EXPECTED = {"lines": "ANSWER, tab, score, tab, input", "json": "a JSON object", "csv": ",".join(COLUMNS)}

Prediction = dict[str, Any]
Kind = Literal["lines", "json", "csv"]


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


def header(columns: Sequence[str] = ()) -> bytes:
    """Return the first line of a CSV file: ``COLUMNS``, and those of the inputs; one of the same name is ``given``."""
    return _row([*COLUMNS, *(f"given {name}" if name in COLUMNS else _cell(name) for name in columns)])


def line(prediction: Prediction, kind: Kind, columns: Sequence[str] = ()) -> bytes:
    """Write one prediction as a line of UTF-8; what has no UTF-8, half a surrogate pair, is escaped.

    Args:
        prediction: the prediction; one that failed may have the score None, which is left empty.
        kind: of the file.
        columns: other columns of the input, which a CSV file has too.
    """
    if kind == "json":
        text = json.dumps(prediction, ensure_ascii=False)
    elif kind == "csv":
        held = prediction.get("columns", {})
        own = [_text(prediction.get(name)) for name in COLUMNS]
        return _row([_cell(value) for value in (*own, *(_text(held.get(name)) for name in columns))])
    else:
        score = "" if prediction["score"] is None else f"{prediction['score']:.4f}"
        cells = [prediction["answer"], score, str(prediction["input"])]
        cells += [prediction["error"]] if "error" in prediction else []
        text = "\t".join(_cell(cell) for cell in cells)
    return (text + "\n").encode("utf-8", "backslashreplace")


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _row(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: str) -> str:
    return " ".join(value.split())


# ------------------------------------------------------------------------------------------- files to continue


class Done(NamedTuple):
    """What a file holds: its complete lines, their bytes, a last line that was cut short, and the header of CSV."""

    tally: Tally
    size: int
    rest: bytes
    header: bytes


class Continued:
    """A file of answers that knows what was in it before; writes go behind its last complete line.

    Attributes:
        tally: what its complete lines hold.
        size: their bytes.
    """

    def __init__(self, file: BinaryIO, path: str, done: Done) -> None:
        self._file, self._path, self.flush = file, path, file.flush
        self.tally, self.size, self._rest, self._header = done

    def begin(self, header: bytes) -> None:
        """Write the first line of a CSV file, or compare that which is there.

        Raises:
            ValueError: the file has other columns.
        """
        if not self.size:
            self.write(header)
        elif self._header != header:
            there, here = (line.decode("utf-8", "backslashreplace").strip() for line in (self._header, header))
            raise ValueError(f"--resume: {self._path}:1: has the columns {there!r:.200}, this job has {here!r:.200}")

    def write(self, content: bytes) -> None:
        """Write a line; the first one takes the place of one that was cut short.

        Raises:
            ValueError: all that the file holds is a line cut short, and this is not the line that it began with.
        """
        if self._rest:
            if not self.size and not content.startswith(self._rest):
                raise ValueError(
                    f"--resume: {self._path}:1: is cut short, and is not the beginning of the first line that this job "
                    "writes; name another file, or remove this one"
                )
            self._file.truncate(self.size)
            self._rest = b""
        self._file.write(content)


@contextlib.contextmanager
def opened(path: str, resume: bool, kind: Kind) -> Iterator[Any]:
    """Open the file of a job; one job at a time.

    Args:
        path: the file.
        resume: continue a file that is there; a last line that was cut short is written anew.
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
        except BlockingIOError:
            raise ValueError(f"--out {path}: is being written by another process") from None
        except OSError:
            pass  # a file system without locks; that is no reason not to write there
        done = _done(file, path, kind)
        try:
            yield Continued(file, path, done)
        except BaseException:
            if not done.size and not done.rest and not file.tell():
                target.unlink()  # a job that never began leaves nothing behind
            raise


def _done(file: BinaryIO, path: str, kind: Kind) -> Done:
    tally, size, rest, first = Tally(), 0, b"", b""
    file.seek(0)
    for number, content in enumerate(file, start=1):
        if not content.endswith(b"\n"):
            rest = content
            break
        size += len(content)
        if kind == "csv" and number == 1 and content.startswith(HEADER):
            first = content
            continue
        try:
            failed, tally.last = _read(content, kind)
        except (ValueError, KeyError, TypeError, IndexError, csv.Error):
            raise ValueError(f"--resume: {path}:{number}: expected {EXPECTED[kind]}, as this job writes") from None
        tally.count(failed)
    return Done(tally, size, rest, first)


def _read(content: bytes, kind: Kind) -> tuple[bool, str]:
    """Say whether a line is of a failed input, and which."""
    if kind == "json":
        record = json.loads(content)
        return "error" in record, str(record["input"])
    text = content.decode("utf-8")[:-1]
    if kind == "csv":
        csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # the default of 128 KiB refuses long inputs
        given, _, score, error, *_ = next(csv.reader([text]))
        float(score or 0.0 if error else score)
        return bool(error), given
    cells = text.split("\t")
    float(cells[1] or 0.0 if len(cells) > 3 else cells[1])
    return len(cells) > 3, cells[2]


def behind(inputs: Iterator[Any], tally: Tally, kind: Kind) -> Iterator[Any]:
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
