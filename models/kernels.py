"""The one place that decides how a recurrent layer runs, and the switch that exports use.

Three paths give the same numbers:

- ``cudnn``: what Keras does on a GPU;
- ``fast``: our kernels for TensorFlow on a CPU (``kernels_*.py``, compiled by XLA, own gradients);
- ``portable``: Keras's own loop; plain operations, so it exports and runs on every backend.
"""

import contextlib
import contextvars
from collections.abc import Iterator

_portable = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Make recurrent layers use plain operations inside this block: exports trace their graph in it.

    The switch is read when a layer is called, so a ``tf.function`` must be traced inside the block. A graph
    traced this way holds no XLA, cuDNN or Python operations.
    """
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def is_portable() -> bool:
    """Tell whether the caller is inside a ``portable()`` block."""
    return _portable.get()
