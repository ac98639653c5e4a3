"""Raw examples from files: CSV, TSV and JSON lines (also .gz and .xz), one file a split or one with a split column."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from itertools import starmap
from pathlib import Path
from typing import Any

from pipelines.data.advice import lacks_table, looks_like_data, table_lines
from pipelines.data.cells import inside, unfit, wrong_kind
from pipelines.data.columns import column as column
from pipelines.data.columns import hint as hint
from pipelines.data.columns import lacks as lacks
from pipelines.data.columns import need_header as need_header
from pipelines.data.columns import place as place
from pipelines.data.folders import passed_over
from pipelines.data.named_texts import NamedTexts
from pipelines.data.reading import PACKED as PACKED
from pipelines.data.reading import broken as broken
from pipelines.data.reading import lines as lines
from pipelines.data.reading import open_regular
from pipelines.data.reading import open_text as open_text
from pipelines.data.reading import readable as readable
from pipelines.data.source import SPLIT_NAMES, Example, Joined, OnProblem, Problem, Reader, Source, alone

TABLES = (".csv", ".tsv", ".jsonl")
Columns = Mapping[str, tuple[str, ...]]
"""Field of the example -> the column names under which it is usually found, or the one the user gave."""
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})")


def stem(path: Path) -> str:
    """Return the file's name without table and compression endings: ``train.jsonl.xz`` -> ``train``."""
    name = path.name
    for ending in (*PACKED, *TABLES, ".txt"):
        name = name.removesuffix(ending)
    return name


def kind(path: Path) -> str:
    """Return ``.csv``, ``.tsv``, ``.jsonl``, or an empty string for what is no table."""
    name = path.name.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    return next((table for table in TABLES if name.endswith(table)), "")


