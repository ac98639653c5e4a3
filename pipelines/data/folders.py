"""Folders of files: which are taken, and saying which are passed over."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from pipelines.data.reading import open_regular
from pipelines.log import say

_LONGEST_NAME = 4096
_ENDING = re.compile(r"\.\w{1,8}$")
NAMED = 5
"""Names that a sentence about many files holds."""


def some(names: Iterable[str], most: int = NAMED) -> str:
    """List names, no more than ``most`` of them, and how many there are besides."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


@lru_cache(maxsize=1024)
def say_once(sentence: str) -> None:
    """Say a sentence on standard error the first time: data is read several times, and found out about each time."""
    say(sentence)


def passed_over(place: str | Path, names: Sequence[str], expected: str) -> None:
    """Say which files are not read, if there are any, and what would be."""
    if names:
        files = "1 file" if len(names) == 1 else f"{len(names)} files"
        say_once(f"{place}: {files} passed over ({some(names)}); expected {expected}")


class Around:
    """Finds files by the names that a table gives them: in its folder, then in the folders within that.

    Those are listed once, when a name is first looked for that could be a file's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._within: list[str] | None = None

    def __call__(self, name: str) -> Path | None:
        """Return the path of a regular file, or None where there is none of that name."""
        written = os.path.expanduser(name.strip())
        if not written or len(written) > _LONGEST_NAME or "\n" in written:
            return None
        if os.path.isfile(own := os.path.join(self._folder, written)):
            return Path(own)
        if not _ENDING.search(written):
            return None
        found = (os.path.join(folder, written) for folder in self._folders())
        return next((Path(path) for path in found if os.path.isfile(path)), None)

    def _folders(self) -> list[str]:
        if self._within is None:
            with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
                self._within = sorted(e.path for e in entries if not e.name.startswith(".") and e.is_dir())
        return self._within or []


def begins(path: Path, marks: tuple[bytes, ...], boxes: Sequence[tuple[bytes, bytes]] = ()) -> bool:
    """Say whether a regular file begins with one of some marks, or with a pair of them at the bytes 0 and 8."""
    try:
        with open_regular(path) as file:
            head = file.read(16)
    except (OSError, ValueError):
        return False
    return head.startswith(marks) or any(head.startswith(one) and head[8:].startswith(two) for one, two in boxes)


def chosen(folder: Path, wanted: Callable[[Path], bool], what: str, expected: str) -> list[str]:
    """Return the files in a folder that are wanted, sorted by name; name the others on standard error.

    Files whose names begin with a dot are nobody's. What cannot be read is chosen by its name, so that whoever reads it
    says why.

    Args:
        folder: the folder.
        wanted: whether a file is.
        what: such files are called, in the plural.
        expected: their formats.

    Raises:
        ValueError: the folder cannot be read, or no file is wanted.
    """
    try:
        every = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    except OSError as error:
        raise ValueError(f"{folder}: cannot be read: {error.strerror or error}") from None
    files = [path for path in every if not path.is_dir()]
    found = [path for path in files if wanted(path)]
    if not found:
        raise ValueError(f"{folder}: expected a folder with {what} ({expected}), found none among {len(files)} files")
    kept = set(found)
    passed_over(folder, [path.name + "/" * path.is_dir() for path in every if path not in kept], expected)
    return [str(path) for path in found]
