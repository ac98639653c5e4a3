"""Select files in folders, and report the ones that are skipped."""

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
"""Most names that a message lists."""


def some(names: Iterable[str], most: int = NAMED) -> str:
    """List at most ``most`` names, and the number of the others."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


@lru_cache(maxsize=1024)
def say_once(sentence: str) -> None:
    """Print a message on standard error once per process, because data is read several times."""
    say(sentence)


def passed_over(place: str | Path, names: Sequence[str], expected: str) -> None:
    """Report skipped files, if any, and which files would be read."""
    if names:
        files = "1 file" if len(names) == 1 else f"{len(names)} files"
        say_once(f"{place}: {files} passed over ({some(names)}); expected {expected}")


class Around:
    """Finds files named in a table: in the folder of the table, then in its subfolders, which are listed once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._within: list[str] | None = None

    def __call__(self, name: str) -> Path | None:
        """Return the path of the regular file with this name; None if there is none."""
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
    """Return whether a regular file begins with one of ``marks``, or with a pair of ``boxes`` at bytes 0 and 8."""
    try:
        with open_regular(path) as file:
            head = file.read(16)
    except (OSError, ValueError):
        return False
    return head.startswith(marks) or any(head.startswith(one) and head[8:].startswith(two) for one, two in boxes)


def chosen(folder: Path, wanted: Callable[[Path], bool], what: str, expected: str) -> list[str]:
    """Return the wanted files of a folder, sorted by name; report the others on standard error.

    Hidden files are ignored. Unreadable files with a matching name are returned: reading them reports the error.

    Args:
        folder: the folder.
        wanted: returns whether a file is wanted.
        what: what the files are called, in the plural.
        expected: the expected formats.

    Raises:
        ValueError: the folder cannot be read, or it has no wanted file.
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
