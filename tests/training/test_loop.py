"""The training loop on networks small enough to check by hand."""

import math
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import TrainingConfig
from pipelines.data.batching import Encoded
from pipelines.runs.folder import Run
from pipelines.task import Phase
from pipelines.training.loop import Trainer, TrainingStopped
from pipelines.training.step import Average, WarmupDecay, make_optimizer, make_step


def line_data(count: int = 32, bad: int | None = None) -> Encoded:
    """Points of y = 2 x + 1."""
    x = np.linspace(-1, 1, count, dtype=np.float32)[:, None]
    y = 2 * x[:, 0] + 1
    if bad is not None:
        y[bad] = np.nan
    examples = [{"id": str(i), "where": f"data.csv:{i + 2}"} for i in range(count)]
    return Encoded({"x": tf.constant(x)}, {"y": tf.constant(y)}, np.ones(count, np.int32), examples, [])


def counted(values: Any) -> tuple[Any, Any]:
    """Give every example of a loss [B] the weight 1."""
    return values, tf.ones_like(values)


def second(made: Trainer, loss: Any, epochs: int = 1, share: float = 1.0) -> Phase:
    """Let the last epochs have another loss of the network's output [B], at half the rate."""
    return Phase(epochs, lambda x, y: counted(loss(made.model(x["x"])[:, 0])), lambda x, y, seed: (x, y), 0.5, share)


def trainer(folder: Path, scores: Any = None, **settings: Any) -> Trainer:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    values = {"batch_size": 8, "epochs": 3, "learning_rate": 0.05, "schedule": "constant"} | settings
    given = iter(scores or ())

    def loss(x: dict, y: dict) -> Any:
        return counted((model(x["x"], training=True)[:, 0] - y["y"]) ** 2)

    def validate(thorough: bool) -> dict[str, float]:
        x = line_data()
        return {"score": next(given, 0.0), "gap": float(tf.reduce_mean(loss(x.x, x.y)[0]))}

    run = Run(folder)
    run.write_json("config.json", {})
    return Trainer(model, loss, validate, "score" if scores else "gap", bool(scores), TrainingConfig(**values), run)


def test_it_learns_a_line_and_keeps_the_best(tmp_path: Path, capsys: Any) -> None:
    made = trainer(tmp_path, epochs=12, learning_rate=0.2)
    progress = made.fit(line_data())
    kernel, bias = (w.item() for w in made.model.get_weights())
    assert (kernel, bias) == (pytest.approx(2, abs=0.05), pytest.approx(1, abs=0.05))
    assert progress.best == min(row["validation_gap"] for row in progress.history)
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 13
    assert (tmp_path / "learning_curves.png").read_bytes().startswith(b"\x89PNG")
    assert all(row["gradient_norm"] > 0 for row in progress.history)
    steps = len(made._plan(line_data(), 0))
    said = rf"^2 parameters; about \d+\.\d minutes for {12 * steps - min(20, steps)} more updates$"
    assert re.search(said, capsys.readouterr().err, re.MULTILINE)


def test_a_loss_that_is_not_finite_names_epoch_batch_and_examples(tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped, match=r"loss is nan in epoch 1, batch [1-4] \(.*data.csv:5") as error:
        trainer(tmp_path).fit(line_data(bad=3))
    assert str(error.value).endswith("a smaller --learning-rate or --clip-norm may help, in a new --run")


def test_a_gradient_that_is_not_finite_names_its_own_batch_and_not_the_next(tmp_path: Path) -> None:
    made, data = trainer(tmp_path), line_data()

    def root(x: dict, y: dict) -> Any:
        """A loss that is finite everywhere, and whose slope is infinite in the row of zero weight."""
        return counted(tf.sqrt(made.model(x["x"])[:, 0] ** 2 * tf.cast(x["x"][:, 0] != data.x["x"][3, 0], tf.float32)))

    made.loss = root
    with pytest.raises(TrainingStopped, match=r"norm of the gradient is nan in epoch 1, batch [1-4] \(.*data.csv:5"):
        made.fit(data)


def test_a_second_phase_ends_between_the_weights_before_and_after_it(tmp_path: Path) -> None:
    made = trainer(tmp_path, scores=[0.1, 0.2, 0.2, 0.3], epochs=3, ema=0.9)
    made.last = second(made, lambda output: (output - 3.0) ** 2, share=0.25)
    validated, honest = [], made.validate

    def watched(thorough: bool) -> dict[str, float]:
        validated.append([w.copy() for w in made.model.get_weights()])
        return honest(thorough)

    made.validate = watched
    made.fit(line_data())
    for final, before, after, mixed in zip(
        made.model.get_weights(), validated[1], made.average.shadow, validated[3], strict=True
    ):
        assert np.abs(after.numpy() - before).max() > 0.01
        np.testing.assert_allclose(final, before + 0.25 * (after.numpy() - before), rtol=1e-5)
        np.testing.assert_array_equal(final, mixed)


