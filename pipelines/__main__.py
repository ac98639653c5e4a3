"""The command line. Usage errors and wrong settings are reported before TensorFlow is imported.

Exit status: 0 done, 1 the work failed, 2 the request was wrong (one sentence on stderr). Results go to stdout,
progress and warnings to stderr.
"""

import os
import re
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

# A user's own folder named models must not be taken for ours when python -m puts their directory first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[1]  # their directory: what lies there named jax would be taken for the library

import pipelines

if Path(pipelines.__file__ or "").resolve().parent != Path(__file__).resolve().parent:
    sys.exit(
        f"pipelines: {pipelines.__file__} hides this program; start the command `pipelines`, or from another folder"
    )

from pipelines.cli import parser as command_line

PLACES = re.compile(r"Graph execution |Detected at |<stack traces |Node: |\d+ root error|  File |    |\t|Hint: |\s*$")
"""Lines of a TensorFlow error that lead to the place in the graph and say nothing of the reason."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; ``PIPELINES_DEBUG=1`` shows where an error came from."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.unraisablehook, sys.excepthook = _quiet, _without_destructors
    try:
        return command_line.run(sys.argv[1:] if arguments is None else arguments)
    except ValueError as error:
        return _failed(2, str(error))
    except RuntimeError as error:
        return _failed(1, str(error))
    except KeyboardInterrupt:
        return _failed(1, "interrupted")
    except MemoryError:
        return _failed(1, "there is not enough memory; a smaller --batch-size or --limit needs less")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output has left
        return 1
    except OSError as error:
        return _failed(1, f"{error.filename or 'a file'}: {error.strerror or error}")
    except Exception as error:
        if not _of_tensorflow(error):
            raise
        return _failed(1, f"TensorFlow: {_reason(str(error))}")


def _of_tensorflow(error: Exception) -> bool:
    """Say whether an error is a ``tf.errors.OpError``, without importing TensorFlow where no command has."""
    return any(kind.__name__ == "OpError" and kind.__module__.startswith("tensorflow.") for kind in type(error).__mro__)


def _reason(message: str) -> str:
    """Return the first line of TensorFlow's message that says what went wrong, without the names of operations."""
    lines = [line for line in message.splitlines() if not PLACES.match(line)]
    return re.sub(r"\{\{.*?\}\} ?|^ *\(0\) | *\[Op:.*", "", lines[0] if lines else message)[:300]


def _quiet(event: Any) -> None:
    """Show an error in a destructor only when asked: h5py has one for what ``save_weights`` raises anyway."""
    if os.environ.get("PIPELINES_DEBUG"):
        sys.__unraisablehook__(event)


def _without_destructors(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an uncaught error as usual, but not what h5py's destructors report on a full disk."""
    if "Can't decrement id ref count" not in str(error) or os.environ.get("PIPELINES_DEBUG"):
        sys.__excepthook__(kind, error, trace)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _failed(status: int, sentence: str) -> int:
    if os.environ.get("PIPELINES_DEBUG"):
        traceback.print_exc()
    print(f"pipelines: {' '.join(sentence.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
