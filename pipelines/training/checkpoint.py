"""The resumable training state, and deferred interrupts.

The state holds more than Keras's ``BackupAndRestore``: every ``SeedGenerator`` (without it, dropout would differ), the
averaged weights, the best score, the epoch and the batch within it.
"""

import csv
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from tqdm import tqdm


@dataclass
class Progress:
    """Position of a training; ``step`` counts finished batches of ``epoch``, the sums run over these batches."""

    epoch: int = 0
    step: int = 0
    best: float | None = None
    best_epoch: int = -1
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    finished: bool = False


def save_state(path: Path, progress: Progress, variables: Iterable[Any]) -> None:
    """Write progress and variables into one ``.npz`` without pickled objects."""
    arrays = {f"v{i:05d}": np.asarray(variable) for i, variable in enumerate(variables)}
    meta = np.frombuffer(json.dumps(asdict(progress)).encode(), np.uint8)
    with open(path, "wb") as file:  # given a path, numpy would append .npz to the temporary name
        np.savez(file, meta=meta, **arrays)  # type: ignore[arg-type]  # numpy 2.1 does not know allow_pickle


def load_state(path: Path, variables: Iterable[Any]) -> Progress:
    """Assign the stored values to ``variables`` (all built) and return the progress.

    Raises:
        ValueError: the file holds a different number of variables, or other shapes.
    """
    variables = list(variables)
    with np.load(path, allow_pickle=False) as stored:
        names = sorted(name for name in stored.files if name != "meta")
        if len(names) != len(variables):
            raise ValueError(f"{path}: holds {len(names)} variables, the model and its optimizer have {len(variables)}")
        for name, variable in zip(names, variables, strict=True):
            value = stored[name]
            if value.shape != tuple(variable.shape):
                raise ValueError(f"{path}: {variable.name} has shape {value.shape}, expected {tuple(variable.shape)}")
            variable.assign(value)
        return Progress(**json.loads(stored["meta"].tobytes()))


def save_history(path: Path, progress: Progress) -> None:
    """Write one CSV row per epoch, with a header of metric names."""
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, progress.history[-1])
        table.writeheader()
        table.writerows(progress.history)


SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Defer SIGINT and SIGTERM within this block; the yielded function returns whether one arrived.

    An interrupt may arrive after a step has changed the weights but before it is counted: the saved state would be
    inconsistent. A second signal raises KeyboardInterrupt at once. Ignored signals stay ignored; outside the main
    thread, where no signal arrives, nothing is deferred.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt
        tqdm.write("stopping after this step, to save the progress; interrupt again to stop at once", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in handled}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
