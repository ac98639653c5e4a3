"""Raw examples from files: CSV, TSV and JSON lines (also .gz and .xz), one file a split or one with a split column."""

import bz2
import csv
import gzip
import hashlib
import io
import json
import lzma
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from pipelines.config import nearest
from pipelines.data.sources.source import Example, OnProblem, Problem, Reader, Source

TABLES = (".csv", ".tsv", ".jsonl")
PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
Columns = Mapping[str, tuple[str, ...]]
"""Field of the example -> the column names under which it is usually found, or the one the user gave."""


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


def open_text(path: Path) -> TextIO:
    """Open a plain or compressed file as UTF-8 text; invalid bytes become U+FFFD, which readers report by line."""
    opener = PACKED.get(path.suffix.lower(), open)
    raw = opener(path, "rb")
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")


def fingerprint(paths: list[Path]) -> str:
    """Return the SHA-256 over the names and contents of ``paths``."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.name.encode())
        with open(path, "rb") as file:
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
    path = Path(spec).expanduser()
    if not path.exists():
        raise ValueError(f"--data {spec}: there is no such file or folder")
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file() and kind(p) and not p.name.startswith("."))
        if not files:
            seen = ", ".join(sorted(p.name for p in path.iterdir())[:6]) or "nothing"
            raise ValueError(f"--data {spec}: expected a .csv, .tsv or .jsonl file in the folder, found {seen}")
    else:
        files = [path]
        if not kind(path):
            raise ValueError(f"--data {spec}: expected a .csv, .tsv or .jsonl file (also .gz or .xz), or a folder")
    if len(files) == 1:
        readers = _one_file(files[0], columns, optional)
    else:
        readers = {stem(p): table_reader(p, columns, optional) for p in files}
        if len(readers) < len(files):
            raise ValueError(f"--data {spec}: two files hold the same split: {', '.join(p.name for p in files)}")
    return Source(spec, readers, fingerprint(files))


def _one_file(path: Path, columns: Columns, optional: tuple[str, ...]) -> dict[str, Reader]:
    names = {str(row["split"]) for _, row in rows(path, lambda problem: None) if row.get("split")}
    if not names:
        known = stem(path) if stem(path) in ("train", "test", "validation") else "all"
        return {known: table_reader(path, columns, optional)}
    return {name: table_reader(path, columns, optional, split=name) for name in sorted(names)}


def table_reader(path: Path, columns: Columns, optional: tuple[str, ...] = (), split: str | None = None) -> Reader:
    """Return a function that streams the examples of one table, of one ``split`` where it has such a column."""

    def read(on_problem: OnProblem) -> Iterator[Example]:
        for line, row in rows(path, on_problem):
            if split is not None and str(row.get("split")) != split:
                continue
            where = f"{path}:{line}"
            example = _example(row, columns, optional, where)
            example["id"] = str(row.get("id") or f"{stem(path)}:{line}")
            example["where"] = where
            if any("�" in value for value in example.values() if isinstance(value, str)):
                on_problem(Problem(where, "the text is not valid UTF-8"))
                continue
            yield example

    return read


def _example(row: Mapping[str, Any], columns: Columns, optional: tuple[str, ...], where: str) -> Example:
    example: Example = {}
    for name, candidates in columns.items():
        found = next((column for column in candidates if column in row), None)
        if found is not None:
            example[name] = row[found]
        elif name not in optional:
            given = ", ".join(candidates)
            there = ", ".join(map(str, row))
            hint = nearest(candidates[0], [str(column) for column in row])
            option = name if name in ("source", "target") else f"{name}-column"
            hint = hint or (f"; name yours with --{option}" if len(candidates) > 1 else "")
            raise ValueError(f"{where}: no column for {name} (one of: {given}); there are: {there}{hint}")
    return example


def rows(path: Path, on_problem: OnProblem) -> Iterator[tuple[int, dict[str, Any]]]:
    """Stream (line number, row) of a table; a row that cannot be parsed goes to ``on_problem``."""
    with open_text(path) as file:
        try:
            yield from (
                _json_rows(path, file, on_problem) if kind(path) == ".jsonl" else _csv_rows(path, file, on_problem)
            )
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise ValueError(f"{path}: cannot be read: {error}") from None


def _json_rows(path: Path, file: TextIO, on_problem: OnProblem) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            on_problem(Problem(f"{path}:{number}", f"is no JSON: {error.msg} at column {error.colno}"))
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            on_problem(Problem(f"{path}:{number}", f"expected a JSON object, came {type(row).__name__}"))


def _csv_rows(path: Path, file: TextIO, on_problem: OnProblem) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(2**24)  # the default of 128 KiB refuses long reviews
    tabs = kind(path) == ".tsv"
    reader = csv.reader(file, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL)
    header = [name.strip() for name in next(reader, [])]
    for separator, found in (("\t", "tabs, which belong into a .tsv"), (";", "semicolons")):
        if len(header) == 1 and separator in header[0]:
            raise ValueError(f"{path}:1: expected columns separated by {'tabs' if tabs else 'commas'}, came {found}")
    line = reader.line_num + 1
    try:
        for values in reader:
            if len(values) == len(header):
                yield line, dict(zip(header, values, strict=True))
            elif values:
                reason = f"has {len(values)} columns, the header has {len(header)}"
                on_problem(Problem(f"{path}:{line}", reason))
            line = reader.line_num + 1
    except csv.Error as error:
        on_problem(Problem(f"{path}:{line}", f"cannot be parsed: {error}"))
