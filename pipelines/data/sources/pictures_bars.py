"""Tables of pictures and captions with bars between the columns, as Flickr30k is handed on: ``results.csv``."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipelines.data.sources import files
from pipelines.data.sources.header import column, hint, lacks, need_header
from pipelines.data.sources.pictures_rows import Rows, table_rows
from pipelines.data.sources.source import Example, OnProblem, Problem, Reader, alone


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

    def read(on_problem: OnProblem) -> Iterator[Example]:
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
            raise ValueError(f"{path}:1: {lacks(row, field, names)}{hint(row, field, names)}")
        chosen[field] = found
    return chosen


def _barred(path: Path) -> bool:
    if files.kind(path) == ".jsonl":
        return False
    with files.readable(path), files.open_text(path) as file:
        header = file.readline()
    return "|" in header and "," not in header and "\t" not in header
