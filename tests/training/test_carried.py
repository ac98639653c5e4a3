"""Truncated backpropagation through time: states that go on from batch to batch, and resume to the bit."""

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.recurrent import LSTM
from pipelines.config import TrainingConfig
from pipelines.data.batching import Encoded, contiguous_plan
from pipelines.runs.folder import Run
from pipelines.training.loop import Trainer, TrainingStopped

ROWS, STEPS, WIDTH = 3, 4, 5


@pytest.mark.parametrize(("count", "size"), [(1, 1), (7, 3), (12, 4), (2, 5), (10, 1), (0, 3)])
def test_each_window_comes_once_and_rows_go_on_where_they_were(count: int, size: int) -> None:
    plan = contiguous_plan(count, size)
    assert sorted(int(i) for batch in plan for i in batch) == list(range(count))
    assert all(len(batch) == min(size, count) for batch in plan[:-1])
    for before, after in itertools.pairwise(plan):
        assert len(after) <= len(before)
        np.testing.assert_array_equal(after, before[: len(after)] + 1)


def windows(count: int) -> Encoded:
    """Cut a sum that never forgets into windows: y_t is the sign of all x up to t, over the whole row."""
    random = np.random.default_rng(0)
    x = random.normal(size=(count, STEPS, 1)).astype(np.float32)
    y = np.zeros_like(x)
    for row in range(ROWS):
        numbers = [int(batch[row]) for batch in contiguous_plan(count, ROWS) if row < len(batch)]
        total = np.cumsum(x[numbers].reshape(-1))
        y[numbers] = np.sign(total).reshape(-1, STEPS, 1)
    examples = [{"id": str(i), "where": f"window {i}"} for i in range(count)]
    return Encoded({"x": tf.constant(x)}, {"y": tf.constant(y)}, np.full(count, STEPS, np.int32), examples, [])


class Stateful:
    """A network whose states are carried, its trainer, and what it saw: the state at the start of each batch."""

    def __init__(self, folder: Path, count: int, stop: int = 0) -> None:
        keras.utils.set_random_seed(0)
        inputs, *states = keras.Input([STEPS, 1]), keras.Input([WIDTH]), keras.Input([WIDTH])
        layer = LSTM(WIDTH, return_sequences=True, return_state=True, dropout=0.2, seed=1)
        outputs, *after = layer(inputs, initial_state=states)
        self.model = keras.Model([inputs, *states], [keras.layers.Dense(1)(outputs), *after])
        self.states = [tf.Variable(tf.zeros([ROWS, WIDTH]), trainable=False) for _ in range(2)]
        self.stop, self.begun = stop, []
        run = Run(folder)
        run.write_json("config.json", {})
        settings = TrainingConfig(
            epochs=2, batch_size=ROWS, learning_rate=0.01, checkpoint_minutes=0, deterministic=True
        )
        self.trainer = Trainer(
            self.model,
            self.loss,
            lambda thorough: {"gap": 0.0},
            "gap",
            False,
            settings,
            run,
            carried=self.states,
            plan=lambda epoch: contiguous_plan(count, ROWS),
        )

    def loss(self, x: Any, y: Any) -> tuple[Any, Any]:
        rows = tf.shape(x["x"])[0]
        before = [state[:rows] for state in self.states]
        outputs, *after = self.model([x["x"], *before], training=True)
        for state, value in zip(self.states, after, strict=True):
            state.assign(tf.concat([value, state[rows:]], axis=0))
        gap = (outputs - y["y"]) ** 2
        return tf.reduce_sum(gap, axis=[1, 2]), tf.fill([rows], float(STEPS))


def test_states_are_carried_within_an_epoch_and_zero_at_its_beginning(tmp_path: Path) -> None:
    made = Stateful(tmp_path, 7)
    seen: list[float] = []
    honest = made.trainer._batch

    def watched(*arguments: Any) -> None:
        seen.append(float(tf.reduce_sum(tf.abs(made.states[0]))))
        honest(*arguments)

    made.trainer._batch = watched  # type: ignore[method-assign]
    made.trainer.fit(windows(7))
    assert [value == 0 for value in seen] == [True, False, False, True, False, False]


def test_a_training_with_carried_states_resumes_to_the_bit(tmp_path: Path) -> None:
    whole = Stateful(tmp_path / "whole", 7)
    whole.trainer.fit(windows(7))
    for stop in (2, 4):  # within the first epoch, and within the second
        cut, count = Stateful(tmp_path / f"cut-{stop}", 7), 0
        honest = cut.trainer._batch

        def stopping(*arguments: Any, honest: Any = honest, cut: Any = cut, stop: int = stop) -> None:
            nonlocal count
            honest(*arguments)
            count += 1
            if count == stop:
                cut.trainer.interrupted = lambda: True

        cut.trainer._batch = stopping  # type: ignore[method-assign]
        with pytest.raises(TrainingStopped, match="interrupted"):
            cut.trainer.fit(windows(7))
        again = Stateful(tmp_path / f"cut-{stop}", 7)
        again.trainer.fit(windows(7))
        for one, other in zip(whole.model.get_weights(), again.model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        for one, other in zip(whole.states, again.states, strict=True):
            np.testing.assert_array_equal(one, other)
