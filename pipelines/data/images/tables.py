"""Tables of pictures and captions with bars between the columns, as Flickr30k is handed on: ``results.csv``."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.data import tables as files
from pipelines.data.advice import table_lines
from pipelines.data.cells import unfit
from pipelines.data.named_texts import NamedTexts
from pipelines.data.source import Example, OnProblem, Problem, Reader, alone
from pipelines.data.tables import column, hint, lacks, need_header


def open_barred(spec: str, path: Path, columns: files.Columns) -> tuple[list[Path], dict[str, Rows]] | None:
    """Open a table with bars between its columns, or a folder in which there is one, with a table a split.

    Args:
        spec: what the user wrote after ``--data``.
        path: the folder or file.
        columns: see `files.Columns`.

    Returns:
        The files that are read, and the rows of each split; None where there are no bars.

    Raises:
        ValueError: two tables of one split, or one with bars has a column ``split``.
    """
    every = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
    tables = [file for file in every if files.kind(file)]
    if not any(map(_barred, tables)):
        return None
    readers = {files.stem(file): _reader(file, columns) for file in tables}
    if len(readers) < len(tables):
        raise ValueError(f"--data {spec}: two files hold the same split: {', '.join(p.name for p in tables)}")
    return tables, {split: partial(table_rows, reader) for split, reader in alone(readers).items()}


def table(path: Path, columns: files.Columns) -> Rows:
    """Return a function that streams the rows of a table, whose columns have bars, commas or tabs between them."""
    return partial(table_rows, _reader(path, columns))


def _reader(path: Path, columns: files.Columns) -> Reader:
    return bar_reader(path, columns) if _barred(path) else files.table_reader(path, columns)


def bar_reader(path: Path, columns: files.Columns) -> Reader:
    """Return a function that streams the examples of one table with bars; spaces around them count for nothing.

    The last column may hold bars, too. Quotes are characters like any other. Reading raises ValueError where a column
    is not there.
    """

    def examples(on_problem: OnProblem) -> Iterator[Example]:
        lines = enumerate(files.lines(path), start=1)
        header = _cells(next(lines, (1, ""))[1])
        chosen = _chosen(path, header, columns)
        for number, line in lines:
            cells = _cells(line, len(header) - 1)
            if len(cells) == len(header):
                row = dict(zip(header, cells, strict=True))
                yield {field: row[name] for field, name in chosen.items()} | {"where": f"{path}:{number}"}
            elif line.strip():
                on_problem(Problem(f"{path}:{number}", f"has {len(cells)} columns, the header has {len(header)}"))

    def read(on_problem: OnProblem) -> Iterator[Example]:
        texts = NamedTexts(path, lambda: examples(lambda problem: None), list(columns))
        for example in examples(on_problem):
            if reason := texts(example):
                on_problem(Problem(example["where"], reason))
            else:
                yield example

    return read


def _cells(line: str, bars: int = -1) -> list[str]:
    return [cell.strip() for cell in line.split("|", bars)]


def _chosen(path: Path, header: list[str], columns: files.Columns) -> dict[str, str]:
    """Field of the example -> its column."""
    need_header(path, header, "|")
    if "split" in header:
        raise ValueError(f"{path}:1: a table with a column split needs commas or tabs between its columns, came bars")
    chosen = {}
    for field, names in columns.items():
        found = column(tuple(header), names)
        if found is None:
            row = dict.fromkeys(header)
            needed = f"; for example {table_lines(columns)}"
            raise ValueError(f"{path}:1: {lacks(row, field, names)}{hint(row, field, names)}{needed}")
        chosen[field] = found
    return chosen


def _barred(path: Path) -> bool:
    if files.kind(path) == ".jsonl":
        return False
    with files.readable(path), files.open_text(path) as file:
        header = file.readline()
    return "|" in header and "," not in header and "\t" not in header


LONGEST_LIST = 2**16
"""Characters up to which a list that is no JSON is read: Python's own tokenizer is slow and made for programs."""
_BETWEEN = {"[", "]", ","}
_BLANK = {tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.COMMENT}


class Row(NamedTuple):
    """One line of the data: a picture's name, its captions (none: it is listed without), and their file and line."""

    name: str
    captions: tuple[str, ...]
    where: str


Rows = Callable[[OnProblem], Iterable[Row]]


def table_rows(reader: Reader, on_problem: OnProblem) -> Iterator[Row]:
    """Stream the rows of a table with the fields ``image`` and ``caption``, a text, a list, or a list as text."""
    for row in reader(on_problem):
        try:
            captions = listed(row["caption"])
        except ValueError as error:
            on_problem(Problem(row["where"], str(error)))
            continue
        if reason := next(filter(None, (unfit("caption", caption) for caption in captions)), ""):
            on_problem(Problem(row["where"], reason))
            continue
        yield Row(str(row["image"]), tuple(str(c) for c in captions if c is not None) or ("",), row["where"])


def listed(value: Any) -> list[Any]:
    """Return the captions in a cell: those of a list, or of a text that is one in JSON, Python or NumPy; else the text.

    Raises:
        ValueError: the text begins like a list of texts (``["``, ``['``) and is none.
    """
    if not isinstance(value, str):
        return value if isinstance(value, list) else [value]
    text = value.strip()
    if not text.startswith("["):
        return [value]
    found = _json_list(text)
    if found is None and text[1:].lstrip().startswith(("'", '"')):
        return _python_list(text)
    return [value] if found is None else found


def _json_list(text: str) -> list[str] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None


def _python_list(text: str) -> list[str]:
    """Read ``['a', "b"]`` and ``['a' 'b']``, which is NumPy's, and to Python the one text 'ab'."""
    reason = "begins like a list of captions and cannot be read as one"
    if len(text) > LONGEST_LIST:
        raise ValueError(f"the caption {reason}: it has {len(text):,} characters, at most {LONGEST_LIST:,} are read")
    try:
        tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in _BLANK]
        texts = [ast.literal_eval(token.string) for token in tokens if token.type == tokenize.STRING]
    except (tokenize.TokenError, SyntaxError, ValueError) as error:
        raise ValueError(f"the caption {reason}: {str(error.args[0]) if error.args else error}") from None
    others = [token.string for token in tokens if token.type != tokenize.STRING]
    strange = next((other for other in others if other not in _BETWEEN), "")
    if strange or others.count("[") != 1 or others[-1:] != ["]"] or not all(isinstance(one, str) for one in texts):
        raise ValueError(f"the caption {reason}: expected texts in quotes and commas, came {strange or text[-20:]!r}")
    return texts
