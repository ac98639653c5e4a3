"""Atomic writing of files and folders, and the output folder of the demonstration."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def need_file(out: str | Path) -> Path:
    """Return the path of a file that can be written.

    Raises:
        ValueError: it is a folder, or its parent folder does not exist.
    """
    target = Path(out).expanduser()
    if target.is_dir() or not target.absolute().parent.is_dir():
        reason = "is a folder, expected a file to write" if target.is_dir() else f"there is no folder {target.parent}"
        raise ValueError(f"--out {out}: {reason}")
    return target


def need_replaceable(target: Path, proof: str, kind: str) -> None:
    """Reject an existing folder without the file ``proof``, which every ``kind`` holds.

    Raises:
        ValueError: ``target`` exists and is something else.
    """
    if target.exists() and not (target / proof).exists():
        raise ValueError(f"--out {target}: exists and is no {kind}; name another folder")


@contextmanager
def replacing(target: Path, proof: str, kind: str) -> Iterator[Path]:
    """Yield an empty folder that replaces ``target`` when the block succeeds; otherwise it is deleted.

    Args:
        target: the folder to write; an older one is replaced once the new one is complete.
        proof: a file that the older folder must hold, so that nothing else is ever deleted.
        kind: name of such a folder in errors.

    Raises:
        ValueError: ``target`` exists and is something else.
        RuntimeError: writing failed; an existing folder is unchanged.
    """
    need_replaceable(target, proof, kind)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            yield staging
            _replace(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise RuntimeError(f"{target}: cannot be written: {error.strerror or error}") from None


def _replace(staging: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}-old-{os.getpid()}")
    staging.chmod(0o755)
    replaces = target.exists()
    if replaces:
        target.rename(old)
    try:
        staging.rename(target)
    except BaseException:
        if replaces:
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


MARK = "demonstration.txt"


def claim(out: Path) -> None:
    """Create the folder, or reuse that of an earlier demonstration, which is marked by a file.

    Raises:
        ValueError: it holds something else, such as the user's own runs.
        RuntimeError: it cannot be written.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file()):
        raise ValueError(f"--out {out}: exists and is not of an earlier demonstration; name another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / MARK).write_text("`pipelines demo` writes here, and deletes what it wrote when it is started again.\n")
    except OSError as error:
        raise RuntimeError(f"{out}: cannot be written: {error.strerror or error}") from None


def clear(out: Path, task: str) -> Path:
    """Delete the results of an earlier demonstration of a task in a claimed folder; return the task's folder."""
    shutil.rmtree(out / task, ignore_errors=True)
    return out / task
