"""Training of one recurrent layer on the adding problem: how far back can a cell learn to remember?"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gates.lessons import adding_problem
from models.recurrent import CELLS
from pipelines.training.step import Average, make_optimizer, make_step

CHANCE = 1 / 6
"""Mean squared error of the constant prediction 1."""
SOLVED = 0.005
"""Mean squared error at which training stops early."""
EVERY, HELD_OUT = 50, 1000


@dataclass(frozen=True)
class Learned:
    """Result of a training.

    Attributes:
        layer: the trained recurrent layer.
        updates: numbers of updates at which the error was measured.
        errors: mean squared error on held-out sequences, one for each of ``updates``.
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
    """Train ``cell`` -> last output -> one number on new sequences of the adding problem in every update.

    Adam with a constant learning rate and gradient norm clipping at 1; the error is measured every 50 updates, and
    training stops when it is below ``SOLVED``.

    Args:
        cell: ``"lstm"``, ``"gru"`` or ``"simple"``.
        steps: T, the length of the sequences.
        updates: maximum number of updates.
        units: H.
        batch_size: B.
        rate: the learning rate.
        seed: of the initial weights; the data do not depend on it.

    Raises:
        ValueError: the cell is unknown.
    """
    if cell not in CELLS:
        raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
    keras.utils.set_random_seed(seed)
    sequence = keras.Input([steps, 2])
    layer: Any = CELLS[cell](units)
    model = keras.Model(sequence, keras.layers.Dense(1)(layer(sequence))[:, 0])
    optimizer = make_optimizer(rate, updates, schedule="constant")
    optimizer.build(model.trainable_variables)

    def loss(x: Any, y: Any) -> tuple[Any, Any]:
        return tf.square(model(x["x"], training=True) - y["y"]), tf.ones_like(y["y"])

    update = make_step(model, loss, optimizer, Average([], 0))
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
