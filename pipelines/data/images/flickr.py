"""The layouts of Flickr8k and Flickr30k: a file of captions, and lists of the pictures of each split."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipelines.data import tables as files
from pipelines.data.images.tables import Row, Rows, table
from pipelines.data.source import OnProblem, Problem

SPLIT_LISTS = {"train": "*trainImages.txt", "validation": "*devImages.txt", "test": "*testImages.txt"}


def open_flickr(spec: str, path: Path, columns: files.Columns) -> tuple[list[Path], dict[str, Rows]] | None:
    """Open a folder with ``*.token.txt``, ``*.token`` or ``captions.txt``, or such a file, and the lists beside it.

    Args:
        spec: what the user wrote after ``--data``.
        path: the folder or file.
        columns: those of ``captions.txt``, which is a table with a header; see `files.Columns`.

    Returns:
        The files that are read, and the rows of each split; None where there is no file of captions.

    Raises:
        ValueError: two files of captions, or two lists of one split.
    """
    tokens = _only(spec, _caption_files(path), "hold captions", "name one of the two, or put the other elsewhere")
    if tokens is None:
        return None
    patterns = SPLIT_LISTS.items()
    found = {split: _only(spec, _visible(tokens.parent, pattern), f"list {split}") for split, pattern in patterns}
    lists = {split: file for split, file in found.items() if file}
    rows = table(tokens, columns) if tokens.name == "captions.txt" else partial(_token_rows, tokens)
    readers: dict[str, Rows] = {split: partial(_listed, rows, file) for split, file in lists.items()}
    return [tokens, *lists.values()], readers or {"all": rows}


def _caption_files(path: Path) -> list[Path]:
    """Files of captions; ``Flickr8k.lemma.token.txt`` is none, it has base forms."""
    if path.is_file():
        return [path] if path.name == "captions.txt" or path.name.endswith((".token", ".token.txt")) else []
    found = [file for pattern in ("*.token.txt", "*.token", "captions.txt") for file in _visible(path, pattern)]
    return [file for file in found if ".lemma." not in file.name]


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Files whose names do not begin with a dot, as those do that macOS puts beside every file of an archive."""
    return sorted(file for file in folder.glob(pattern) if file.is_file() and not file.name.startswith("."))


def _only(spec: str, found: list[Path], both: str, instead: str = "put the other elsewhere") -> Path | None:
    if len(found) > 1:
        raise ValueError(f"--data {spec}: {found[0].name} and {found[1].name} both {both}, expected one; {instead}")
    return next(iter(found), None)


def _token_rows(path: Path, on_problem: OnProblem) -> Iterator[Row]:
    """Lines ``NAME#NUMBER, tab, caption``."""
    for number, line in enumerate(files.lines(path), start=1):
        name, tab, caption = line.rstrip("\r\n").partition("\t")
        where = f"{path}:{number}"
        if tab:
            yield Row(name.rpartition("#")[0] or name, (caption,), where)
        elif line.strip():
            on_problem(Problem(where, "expected NAME#NUMBER, a tab and a caption"))


def _listed(rows: Rows, path: Path, on_problem: OnProblem) -> Iterator[Row]:
    """The rows of the pictures in a split list, in the list's order."""
    wanted = {line.strip(): number for number, line in enumerate(files.lines(path), start=1) if line.strip()}
    found: dict[str, list[Row]] = {name: [] for name in wanted}
    for row in rows(on_problem if path.match(SPLIT_LISTS["train"]) else lambda _: None):
        if row.name in found:
            found[row.name].append(row)
    for name, group in found.items():
        yield from group or [Row(name, (), f"{path}:{wanted[name]}")]