def test_a_second_phase_does_not_wait_for_the_large_gradients_of_the_first_to_be_forgotten(tmp_path: Path) -> None:
    made = trainer(tmp_path, scores=[0.1, 0.1, 0.2], epochs=2)
    made.last = second(made, lambda output: 1e-2 * output)
    biases, honest = [], made.validate

    def watched(thorough: bool) -> dict[str, float]:
        biases.append(float(made.model.get_weights()[1][0]))
        return honest(thorough)

    made.validate = watched
    made.fit(line_data())
    rates = [0.5 * 0.05 * left for left in (1, 0.75, 0.5, 0.25)]  # falls over the four steps; Adam's step is its rate
    assert biases[1] - biases[2] == pytest.approx(sum(rates), rel=0.01)


def test_every_epoch_has_an_order_and_an_augmentation_of_its_own(tmp_path: Path, monkeypatch: Any) -> None:
    made, data = trainer(tmp_path, epochs=2), line_data()
    seen: dict[tuple[int, int], list[float]] = {}

    def note(rows: np.ndarray, seed: np.ndarray) -> np.ndarray:
        seen[int(seed[0]), int(seed[1])] = rows[:, 0].tolist()
        return rows

    def transform(x: dict, y: dict, seed: Any) -> tuple[dict, dict]:
        return {"x": tf.ensure_shape(tf.numpy_function(note, [x["x"], seed], tf.float32), x["x"].shape)}, y

    made.transform = transform
    monkeypatch.setattr(made, "_probe", lambda train, epoch: None)  # it would transform a batch too
    made.fit(data)
    seeds = sorted(seen)
    assert [number for _, number in seeds] == [0, 1, 2, 3] * 2, "a seed came twice"
    first, second = ([x for seed in part for x in seen[seed]] for part in (seeds[:4], seeds[4:]))
    assert first != second
    assert sorted(first) == sorted(second) == data.x["x"][:, 0].numpy().tolist()


def rewarded(made: Trainer, epochs: int, given: dict[bool, list[float]]) -> list[list[np.ndarray]]:
    """Let the last ``epochs`` be rewarded, and scores be ``given``; return the weights that each of them is of."""
    made.last = second(made, lambda output: (output - 3.0) ** 2, epochs)
    scores = {thorough: iter(values) for thorough, values in given.items()}
    validated: list[list[np.ndarray]] = []

    def validate(thorough: bool) -> dict[str, float]:
        validated.append(made.model.get_weights())
        return {"score": next(scores[thorough])}

    made.validate = validate
    return validated


@pytest.mark.parametrize(("score", "kept"), [(0.45, 3), (0.35, 1)])
def test_rewarded_epochs_are_compared_by_the_search_that_answers(tmp_path: Path, score: float, kept: int) -> None:
    made = trainer(tmp_path, scores=[0.1], epochs=4, ema=0.5)
    validated = rewarded(made, 1, {False: [0.5, 0.6, 0.55], True: [0.4, score]})
    progress = made.fit(line_data())
    assert (progress.best, progress.best_epoch) == (max(score, 0.4), kept)
    for best, anew in zip(validated[1], validated[3], strict=True):
        np.testing.assert_array_equal(best, anew)
    for final, expected in zip(made.model.get_weights(), validated[4 if kept == 3 else 1], strict=True):
        np.testing.assert_array_equal(final, expected)


def test_patience_ends_the_first_phase_and_not_the_training(tmp_path: Path) -> None:
    made = trainer(tmp_path, scores=[0.1], epochs=8, patience=2)
    rewarded(made, 3, {False: [0.5, 0.4, 0.4], True: [0.6, 0.5, 0.5, 0.9]})
    progress = made.fit(line_data())
    assert [row["epoch"] for row in progress.history] == [1, 2, 3, 6, 7]
    assert [row["rewarded"] for row in progress.history] == [0, 0, 0, 1, 1]
    assert (progress.best, progress.best_epoch, progress.finished) == (0.6, 0, True)
    assert (tmp_path / "history.csv").read_text().startswith("epoch,loss,gradient_norm,rewarded,validation_score")


