"""Numbers of the cells that are parallel in time: gates that saturate, 100,000 steps, half precision."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from models import recurrent
from models.recurrent import kernels
from tests.models.parallel import LAYERS, WIDTH, close, coefficients, every, reference, results

EXTREMES = [-200.0, -95.0, -60.0, -17.0, -4.0, 0.0, 4.0, 17.0, 60.0, 95.0, 200.0]


@pytest.mark.parametrize(("candidate", "before"), [(0.0, 2.0), (1.0, 0.0)])
@every
def test_gates_keep_their_digits_wherever_they_saturate(kind, candidate, before):
    """Every pair of pre-activations from -200 to 200: what is kept, a h, and what enters, b, each by itself."""
    layer, count = LAYERS[kind](1, return_sequences=True, return_state=True), 2 if kind == "mingru" else 3
    layer.build((None, None, 3))
    weights = [np.eye(3, count), np.zeros(count), np.full(1, 3.0)][: len(layer.get_weights())]
    weights[0][2, count - 1] = 1.0  # the third number is the candidate
    weights[0][1, 1] = float(count > 2)
    layer.set_weights(weights)
    first, second = (grid.ravel() for grid in np.meshgrid(EXTREMES, EXTREMES))
    x = np.stack([first, second, np.full_like(first, candidate)], -1)[:, None]
    if kind == "minlstm":  # all below -80 count as -80
        x = x[np.minimum(first, second) > -80]
    initial = np.full((len(x), 1), before)
    found = results(layer, tf.constant(x, tf.float32), tf.constant(initial, tf.float32))
    assert all(np.all(np.isfinite(r)) for r in found)
    least = 2e-15 if kind == "rglru" else 1e-37  # sqrt(1 - a^2) ends at 1e-15
    # 4e-6: pre-activations of 60 have an absolute error of 4e-6 in single precision.
    np.testing.assert_allclose(found[0], reference(kind, weights, x, initial)[0], rtol=4e-6, atol=least)


def test_gates_that_are_both_shut_have_finite_gradients():
    layer = recurrent.MinLSTM(1, return_sequences=True, return_state=True)
    layer.build((None, None, 3))
    layer.set_weights([np.eye(3), np.zeros(3)])
    found = results(layer, tf.constant([[[-200.0, -200.0, 1.0]]]), tf.constant([[2.0]]))
    np.testing.assert_allclose(found[0], [[[1.5]]])
    assert all(np.all(np.isfinite(r)) for r in found)


def long_sequence(kind, gate, time):
    """Noise through gates that keep almost all, much or little: the loop in double precision is right."""
    layer = LAYERS[kind](2, return_sequences=True, return_state=True)
    layer.build((1, None, 3))
    count = 2 if kind == "mingru" else 3
    kernel = np.repeat(np.eye(3, count), 2, axis=1)
    shift = [gate, 0, 0][:count] if kind != "minlstm" else [-gate, 0, 0]
    layer.set_weights([kernel, np.repeat(shift, 2), np.full(2, 3.0)][: len(layer.get_weights())])
    x = np.random.default_rng(1).normal(size=(1, time, 3)).astype("float32")
    initial = tf.constant([[1.0, -1.0]])
    outputs, final, *gradients = results(layer, tf.constant(x), initial)
    close([outputs, final], reference(kind, layer.get_weights(), x, initial), 1e-4)
    close(gradients, double(kind, layer.get_weights(), x, initial), 1e-4)


@every
def test_ten_thousand_steps_keep_their_digits(kind):
    long_sequence(kind, -12.0, 10_000)


@pytest.mark.slow
@pytest.mark.parametrize("gate", [-12.0, -4.0, 4.0])
@every
def test_a_hundred_thousand_steps_keep_their_digits(kind, gate):
    long_sequence(kind, gate, 100_000)


def double(kind, weights, x, initial):
    """The gradients of `results` by hand-written backpropagation through time, in double precision.

    The derivatives of a and b are central differences of the equations, which need no loop.
    """
    draw = np.random.default_rng(9)
    x, weights = np.asarray(x, "float64"), [w.astype("float64") for w in weights]
    a, b = coefficients(kind, weights, x)
    upstream, final = draw.normal(size=b.shape), 2 * draw.normal(size=b[:, 0].shape)
    states, _ = reference(kind, weights, x, initial)
    before = np.concatenate([np.asarray(initial, "float64")[:, None], states[:, :-1]], 1)
    g, d = np.zeros(b.shape), final
    for t in reversed(range(b.shape[1])):
        g[:, t] = upstream[:, t] + d
        d = a[:, t] * g[:, t]
    slope = slopes(kind, weights, x)
    pre = [g * before * da + g * db for da, db in slope[: 2 if kind == "mingru" else 3]]
    flat = np.concatenate(pre, -1)
    found = [flat @ weights[0].T, d, np.einsum("btd,btg->dg", x, flat), flat.sum((0, 1))]
    return found + [(g * before * da + g * db).sum((0, 1)) for da, db in slope[3:]]


def slopes(kind, weights, x):
    """Derivatives (da, db) by each pre-activation and by the decay, through weights that stand for them."""
    units, found = weights[1].shape[0] // (2 if kind == "mingru" else 3), []
    for place, index in [(1, n) for n in range(weights[1].shape[0] // units)] + [(2, 0)] * (len(weights) > 2):
        sides = []
        for shift in (1e-5, -1e-5):
            moved = [w.copy() for w in weights]
            moved[place][index * units : (index + 1) * units] += shift
            sides.append(coefficients(kind, moved, x))
        found.append(tuple((one - other) / 2e-5 for one, other in zip(*sides, strict=True)))
    return found


def in_half(kind, policy):
    """400 steps that keep almost all: a bfloat16 state would stop where a step adds less than its last bit."""
    half, single = (LAYERS[kind](8, return_sequences=True, dtype=d) for d in (policy, "float32"))
    x = np.abs(np.random.default_rng(0).normal(size=(1, 400, WIDTH))).astype("float32")
    half.build(x.shape), single.build(x.shape)
    weights = single.get_weights()
    weights[1][:8] = 6.0 if kind == "minlstm" else -6.0
    half.set_weights(weights), single.set_weights(weights)
    expected = single(x)
    for context in (kernels.portable, contextlib.nullcontext):
        with context():
            given = tf.function(half)(x)
        assert given.dtype == half.compute_dtype
        np.testing.assert_allclose(tf.cast(given, "float32"), expected, atol=0.005 * np.abs(expected).max())


@every
def test_half_precision_keeps_its_state_in_single(kind):
    in_half(kind, "mixed_bfloat16")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
@every
def test_half_precision_of_all_kinds_keeps_its_state_in_single(kind, policy):
    in_half(kind, policy)
