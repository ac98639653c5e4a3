"""The longest batch is tried once before a training, and nothing is left of it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import TrainingConfig
from pipelines.data.batching import Encoded
from pipelines.runs.folder import Run
from pipelines.training import loop as fit
from pipelines.training.loop import Trainer
from pipelines.training.step import longest

LENGTHS = np.array([3, 40, 5, 7, 2, 30, 9, 1, 12, 4, 6, 8], np.int32)


def data() -> Encoded:
    rows = tf.RaggedTensor.from_row_lengths(np.random.default_rng(0).normal(size=LENGTHS.sum()), LENGTHS)
    examples = [{"id": str(i), "where": f"data.csv:{i + 2}"} for i in range(len(LENGTHS))]
    return Encoded({"x": tf.cast(rows, tf.float32)}, {"y": tf.ones(len(LENGTHS))}, LENGTHS, examples, [])


def trainer(folder: Path) -> Trainer:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input([1]), keras.layers.Dense(4), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    )

    def loss(x: dict, y: dict) -> Any:
        values = (model(tf.reduce_sum(x["x"], axis=1, keepdims=True), training=True)[:, 0] - y["y"]) ** 2
        return values, tf.ones_like(values)

    settings = TrainingConfig(batch_size=3, epochs=2, learning_rate=0.1, ema=0.9, warmup=0.5)
    run = Run(folder)
    run.write_json("config.json", {})
    return Trainer(model, loss, lambda thorough: {"gap": 0.0}, "gap", False, settings, run)


def test_the_longest_batch_is_found() -> None:
    lengths = np.array([5, 9, 2, 2, 4, 4], np.int32)
    assert longest([np.array([0]), np.array([1]), np.array([2, 3])], lengths).tolist() == [1]
    assert longest([np.array([1]), np.array([2, 3, 4, 5])], lengths).tolist() == [2, 3, 4, 5]
    assert longest([np.array([2, 3]), np.array([4])], lengths).tolist() == [4], "of equal ones, the longer example"


def test_the_longest_batch_comes_first_and_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    seen: list[tuple[int, int]] = []
    make = fit.make_step

    def watched(*arguments: Any, **options: Any) -> Any:
        step = make(*arguments, **options)

        def seen_step(x: Any, y: Any) -> Any:
            tf.py_function(lambda batch: seen.append(tuple(batch.shape)), [x["x"]], [])
            return step(x, y)

        return seen_step

    monkeypatch.setattr(fit, "make_step", watched)
    probed = trainer(tmp_path / "probed")
    probed.fit(data())
    assert len(seen) == 1 + 2 * 4 and seen[0] == max(seen) == (3, 40)
    plain = trainer(tmp_path / "plain")
    plain._probe = lambda train, epoch: None  # type: ignore[method-assign]
    plain.fit(data())
    assert len(seen) == 1 + 2 * 4 + 2 * 4
    with np.load(tmp_path / "probed" / "state.npz") as one, np.load(tmp_path / "plain" / "state.npz") as two:
        names = [name for name in one.files if name != "meta"]
        assert len(names) > 10 and names == [name for name in two.files if name != "meta"]
        for name in names:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)


@pytest.mark.parametrize("error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")])
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, monkeypatch: Any, error: Exception) -> None:
    def full(*_: Any, **__: Any) -> Any:
        def step(x: Any, y: Any) -> Any:
            raise error

        return step

    monkeypatch.setattr(fit, "make_step", full)
    sentence = (
        r"^a batch of 3 examples of up to 40 steps \(data\.csv:3, \.\.\.\) does not fit in memory; a smaller --batch"
    )
    with pytest.raises(RuntimeError, match=sentence):
        trainer(tmp_path).fit(data())
    assert not (tmp_path / "state.npz").exists(), "the corrected command shall find the run's name free"
