"""Columns that hold names of text files, as in manifests of recordings: ``0.wav,0.txt``.

A column is treated so if every cell names an existing file. Text files are read; a table whose column names other files
is refused, so that a model never learns file names.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.data.cells import FILES
from pipelines.data.folders import Around, say_once
from pipelines.data.reading import read_regular, text_of

NO_TEXT = (*FILES, "speaker", "offset", "split", "id")
"""Fields whose cells are used as they are, even if they name files."""
_LARGEST = 2**24

Cells = Iterable[Mapping[str, Any]]
"""The cells of each row by field."""


class NamedTexts:
    """Reads the text files that a table names.

    Attributes:
        fields: fields whose cells all name files.
        files: paths of these files, in the order of the table.
    """

    def __init__(self, table: Path, cells: Callable[[], Cells], columns: Sequence[str]) -> None:
        """Scan a table; a column is ruled out by the first cell that names no file.

        Args:
            table: path of the table; files are searched in its folder and the subfolders.
            cells: returns a new iterator over the rows.
            columns: fields that should hold texts or labels.

        Raises:
            ValueError: a column names files, and the first one is not a text file.
        """
        self._table = table
        self._around = Around(table.parent)
        self.fields = self._naming(cells(), [name for name in columns if name not in NO_TEXT])
        if self.fields:
            self._need_texts(next(iter(cells())))
        self.files = [path for row in (cells() if self.fields else ()) for path in self._paths(row)]

    def _naming(self, cells: Cells, fields: list[str]) -> tuple[str, ...]:
        seen = False
        for row in cells:
            fields = [name for name in fields if self._find(row.get(name))]
            if not fields:
                return ()
            seen = True
        return tuple(fields) if seen else ()

    def _find(self, cell: Any) -> Path | None:
        """The file that a cell names."""
        return self._around(cell) if isinstance(cell, str) else None

    def _paths(self, row: Mapping[str, Any]) -> list[Path]:
        return [path for name in self.fields if (path := self._find(row.get(name)))]

    def _need_texts(self, row: Mapping[str, Any]) -> None:
        for name in self.fields:
            try:
                self._text(row[name])
            except ValueError as error:
                raise ValueError(
                    f"{self._table}: every cell of the column for {name} names a file, such as {row[name]}, and that "
                    f"is no text ({error}); name another column with --{_option(name)}"
                ) from None
            said = f"every cell of the column for {name} names a file, such as {row[name]}; its text is read"
            say_once(f"{self._table}: {said}")

    def _text(self, cell: str) -> str:
        path = self._find(cell)
        if path is None:
            raise ValueError(f"there is no file {cell}")
        content = read_regular(path, _LARGEST)
        if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ValueError("holds zero bytes")
        return text_of(content).strip()

    def __call__(self, example: dict[str, Any]) -> str:
        """Replace file names by the texts of the files; returns why that failed, or an empty string."""
        for name in self.fields:
            try:
                example[name] = self._text(example[name])
            except ValueError as error:
                return f"the {name} names the file {example[name]}, which cannot be read as text: {error}"
        return ""


def _option(field: str) -> str:
    return field if field in ("source", "target") else f"{field}-column"
