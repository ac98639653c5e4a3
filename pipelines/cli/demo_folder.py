"""The folder of the demonstration, the only one in which runs are deleted without a question. Imports no keras."""

import shutil
from pathlib import Path

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
