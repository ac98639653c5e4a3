"""Headers of tables: find the column of a field, and say what is wrong with a header."""

import textwrap
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipelines.config import nearest
from pipelines.data.cells import keys_of, nested

_SEPARATORS = {"\t": "tabs, which belong into a .tsv", ",": "commas, which belong into a .csv"}
_SEPARATORS |= {";": "semicolons", "|": "vertical bars"}


@lru_cache(maxsize=256)
def column(there: tuple[str, ...], candidates: tuple[str, ...]) -> str | None:
    """Return the first of the ``candidates`` that is ``there``, if need be in another case; None where none is."""
    exact = next((name for name in candidates if name in there), None)
    if exact is not None:
        return exact
    folded = {name.casefold(): name for name in reversed(there)}
    return next((folded[name.casefold()] for name in candidates if name.casefold() in folded), None)


def place(row: Mapping[str, Any], candidates: tuple[str, ...]) -> str | None:
    """Return where in a row the first of the ``candidates`` is, as `inside` takes it; None where none is.

    What lies inside an object counts where it is named (``translation.en``), or where no column has the name.
    """
    own = column(tuple(row), candidates)
    if own is not None and keys_of(row[own]) is None:
        return own
    names = nested(row)
    for name in candidates:
        if name in names and name != own:
            return name
        ends = [other for other in names if other.endswith(f".{name}")]
        if len(ends) == 1:
            return ends[0]
    return own


def lacks(row: Mapping[str, Any], name: str, candidates: tuple[str, ...]) -> str:
    """Say that no column of ``row`` is the field ``name``, and which columns there are."""
    there = textwrap.shorten(", ".join(nested(row)) or "none", 120, placeholder=" ...")
    return f"no column for {name} (one of: {', '.join(candidates)}); there are: {there}"


def hint(row: Mapping[str, Any], name: str, candidates: tuple[str, ...]) -> str:
    """Say what may have been meant, or by which option a column is named; nothing where the user has named it."""
    option = name if name in ("source", "target") else f"{name}-column"
    close = nearest(candidates[0], nested(row))
    first = "the first line must name the columns"
    return close or (f"; {first}, name yours with --{option}" if len(candidates) > 1 else "")


def need_header(path: Path, header: list[str], separator: str) -> None:
    """Check the names of a table's columns.

    Args:
        path: the table, for messages.
        header: names of the columns, without spaces around them.
        separator: what stands between columns.

    Raises:
        ValueError: there is one column, whose name holds another separator, or two columns have the same name.
    """
    expected = "tabs" if separator == "\t" else "commas"
    for other, found in _SEPARATORS.items():
        if len(header) == 1 and other != separator and other in header[0]:
            raise ValueError(f"{path}:1: expected columns separated by {expected}, came {found}")
    twice = next((name for i, name in enumerate(header) if name and name in header[:i]), "")
    if twice:
        raise ValueError(f"{path}:1: two columns are called {twice!r:.40}; the first line must name the columns")
