"""Inputs of a batch job: command-line arguments, lines of text, and rows of tables."""

import io
import itertools
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.config import to_dict
from pipelines.data import tables
from pipelines.data.cells import inside, unfit
from pipelines.data.folders import Around, chosen
from pipelines.data.reading import broken, decoded, lines, lines_of, whole_text
from pipelines.data.source import Problem

FILES = ("audio", "image")
"""Raw inputs that are file paths."""


@dataclass(frozen=True)
class Given:
    """One input read from a file.

    Attributes:
        raw: the text or path.
        columns: the other columns of its row, which are kept in the output.
        error: why the input cannot be answered; empty if it can.
    """

    raw: Any
    columns: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    def __str__(self) -> str:
        """Return the raw input as text."""
        return str(self.raw)


def inputs(predictor: Any, typed: Sequence[str], file: str | None, column: str | None) -> Iterator[Any]:
    """Stream the inputs of ``pipelines predict``: those from a file, then the command-line arguments.

    Args:
        predictor: the `Predictor` that answers them.
        typed: command-line arguments; ``-`` stands for the lines of standard input.
        file: a table, a text file with one input a line, or a folder.
        column: column of the table with the inputs (default: the training's, or a usual name).

    Raises:
        ValueError: a text is the name of a file or folder; the file is not readable or has no such column.
    """
    raw = predictor.task.raw
    need_texts(typed, raw)
    found = in_file(file, raw, (column,) if column else usual(predictor)) if file else iter(())
    return itertools.chain(found, _typed(typed))


def usual(predictor: Any) -> tuple[str, ...]:
    """Return possible names of the input column, the one of the training first."""
    task, raw = predictor.task, predictor.task.raw
    config = to_dict(predictor.loaded.config) if predictor.loaded else {}
    own = [config.get(name, "") for name in (f"{raw}_column", raw)]
    usual = task.columns.get(raw, ())
    return tuple(dict.fromkeys(name for name in (*own, *usual, raw) if isinstance(name, str) and name))


def need_texts(typed: Sequence[str], raw: str) -> None:
    """Check that no input of a text task is the name of an existing file.

    Raises:
        ValueError: an input names an existing file or folder; says how to read it.
    """
    for given in typed if raw not in FILES else ():
        if given != "-" and os.path.exists(given):
            kind = "a folder" if os.path.isdir(given) else "a file"
            raise ValueError(
                f"{given}: names {kind}, and this run answers texts; read it with --file {given}, or ask for this very "
                f"text with: echo '{given}' | pipelines predict RUN -"
            )


def _typed(inputs: Sequence[str]) -> Iterator[Any]:
    for given in inputs:
        if given == "-":
            yield from _standard_input()
        else:
            yield given


def _standard_input() -> Iterator[Any]:
    raw: BinaryIO = sys.stdin.buffer
    head = raw.peek(2) if isinstance(raw, io.BufferedReader) else b""
    text = decoded(raw, head[:2] if len(head) < 64 else head, "\n", "standard input")
    try:
        yield from _texts(lines_of(text, "standard input"), "standard input")
    finally:
        text.detach()  # or standard input would be closed with it


def in_file(path: str, raw: str, columns: Sequence[str]) -> Iterator[Any]:
    """Stream the inputs in a file: rows of a table (CSV, TSV, JSON lines), or lines of any other text file.

    Of a folder, each file is one input.

    Args:
        path: the file, plain or compressed.
        raw: the task's ``raw``; paths of recordings and pictures in a table are relative to its folder.
        columns: possible names of the input column.

    Raises:
        ValueError: the file is not readable, or no column has one of the names; lists the columns.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        return iter([str(file)]) if raw in FILES else _files(file)
    if tables.kind(file):
        return _rows(file, raw, tuple(columns))
    return _texts(lines(file, newline="\n"), str(file))


def _files(folder: Path) -> Iterator[Given]:
    for path in chosen(folder, lambda file: file.suffix.lower() == ".txt", "texts", "files called .txt"):
        try:
            yield Given(whole_text(Path(path)), {"file": Path(path).name})
        except ValueError as error:
            yield Given("", {"file": Path(path).name}, str(error))


def _texts(found: Iterator[str], name: str) -> Iterator[Any]:
    for number, line in enumerate(found, start=1):
        text = line.rstrip("\r\n")
        yield Given(_escaped(text), error=f"{name}:{number}: {broken(text)}") if broken(text) else text


def _escaped(text: str) -> str:
    r"""Show undecodable bytes as ``\xff``."""
    return re.sub("[\ud800-\udfff]", lambda half: f"\\x{ord(half[0]) & 0xFF:02x}", text)


def _rows(path: Path, raw: str, columns: tuple[str, ...]) -> Iterator[Given]:
    problems: list[Problem] = []
    first = True
    texts, around = tables.named_texts(path, {raw: columns}), Around(path.parent)
    for line, row in tables.rows(path, problems.append):
        yield from _failed(problems)
        own = tables.place(row, columns)
        if own is None and first and not tables.anywhere(path, columns):
            raise ValueError(_lacking(path, row, raw, columns))
        first = False
        yield _row(path, line, row, raw, own, texts, around)
    yield from _failed(problems)


def _lacking(path: Path, row: Mapping[str, Any], raw: str, columns: tuple[str, ...]) -> str:
    return (
        f"--file {path}: {tables.lacks(row, raw, columns)}; name yours with --column, or call a file with one input a "
        "line .txt"
    )


def _failed(problems: list[Problem]) -> Iterator[Given]:
    """Yield unparsable rows as failed inputs, in their place."""
    yield from (Given("", error=f"{problem.where}: {problem.reason}") for problem in problems)
    problems.clear()


def _row(path: Path, line: int, row: Mapping[str, Any], raw: str, own: str | None, texts: Any, around: Around) -> Given:
    others = {str(name): value for name, value in row.items() if name != own}
    if own is None:
        return Given("", others, f"{path}:{line}: has no column for {raw}")
    example = {raw: inside(row, own)}
    reason = (
        unfit(raw, example[raw]) or ("" if isinstance(example[raw], str) else f"the {raw} is no text") or texts(example)
    )
    if reason:
        return Given(example[raw], others, f"{path}:{line}: {reason}")
    return Given(_found(around, path.parent, example[raw]) if raw in FILES else example[raw], others)


def _found(around: Around, folder: Path, name: str) -> str:
    """Return the path of a file named in a table; in the table's folder if it does not exist."""
    return str(around(name) or folder / os.path.expanduser(name.strip()))
