"""Integrated gradients against closed forms; gates against the recurrence that they must satisfy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.recurrent import RecurrentStack, portable
from pipelines.explain.attribution import Attribution, busiest, integrated_gradients, recurrent_maps

RNG = np.random.default_rng(0)


def test_a_linear_function_is_attributed_exactly():
    weights, x = RNG.normal(size=(5, 3)).astype(np.float32), RNG.normal(size=(5, 3)).astype(np.float32)
    result = integrated_gradients(lambda p: tf.reduce_sum(p * weights, [1, 2]) + 7, x)
    np.testing.assert_allclose(result.values, (weights * x).sum(-1), rtol=1e-5)
    assert result.start == pytest.approx(7) and result.gap < 1e-5 and result.points == 32


def test_a_product_is_shared_equally():
    # f = a b from 0: both gradients integrate to a b / 2
    x = np.array([[3.0], [5.0]], np.float32)
    result = integrated_gradients(lambda p: p[:, 0, 0] * p[:, 1, 0], x)
    np.testing.assert_allclose(result.values, [7.5, 7.5], rtol=1e-5)


def test_a_given_baseline_is_where_the_path_starts():
    x, baseline = np.array([[2.0], [1.0]], np.float32), np.array([[1.0], [1.0]], np.float32)
    result = integrated_gradients(lambda p: tf.reduce_sum(p**2, [1, 2]), x, baseline)
    np.testing.assert_allclose(result.values, [3.0, 0.0], atol=1e-5)
    assert (result.start, result.end) == (2.0, 5.0)


def test_kinks_are_refined_until_completeness_holds():
    x = np.full([1, 1], 1.0, np.float32)
    steps = lambda p: tf.reduce_sum(tf.nn.relu(p[:, 0] * 100 - tf.constant([3.3, 71.7])), -1)  # noqa: E731
    result = integrated_gradients(steps, x, tolerance=1e-4)
    assert result.complete(1e-4) and result.points > 32
    rough = integrated_gradients(lambda p: tf.sign(p[:, 0, 0] - 0.4) + 0 * p[:, 0, 0], x, most_segments=2)
    assert not rough.complete(0.01) and rough.gap == pytest.approx(1.0)


def test_gap_and_completeness():
    result = Attribution(np.array([0.5, 0.48]), 1.0, 2.0, 32)
    assert result.gap == pytest.approx(0.02) and not result.complete(0.01) and result.complete(0.03)
    assert Attribution(np.zeros(2), 1.0, 1.0, 32).complete(0.01)


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_states_are_what_the_stack_gives(cell, bidirectional):
    stack = RecurrentStack(cell, 4, 2, bidirectional=bidirectional, dropout=0.5, seed=1)
    x = RNG.normal(size=(6, 3)).astype(np.float32)
    with portable():
        outputs, _ = stack(tf.constant(x)[None], tf.constant([6]))
    maps = recurrent_maps(stack, x)
    names = ["forward states", "backward states"] if bidirectional else ["states"]
    np.testing.assert_allclose(np.concatenate([maps[n] for n in names], -1), outputs[0], atol=1e-5)
    count = {"lstm": 4, "gru": 3, "simple": 1}[cell] * (2 if bidirectional else 1)
    assert len(maps) == count and all(values.shape == (6, 4) for values in maps.values())


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_lstm_gates_satisfy_the_recurrence(name):
    stack = RecurrentStack("lstm", 4, bidirectional=True, seed=2)
    x = RNG.normal(size=(7, 3)).astype(np.float32)
    stack.build((None, None, 3))
    maps = {key.split()[1]: values for key, values in recurrent_maps(stack, x).items() if key.startswith(name)}
    order = slice(None, None, 1 if name == "forward" else -1)
    cell = getattr(stack.rnns[0], f"{name}_layer").cell
    h = c = np.zeros(4)
    for t, x_t in enumerate(x[order]):
        candidate = np.tanh((x_t @ cell.kernel.numpy() + h @ cell.recurrent_kernel.numpy() + cell.bias.numpy())[8:12])
        c = maps["forget"][order][t] * c + maps["input"][order][t] * candidate
        h = maps["output"][order][t] * np.tanh(c)
        np.testing.assert_allclose(h, maps["states"][order][t], atol=1e-5)


def test_gru_gates_satisfy_the_recurrence():
    stack = RecurrentStack("gru", 4, seed=2)
    x = RNG.normal(size=(7, 3)).astype(np.float32)
    stack.build((None, None, 3))
    cell = stack.rnns[0].cell
    cell.bias.assign(RNG.normal(size=cell.bias.shape))
    maps = recurrent_maps(stack, x)
    h = np.zeros(4)
    for t, x_t in enumerate(x):
        read = (x_t @ cell.kernel.numpy() + cell.bias.numpy()[0])[8:]
        kept = (h @ cell.recurrent_kernel.numpy() + cell.bias.numpy()[1])[8:]
        candidate = np.tanh(read + maps["reset"][t] * kept)
        h = maps["update"][t] * h + (1 - maps["update"][t]) * candidate
        np.testing.assert_allclose(h, maps["states"][t], atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "backward "])
def test_the_busiest_units_in_the_order_of_their_peaks(prefix):
    states = np.zeros([4, 5])
    states[3, 0], states[1, 2], states[:, 3], states[2, 4] = 0.9, -0.8, 0.5, 0.1  # unit 3 is large, and never moves
    gates = np.arange(20.0).reshape(4, 5)
    maps = {"shares": np.zeros(4), f"{prefix}states": states, f"{prefix}forget": gates}
    found = busiest(maps, 3)
    assert list(found) == [f"{prefix}states", f"{prefix}forget"]
    np.testing.assert_array_equal(found[f"{prefix}states"], states[:, [2, 4, 0]])
    np.testing.assert_array_equal(found[f"{prefix}forget"], gates[:, [2, 4, 0]])


def test_an_lstm_with_pooling_is_complete():
    stack = RecurrentStack("lstm", 8, bidirectional=True, seed=3)
    dense = keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(stddev=2.0, seed=1))

    def function(points):
        return dense(tf.reduce_max(stack(points, tf.fill([tf.shape(points)[0]], 9))[0], axis=1))[:, 0]

    result = integrated_gradients(function, RNG.normal(size=(9, 5)).astype(np.float32))
    assert result.complete(0.01) and result.gap < 0.02


def test_refuses_what_it_would_misread():
    with pytest.raises(ValueError, match="without residual"):
        recurrent_maps(RecurrentStack("lstm", 4, residual=True), np.zeros([2, 4], np.float32))
