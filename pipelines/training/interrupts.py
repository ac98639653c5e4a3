"""Ctrl-C and SIGTERM held back until a training has come to a place where it can stop and go on later."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tqdm import tqdm

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Hold back the signals that interrupt in this block; the function yielded tells whether one came.

    A signal that is let through arrives anywhere, such as after a step's weights have changed and before the step is
    counted: what is saved then belongs to no moment of the training. A second signal is let through as
    KeyboardInterrupt, for who does not want to wait. What the process ignores it goes on to ignore, and outside the
    main thread nothing is held back, for no signal arrives there.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt
        tqdm.write("stopping as soon as what is done can be saved; once more stops at once", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
