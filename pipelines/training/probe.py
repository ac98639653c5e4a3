"""Whether a training fits in memory: the longest batch first, once, and as if it had not been."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.data.batching import Encoded, Plan


def longest(plan: Plan, lengths: np.ndarray) -> np.ndarray:
    """Return the batch of a plan that needs the most memory: examples times steps of the longest, padding included.

    Of equal ones it is the one with the longest example.
    """
    return max(plan, key=lambda indices: (len(indices) * int(lengths[indices].max()), int(lengths[indices].max())))


def attempt(step: Callable[[Any], Iterable[Any]], data: Any, variables: Sequence[Any]) -> None:
    """Carry out a step on ``data`` and take it back: all variables, states of random numbers among them, are as before.

    The step itself and no other function, because that is what must fit; its trace serves the training.
    """
    before = [np.array(variable) for variable in variables]
    try:
        for value in step(data):
            np.asarray(value)  # a device answers later: what did not fit is said when a result is asked for
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


@contextmanager
def explained(train: Encoded, indices: np.ndarray) -> Iterator[None]:
    """Say in a sentence that a batch does not fit in memory.

    Raises:
        RuntimeError: it does not; names the batch and what to do.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError):
        first = train.examples[int(indices[np.argmax(train.lengths[indices])])]["where"]
        raise RuntimeError(
            f"a batch of {len(indices)} examples of up to {train.lengths[indices].max()} steps ({first}, ...) does not "
            "fit in memory; a smaller --batch-size or --batch-tokens needs less"
        ) from None
