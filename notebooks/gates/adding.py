"""One recurrent layer learns the adding problem: how far back can a cell learn to remember?"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from pipelines.training.optimizer import make_optimizer

from gates.lessons import adding_problem
from models.recurrent import CELLS
from pipelines.training.step import Average, make_step

CHANCE = 1 / 6
"""Mean squared error of answering 1 whatever comes."""
SOLVED = 0.005
"""Mean squared error at which a training ends early."""
EVERY, HELD_OUT = 50, 1000


@dataclass(frozen=True)
class Learned:
    """How a training went.

    Attributes:
        layer: the recurrent layer, trained.
        updates: updates after which the error was measured.
        errors: mean squared error on sequences that were not trained on, one for each of ``updates``.
    """

    layer: Any
    updates: list[int]
    errors: list[float]

    @property
    def best(self) -> float:
        """The smallest error."""
        return min(self.errors)


def learn_adding(
    cell: str, steps: int, updates: int = 2000, units: int = 48, batch_size: int = 64, rate: float = 0.01, seed: int = 0
) -> Learned:
    """Train ``cell`` -> last output -> one number on fresh sequences of the adding problem.

    Adam with a constant rate and the global gradient norm clipped to 1; the error is looked at every 50 updates, and
    the training ends when it is below ``SOLVED``.

    Args:
        cell: ``"lstm"``, ``"gru"`` or ``"simple"``.
        steps: T, the length of the sequences.
        updates: how many at most.
        units: H.
        batch_size: B, sequences an update.
        rate: the learning rate.
        seed: of the first weights; the data are the same for every seed.

    Raises:
        ValueError: there is no such cell.
    """
    if cell not in CELLS:
        raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
    keras.utils.set_random_seed(seed)
    sequence = keras.Input([steps, 2])
    layer: Any = CELLS[cell](units)
    model = keras.Model(sequence, keras.layers.Dense(1)(layer(sequence))[:, 0])
    optimizer = make_optimizer(rate, updates, schedule="constant")
    optimizer.build(model.trainable_variables)
    update = make_step(model, lambda x, y: tf.square(model(x["x"], training=True) - y["y"]), optimizer, Average([], 0))
    x, y = adding_problem(HELD_OUT, steps, seed=0)
    learned = Learned(layer, [], [])
    for n in range(1, updates + 1):
        batch = adding_problem(batch_size, steps, seed=n)
        update({"x": batch[0]}, {"y": batch[1]})
        if n % EVERY == 0 or n == updates:
            learned.updates.append(n)
            learned.errors.append(float(np.mean(np.square(model(x) - y))))
            if learned.errors[-1] < SOLVED:
                break
    return learned