def test_rewarded_epochs_from_the_first_on_can_leave_all_as_it_was(tmp_path: Path) -> None:
    made = trainer(tmp_path, scores=[0.1], epochs=2, ema=0.5)
    before = made.model.get_weights()
    rewarded(made, 2, {True: [0.6, 0.5, 0.55]})
    progress = made.fit(line_data())
    assert (progress.best, progress.best_epoch) == (0.6, -1)
    for final, first in zip(made.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(final, first)


def test_both_phases_are_tried_before_the_first_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainer(tmp_path, scores=[0.1], epochs=3)
    rewarded(made, 1, {False: [0.5, 0.6], True: [0.6, 0.7]})
    tried: list[int] = []
    monkeypatch.setattr(made, "_probe", lambda train, epoch: tried.append(epoch))
    made.fit(line_data())
    assert tried == [0, 2]


def test_patience_stops_and_the_best_epoch_is_restored(tmp_path: Path) -> None:
    made = trainer(tmp_path, scores=[0.5, 0.7, 0.6, 0.65, 0.9, 0.9], epochs=6, patience=2)
    kept: list[np.ndarray] = []
    honest = made._close_epoch

    def watched(*arguments: Any) -> None:
        kept.append(made.model.get_weights()[0].copy())
        honest(*arguments)

    made._close_epoch = watched  # type: ignore[method-assign]
    progress = made.fit(line_data())
    assert (progress.epoch, progress.best_epoch, progress.best) == (4, 1, 0.7)
    np.testing.assert_array_equal(made.model.get_weights()[0], kept[1])
    again = trainer(tmp_path, scores=[0.0], epochs=6, patience=2)
    assert again.fit(line_data()).epoch == 4, "a finished run must not train on"


def test_clipping_bounds_the_step_and_the_norm_is_that_before_clipping() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1, kernel_initializer="zeros")])
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=0.5)
    optimizer.build(model.trainable_variables)
    step = make_step(model, lambda x, y: counted(model(x["x"])[:, 0] * 10), optimizer, Average([], 0.0))
    loss, norm = step({"x": tf.constant([[3.0, 0.0], [0.0, 4.0]])}, {"y": tf.zeros(2)})
    # gradient of the mean: kernel (15, 20), bias 10
    assert float(norm) == pytest.approx(math.sqrt(15**2 + 20**2 + 10**2), rel=1e-6)
    assert float(loss) == 0, "a loss of exactly zero must not upset the norm"
    moved = np.concatenate([w.ravel() for w in model.get_weights()])
    np.testing.assert_allclose(moved, -0.5 * np.array([15, 20, 10]) / float(norm), rtol=1e-5)


def test_the_loss_is_that_of_the_weights_and_what_is_minimised_that_of_the_mean_weight() -> None:
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)

    def loss(x: dict, y: dict) -> Any:
        return model(x["x"])[:, 0], y["weight"]

    step = make_step(model, loss, optimizer, Average([], 0.0), mean_weight=4.0)
    value, norm = step({"x": tf.constant([[3.0], [6.0]])}, {"weight": tf.constant([1.0, 2.0])})
    assert float(value) == pytest.approx((3 + 6) / (1 + 2))
    assert float(norm) == pytest.approx((3 + 6) / 2 / 4)
    np.testing.assert_allclose(model.get_weights()[0], [[1 - (3 + 6) / 2 / 4]], rtol=1e-6)


def test_a_weight_that_the_loss_does_not_ask_for_stays() -> None:
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    first = model.layers[0]
    step = make_step(model, lambda x, y: counted((first(x["x"])[:, 0] - 9) ** 2), optimizer, Average([], 0.0))
    before = model.get_weights()
    step({"x": tf.ones([4, 1])}, {})
    changed = [not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)]
    assert changed == [True, True, False, False]


def test_averaged_weights_follow_the_formula_and_swap_back() -> None:
    weight = keras.Variable(np.array([0.0, 0.0], np.float32))
    average, expected = Average([weight], 0.5), np.zeros(2)
    for n in range(1, 6):
        weight.assign(np.array([n, -n], np.float32))
        average.update(tf.constant(n))
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * np.array([n, -n])
    average.swap()
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)
    average.swap()
    np.testing.assert_array_equal(weight.numpy(), [5, -5])


@pytest.mark.parametrize(
    ("shape", "step", "rate"),
    [
        ("constant", 0, 0.1),
        ("constant", 9, 1.0),
        ("constant", 99, 1.0),
        ("linear", 55, 0.5),
        ("cosine", 55, 0.5),
        ("cosine", 32.5, 0.5 + 0.5 * math.cos(math.pi / 4)),
        ("linear", 100, 0.0),
        ("cosine", 100, 0.0),
    ],
)
def test_schedule(shape: str, step: float, rate: float) -> None:
    assert float(WarmupDecay(1.0, 100, 10, shape)(step)) == pytest.approx(rate, abs=1e-6)


def test_weight_decay_spares_biases() -> None:
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, bias_initializer="ones")])
    optimizer = make_optimizer(0.1, 10, schedule="constant", weight_decay=0.5)
    optimizer.build(model.trainable_variables)
    kernel, bias = (w.copy() for w in model.get_weights())
    optimizer.apply([tf.zeros_like(w) for w in model.trainable_variables], model.trainable_variables)
    np.testing.assert_allclose(model.get_weights()[0], kernel * (1 - 0.1 * 0.5), rtol=1e-6)
    np.testing.assert_array_equal(model.get_weights()[1], bias)
