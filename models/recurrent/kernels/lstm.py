"""LSTM for the compiled recurrence (Hochreiter and Schmidhuber 1997, with forget gates; gates i, f, g, o).

With sigmoid(x) = tanh(x / 2) / 2 + 1 / 2, halving the i, f and o columns of the weights beforehand leaves one tanh
over all four gates: ``a = tanh(z)``; i, f, o are ``a / 2 + 1 / 2`` and g is its a.
"""

from typing import Any

import tensorflow as tf

from models.recurrent.kernels.loop import Cell, matmul, weight_gradients

Tensor = Any


def _halves(units: int) -> Tensor:
    return tf.concat([tf.fill([2 * units], 0.5), tf.ones([units]), tf.fill([units], 0.5)], axis=0)


def _gates(a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    i, f, g, o = tf.split(a, 4, axis=-1)
    return 0.5 * i + 0.5, 0.5 * f + 0.5, g, 0.5 * o + 0.5


def _project(x: Tensor, weights: Any) -> Tensor:
    kernel, recurrent, bias = weights
    scale = _halves(recurrent.shape[0])
    return matmul(x, kernel * scale) + bias * scale


def _prepare(weights: Any) -> Tensor:
    return weights[1] * _halves(weights[1].shape[0])


def _step(z: Tensor, states: Any, recurrent: Tensor) -> Any:
    h, c = states
    a = tf.tanh(z + tf.matmul(h, recurrent))
    i, f, g, o = _gates(a)
    c = f * c + i * g
    return (o * tf.tanh(c), c), (a,)


def _coefficients(saved: Any, states: Any, before: Any) -> Any:
    i, f, g, o = _gates(saved[0])
    squashed = tf.tanh(states[1])
    gates = [g * i * (1 - i), before[1] * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)]
    return tf.concat(gates, axis=-1), o * (1 - squashed * squashed), f


def _back(grads: Any, factors: Any, transposed: Tensor) -> Any:
    (dh, dc), (gates, to_cell, forget) = grads, factors
    dc = dc + dh * to_cell
    dz = gates * tf.concat([dc, dc, dc, dh], axis=-1)
    return dz, (tf.matmul(dz, transposed), dc * forget)


def _gradients(x: Tensor, h: Tensor, dz: Tensor, factors: Any, weights: Any) -> Any:
    dx = matmul(dz, tf.transpose(weights[0]))
    kernel, recurrent = weight_gradients(x, h, dz, dz)
    return dx, (kernel, recurrent, tf.reduce_sum(dz, axis=[0, 1]))


LSTM_CELL = Cell(
    states=2,
    project=_project,
    prepare=_prepare,
    step=_step,
    saved=(4,),
    coefficients=_coefficients,
    transpose=lambda weights: tf.transpose(weights[1]),
    back=_back,
    record=4,
    gradients=_gradients,
    in_place=True,
)
