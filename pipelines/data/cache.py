"""Encoded training examples kept on disk, so that they need not fit in memory and training again begins at once.

The name of an entry is a hash of everything that shaped its content: the data's fingerprint and the files it names,
the split, the task's settings, the preprocessor's files, the code, and the libraries that read, hear and look. Nothing
stale can be found, and what cannot be read is made again.
``PIPELINES_CACHE`` names another folder, or ``off``.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipelines.data.batching import Encoded
from pipelines.data.storage import available, load, store

KEPT = "encoded"
LARGEST = 8 * 2**30
"""Bytes that the entries may take; those longest unused go first, the newest stays whatever its size. The features of
pictures beside them are dear to compute, and stay."""
ABANDONED = 24 * 3600
"""Seconds after which an unfinished entry is taken for that of a process that is no more."""
LIBRARIES = ("tensorflow", "keras", "numpy", "librosa", "soundfile", "soxr", "Pillow")


def folder() -> Path | None:
    """Return the folder of the cache, or None when it is switched off."""
    given = os.environ.get("PIPELINES_CACHE", "")
    if given == "off":
        return None
    return Path(given) if given else Path.home() / ".cache" / "recurrent-pipelines"


def key(**parts: Any) -> str:
    """Return the name of an entry: SHA-256 of ``parts`` as JSON, of this project's code and of libraries' versions."""
    parts = parts | {"versions": [version(name) for name in LIBRARIES]}
    total = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    package = Path(__file__).parent.parent
    # The metrics cut captions into words, by which they are encoded; the evaluation decides what is left out.
    patterns = ("*.py", "data/**/*.py", "tasks/**/*.py", "recipes/*.py", "metrics/*.py", "training/encode.py")
    for file in sorted(file for pattern in patterns for file in package.glob(pattern)):
        total.update(file.read_bytes())
    return total.hexdigest()


def stamp(files: Iterable[Path]) -> str:
    """Return the SHA-256 of the sizes and the times of change of files: reading them all would cost what a cache saves.

    A file that is not there counts as such.
    """
    total = hashlib.sha256()
    for file in files:
        try:
            found = file.stat()
        except (OSError, ValueError):  # a name with a zero byte is a ValueError
            found = None
        total.update(f"{file.name} {found and (found.st_size, found.st_mtime_ns)}\n".encode())
    return total.hexdigest()


def cached(name: str, parts: Callable[[], Iterable[Encoded]], whole: Callable[[], Encoded]) -> Encoded:
    """Return the entry ``name``, of which only what is needed comes into memory, or make and keep it.

    An entry that is damaged costs time, nothing else; one that cannot be written is said on standard error, because it
    costs memory too.

    Args:
        name: what ``key`` returned.
        parts: makes the examples part by part, as they are kept.
        whole: makes them at once, in memory; called where nothing can be kept.

    Raises:
        RuntimeError: the disk is full, and memory would be.
    """
    home = folder()
    if home is None:
        return whole()
    entry = home / KEPT / name
    there = os.path.exists(entry)  # that of `Path` raises where a folder above it cannot be looked into
    try:
        found = load(entry)
        os.utime(entry)
        return found
    except (OSError, ValueError, KeyError, TypeError):
        if there:  # what was not is perhaps by now, put there whole by another process
            shutil.rmtree(entry, ignore_errors=True)
    temporary = entry.with_name(f".{os.getpid()}.{name}")
    try:
        store(temporary, parts())
        with suppress(OSError):  # another process has put it there meanwhile
            os.replace(temporary, entry)
        with suppress(OSError):  # another process may be doing the same
            _forget(entry)
        return load(entry)
    except (OSError, TypeError) as error:  # no room, or an example that is no JSON
        _tell(entry.parent, temporary, error)
        shutil.rmtree(temporary, ignore_errors=True)  # now, not when all has been read again
        return whole()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _tell(home: Path, written: Path, error: Exception) -> None:
    """Say why nothing can be kept, and refuse what is then too large for memory."""
    reason = getattr(error, "strerror", None) or error
    hint = "; PIPELINES_CACHE=FOLDER keeps them elsewhere" if isinstance(error, OSError) else ""
    size, said = _size(written), f"{home}: encoded examples cannot be kept ({reason}), and are"
    if size > available() / 4:  # the whole is more than what was written, and is copied once on its way
        raise RuntimeError(f"{said} too large for memory: {size / 2**30:.1f} GiB are only a part{hint}") from None
    tqdm.write(f"{said} held in memory{hint}", file=sys.stderr)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir()) if os.path.isdir(folder) else 0


def _forget(newest: Path) -> None:
    """Remove the entries longest unused, but never the newest, and what killed processes left behind."""
    entries = sorted(newest.parent.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
    size = 0
    for entry in entries:
        size += _size(entry)
        unfinished = entry.name.startswith(".") and time.time() - entry.stat().st_mtime > ABANDONED
        if entry != newest and (unfinished or (size > LARGEST and not entry.name.startswith("."))):
            shutil.rmtree(entry, ignore_errors=True)
