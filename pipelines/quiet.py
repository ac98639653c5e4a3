"""Import TensorFlow without the notes that it writes to stderr before anyone can ask it not to."""

import importlib
import os
import sys
import tempfile


def import_tensorflow() -> None:
    """Import tensorflow with file descriptor 2 set aside; what it said is shown if the import fails.

    The notes (oneDNN, missing CUDA drivers) come from C++ before logging is configured, so neither
    ``TF_CPP_MIN_LOG_LEVEL`` nor Python's logging can hold them back.
    """
    if "tensorflow" in sys.modules or os.environ.get("PIPELINES_DEBUG"):
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
