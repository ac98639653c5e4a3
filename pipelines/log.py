"""Progress on stderr, and importing TensorFlow without its start-up messages."""

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator

from tqdm import tqdm

OPTIONAL = ("sklearn", "matplotlib", "pandas", "scipy")
"""Libraries that Keras and TensorFlow import when they are there; together about a second of every start."""


def import_tensorflow() -> None:
    """Import tensorflow with file descriptor 2 set aside; what it said is shown if the import fails.

    The notes (oneDNN, missing CUDA drivers) come from C++ before logging is configured, so neither
    ``TF_CPP_MIN_LOG_LEVEL`` nor Python's logging can hold them back. For the command line alone: Keras is left
    without its scikit-learn wrappers, its drawing of pictures and its reading of pandas tables in this process.
    """
    if "tensorflow" in sys.modules:
        return
    with _without(OPTIONAL), contextlib.nullcontext() if os.environ.get("PIPELINES_DEBUG") else set_aside():
        tensorflow = importlib.import_module("tensorflow")
    if not os.environ.get("PIPELINES_DEBUG"):
        tensorflow.get_logger().setLevel("ERROR")  # its advice on tracing is for us, and comes with every new shape


@contextlib.contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Make ``import NAME`` fail as if it were not installed; what has been imported already stays."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is documented: it stops the import
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """Keep what is written to file descriptor 2, and show it only when something is raised."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def say(line: str) -> None:
    """Print a line of progress to stderr without tearing a progress bar."""
    tqdm.write(line, file=sys.stderr)


def quiet() -> bool:
    """Say whether progress bars should be off: stderr is no terminal."""
    return not sys.stderr.isatty()
