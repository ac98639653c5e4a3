"""Gradients through time against closed forms; the cliff against differences."""

import numpy as np
import pytest
from gates.gradients import SMALLEST, cliff, descend, fresh_layer, state_gradients

UNITS, STEPS = 6, 8


def built(cell, **changes):
    return fresh_layer(cell, UNITS, 3, **changes)


@pytest.mark.parametrize("gain", [0.8, 1.3])
def test_an_orthogonal_network_at_rest_scales_by_its_gain(gain):
    # Without input every state is 0, where tanh has slope 1: each step multiplies by gain times an orthogonal matrix.
    found = state_gradients(built("simple", gain=gain), np.zeros([2, STEPS, 3], np.float32))
    np.testing.assert_allclose(found, gain ** np.arange(STEPS), rtol=1e-4)


@pytest.mark.parametrize("bias", [-1.0, 4.0])
def test_gates_that_see_nothing_scale_by_themselves(bias):
    gate = 1 / (1 + np.exp(-bias))
    gru, lstm = built("gru"), built("lstm")
    zeros = [np.zeros(weight.shape, np.float32) for weight in gru.get_weights()]
    zeros[2][0, :UNITS] = bias  # update gate: h_t = z h_{t-1} + (1 - z) candidate
    gru.set_weights(zeros)
    x = np.ones([2, STEPS, 3], np.float32)
    np.testing.assert_allclose(state_gradients(gru, x), gate ** np.arange(STEPS), rtol=1e-4)
    zeros = [np.zeros(weight.shape, np.float32) for weight in lstm.get_weights()]
    zeros[2][UNITS : 2 * UNITS] = bias  # forget gate; the output gate is 1/2, and the way back leads over c alone
    lstm.set_weights(zeros)
    expected = np.where(np.arange(STEPS) == 0, 1, 0.5 * gate ** np.arange(STEPS))
    np.testing.assert_allclose(state_gradients(lstm, x), expected, rtol=1e-4)


def test_a_gradient_that_is_gone_is_the_smallest_number():
    found = state_gradients(built("simple", gain=0.0), np.zeros([1, 3, 3], np.float32))
    assert found[0] == pytest.approx(1)
    np.testing.assert_allclose(found[1:], SMALLEST)


def test_a_fresh_layer_repeats_and_takes_its_forget_bias():
    one, same, other = built("lstm"), built("lstm", forget_bias=3.0), built("lstm", seed=1)
    np.testing.assert_array_equal(one.cell.kernel, same.cell.kernel)
    assert (one.cell.kernel.numpy() != other.cell.kernel.numpy()).all()
    np.testing.assert_array_equal(same.cell.bias, np.repeat([0, 3, 0, 0], UNITS))
    assert np.linalg.norm(built("simple", gain=2.0).cell.recurrent_kernel, 2) == pytest.approx(2, rel=1e-5)


def test_the_cliff_has_the_slope_of_its_differences():
    weights = np.array([[0.3, 1.2], [1.26, 1.7]])
    error, slope = cliff(weights)
    assert error.shape == slope.shape == (2, 2)
    differences = (cliff(weights + 1e-6)[0] - cliff(weights - 1e-6)[0]) / 2e-6
    np.testing.assert_allclose(slope, differences, rtol=1e-4, atol=1e-7)
    steepest = np.abs(cliff(np.linspace(1, 1.5, 1000))[1]).max()
    assert steepest > 50 * abs(cliff(1.7)[1])


def test_clipping_keeps_descent_at_the_foot_of_the_cliff():
    for start in np.linspace(1.5, 1.9, 9):
        clipped = descend(start, 200, clip=0.5)
        assert len(clipped) == 201 and clipped[0] == start
        assert (cliff(clipped[-50:])[0] < 0.02).all()
        assert np.abs(np.diff(clipped)).max() <= 0.05 * 0.5 + 1e-12
    thrown = np.abs(np.diff(descend(1.6, 200))).max()
    assert thrown > 0.5