def fingerprint(paths: list[Path]) -> str:
    """Return the SHA-256 over the names and contents of ``paths``."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.name.encode())
        with open_regular(path) as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def open_tables(spec: str, columns: Columns, optional: tuple[str, ...] = ()) -> Source:
    """Open a table file, or a folder that holds ``SPLIT.{csv,tsv,jsonl}[.gz|.xz]`` or one table with a split column.

    Args:
        spec: path of the file or folder.
        columns: field -> usual column names, see ``Columns``.
        optional: fields that a row may lack.

    Raises:
        ValueError: no such path, no table in it, or a needed column is missing; names what is there.
    """
    files = _files(spec, Path(spec).expanduser(), columns, optional)
    if len(files) == 1:
        readers = _one_file(files[0], columns, optional)
    else:
        readers = {stem(p): table_reader(p, columns, optional) for p in files}
        if len(readers) < len(files):
            raise ValueError(f"--data {spec}: two files hold the same split: {', '.join(p.name for p in files)}")
        readers = _whole(spec, readers)
    named = [text for file in files for text in named_texts(file, columns).files]
    return Source(spec, readers, fingerprint([*files, *named]))


def _files(spec: str, path: Path, columns: Columns, optional: tuple[str, ...]) -> list[Path]:
    """The table at a path, or those in a folder, whose other files are named where they look like data."""
    if not path.exists():
        raise ValueError(f"--data {spec}: there is no such file or folder")
    if not path.is_dir():
        if kind(path):
            return [path]
        json_lines = "; JSON lines are called .jsonl" if path.suffix.lower() == ".json" else ""
        raise ValueError(
            f"--data {spec}: expected a .csv, .tsv or .jsonl file (also .gz or .xz), such as one with "
            f"{table_lines(columns, optional)}, or a folder{json_lines}"
        )
    every = sorted(p for p in path.iterdir() if not p.is_dir() and not p.name.startswith("."))
    files = [p for p in every if kind(p)]
    if not files:
        raise ValueError(lacks_table(spec, path, columns, optional))
    passed_over(path, [p.name for p in every if not kind(p) and looks_like_data(p)], ".csv, .tsv or .jsonl")
    return files


def _whole(spec: str, readers: dict[str, Reader]) -> dict[str, Reader]:
    """Join parts such as ``train-00000-of-00002`` and ``train-00001-of-00002`` into the split that they are of."""
    parts: dict[str, list[str]] = {}
    for name in sorted(readers):
        shard = _SHARD.fullmatch(name)
        parts.setdefault(shard[1] if shard else name, []).append(name)
    for split, names in parts.items():
        shard = _SHARD.fullmatch(names[0])
        if shard and len(names) != int(shard[3]):
            raise ValueError(f"--data {spec}: expected {int(shard[3])} parts of {split}, found {', '.join(names)}")
    return {
        split: Joined(tuple(readers[name] for name in names)) if len(names) > 1 else readers[names[0]]
        for split, names in parts.items()
    }


def _one_file(path: Path, columns: Columns, optional: tuple[str, ...]) -> dict[str, Reader]:
    names = sorted({_split(row) for _, row in rows(path, lambda problem: None)} - {""})
    if not names:
        return alone(_whole(str(path), {stem(path): table_reader(path, columns, optional)}))
    telling = next((name for name in SPLIT_NAMES["train"] if name in names), names[0])
    return {name: table_reader(path, columns, optional, name, strays=name == telling) for name in names}


def _split(row: Mapping[str, Any]) -> str:
    value = row.get("split")
    text = "" if value is None else str(value).strip()
    return "" if broken(text) else text


def table_reader(
    path: Path, columns: Columns, optional: tuple[str, ...] = (), split: str | None = None, strays: bool = False
) -> Reader:
    """Return a function that streams the examples of one table, of one ``split`` where it has such a column.

    With ``strays`` it reports the rows that are of no split. A row of JSON lines that lacks a column, or one whose cell
    is of another kind, is reported, and reading raises ValueError where all rows are so.
    """

    def read(on_problem: OnProblem) -> Iterator[Example]:
        there: set[str] = set()
        texts, judged = named_texts(path, columns), False
        for line, row in rows(path, on_problem):
            where = f"{path}:{line}"
            if split is not None and (own := _split(row)) != split:
                if strays and not own:
                    on_problem(Problem(where, "the split is empty, or no text"))
                continue
            found = {name: place(row, candidates) for name, candidates in columns.items()}
            lacking = next((name for name, own in found.items() if own is None and name not in optional), "")
            if lacking:
                usual = columns[lacking]
                if lacking not in there and not anywhere(path, usual):
                    needed = f"; for example {table_lines(columns, optional, kind(path))}"
                    raise ValueError(f"{where}: {lacks(row, lacking, usual)}{hint(row, lacking, usual)}{needed}")
                there.add(lacking)
                on_problem(Problem(where, lacks(row, lacking, usual)))
                continue
            example = {name: inside(row, own) for name, own in found.items() if own is not None}
            reason = next(filter(None, starmap(unfit, example.items())), "")
            if reason and not judged:
                _need_kind(path, columns, f"{where}: {reason}")
                judged = True
            example["id"] = str(row.get("id") or f"{stem(path)}:{line}")
            reason = reason or unfit("id", example["id"]) or texts(example)
            if reason:
                on_problem(Problem(where, reason))
                continue
            example["where"] = where
            yield example

    return read


def _need_kind(path: Path, columns: Columns, sentence: str) -> None:
    """Refuse a table none of whose rows holds what its columns should."""
    if all(any(starmap(wrong_kind, cells.items())) for cells in _cells(path, columns)):
        raise ValueError(f"{sentence}; no row has anything else")


def _cells(path: Path, columns: Columns) -> Iterator[dict[str, Any]]:
    """Stream the cells of each row by field."""
    for _, row in rows(path, lambda problem: None):
        found = {name: place(row, candidates) for name, candidates in columns.items()}
        yield {name: inside(row, own) for name, own in found.items() if own is not None}


def named_texts(path: Path, columns: Columns) -> NamedTexts:
    """Find the columns of a table whose cells name text files, see `NamedTexts`."""
    return NamedTexts(path, lambda: _cells(path, columns), list(columns))


def anywhere(path: Path, candidates: tuple[str, ...]) -> bool:
    """Say whether some row of JSON lines has the column; other tables have the same columns in every row."""
    return kind(path) == ".jsonl" and any(place(row, candidates) for _, row in rows(path, lambda problem: None))


def rows(path: Path, on_problem: OnProblem) -> Iterator[tuple[int, dict[str, Any]]]:
    """Stream (line number, row) of a table; a row that cannot be parsed goes to ``on_problem``.

    Raises:
        ValueError: the file or its header cannot be read.
    """
    return _json_rows(path, on_problem) if kind(path) == ".jsonl" else _csv_rows(path, on_problem)


def _json_rows(path: Path, on_problem: OnProblem) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            on_problem(Problem(f"{path}:{number}", f"is no JSON: {error.msg} at column {error.colno}"))
            continue
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in brackets
            on_problem(Problem(f"{path}:{number}", f"is no JSON that can be read: {error}"))
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            on_problem(Problem(f"{path}:{number}", f"expected a JSON object, came {type(row).__name__}"))


def _csv_rows(path: Path, on_problem: OnProblem) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(2**24)  # the default of 128 KiB refuses long reviews
    tabs = kind(path) == ".tsv"
    reader = csv.reader(
        lines(path),
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        strict=True,
    )
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise ValueError(f"{path}:1: the header cannot be parsed: {error}") from None
    need_header(path, header, "\t" if tabs else ",")
    for line, values in _parsed(path, reader, on_problem):
        if len(values) == len(header):
            yield line, dict(zip(header, values, strict=True))
        elif values:
            on_problem(Problem(f"{path}:{line}", f"has {len(values)} columns, the header has {len(header)}"))


def _parsed(path: Path, reader: Any, on_problem: OnProblem) -> Iterator[tuple[int, list[str]]]:
    """Stream (first line, fields); each line of a row that cannot be parsed goes to ``on_problem``.

    A quote that is not closed takes in the lines behind it; the share of bad rows is true when all are reported.
    """
    while True:
        first = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"stands in a quoted text that begins in line {first} and is not closed properly"
            if first == reader.line_num:
                reason = f"cannot be parsed: {error}"
            for line in range(first, reader.line_num + 1):
                on_problem(Problem(f"{path}:{line}", reason))
        else:
            yield first, values
