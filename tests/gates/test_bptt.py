"""Backpropagation through time by hand against the gradient tape, whole and truncated."""

import numpy as np
import pytest
import tensorflow as tf
from gates.bptt import Weights, backward, cosine, forward, last_state

from models.recurrent import SimpleRNN, portable

RNG = np.random.default_rng(0)
B, T, D, H = 3, 7, 2, 4
X, SCALES = RNG.normal(size=(B, T, D)).astype(np.float32), RNG.normal(size=(B, T, H)).astype(np.float32)


@pytest.fixture(scope="module")
def layer():
    made = SimpleRNN(H, return_sequences=True)
    made.build((None, None, D))
    made.cell.bias.assign(RNG.normal(size=H))
    return made


def close(found: Weights, expected) -> None:
    for part, other in zip((found.kernel, found.recurrent, found.bias), expected, strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-4, atol=1e-5)


def test_equals_the_tape(layer):
    weights = Weights(*layer.get_weights())
    with portable(), tf.GradientTape() as tape:
        outputs = layer(X)
        loss = tf.reduce_sum(outputs * SCALES)
    states = forward(weights, X)
    np.testing.assert_allclose(states, outputs, atol=1e-5)
    close(backward(weights, X, states, SCALES), tape.gradient(loss, layer.trainable_weights))


@pytest.mark.parametrize("truncate", [1, 2, 3, 7, 9])
def test_truncated_equals_the_tape_with_stopped_states(layer, truncate):
    weights = Weights(*layer.get_weights())
    with tf.GradientTape() as tape:
        state, loss = tf.zeros([B, H]), 0.0
        for t in range(T):
            state = tf.stop_gradient(state) if t % truncate == 0 else state
            state, _ = layer.cell(X[:, t], [state])
            loss += tf.reduce_sum(state * SCALES[:, t])
    found = backward(weights, X, forward(weights, X), SCALES, truncate)
    close(found, tape.gradient(loss, layer.trainable_weights))
    whole = backward(weights, X, forward(weights, X), SCALES)
    assert (cosine(found, whole) > 1 - 1e-6) == (truncate >= T)


def test_a_loss_that_reads_the_last_state_alone(layer):
    weights = Weights(*layer.get_weights())
    with portable(), tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(X)[:, -1] ** 2) / 2
    close(last_state(weights, X), tape.gradient(loss, layer.trainable_weights))
    last = forward(weights, X)[:, -1]
    alone = X[:, -1].T @ (last * (1 - last**2))  # seven steps in pieces of three: the last piece is one step
    np.testing.assert_allclose(last_state(weights, X, truncate=3).kernel, alone, rtol=1e-4, atol=1e-5)


def test_cosine_of_gradients():
    one = Weights(np.array([[1.0]]), np.array([[0.0]]), np.array([0.0]))
    other = Weights(np.array([[1.0]]), np.array([[1.0]]), np.array([0.0]))
    assert cosine(one, one) == 1 and cosine(one, other) == pytest.approx(0.5**0.5)
