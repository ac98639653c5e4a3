"""Atomic writing of files and folders, and the folder of the demonstration."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def need_file(out: str | Path) -> Path:
    """Return the path of a file that can be written.

    Raises:
        ValueError: it is a folder, or the folder in which it should be does not exist.
    """
    target = Path(out).expanduser()
    if target.is_dir() or not target.absolute().parent.is_dir():
        reason = "is a folder, expected a file to write" if target.is_dir() else f"there is no folder {target.parent}"
        raise ValueError(f"--out {out}: {reason}")
    return target


def need_replaceable(target: Path, proof: str, kind: str) -> None:
    """Refuse a folder that `replacing` would not replace: one without the file ``proof``, which every ``kind`` holds.

    Raises:
        ValueError: ``target`` is there and is something else.
    """
    if target.exists() and not (target / proof).exists():
        raise ValueError(f"--out {target}: exists and is no {kind}; name another folder")


@contextmanager
def replacing(target: Path, proof: str, kind: str) -> Iterator[Path]:
    """Give an empty folder that takes the place of ``target`` when the block ends well; otherwise it is deleted.

    Args:
        target: the folder to write; an older one gives way once the new one is complete.
        proof: a file that an older folder must hold, so that nothing else is ever deleted.
        kind: what such a folder is called in errors.

    Raises:
        ValueError: ``target`` is there and is something else.
        RuntimeError: the disk refused; what was there before is still there.
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
    """Make the folder, or take that of an earlier demonstration, which a file in it tells.

    Raises:
        ValueError: it holds something else, such as runs of one's own.
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
    """Delete what an earlier demonstration of a task left in a claimed folder, and return where the next one goes."""
    shutil.rmtree(out / task, ignore_errors=True)
    return out / task
