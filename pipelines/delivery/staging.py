"""Places to write to: files, and folders that appear whole or not at all."""

from pathlib import Path

from pipelines.training.replacing import need_replaceable as need_replaceable
from pipelines.training.replacing import replacing as replacing


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
