"""The simple recurrent network for the compiled recurrence (Elman 1990): h' = tanh(x W + h U + b)."""

from typing import Any

import tensorflow as tf

from models.recurrent.kernels.loop import Cell, matmul, weight_gradients

Tensor = Any


def _project(x: Tensor, weights: Any) -> Tensor:
    return matmul(x, weights[0]) + weights[2]


def _step(z: Tensor, states: Any, recurrent: Tensor) -> Any:
    return (tf.tanh(z + tf.matmul(states[0], recurrent)),), ()


def _coefficients(saved: Any, states: Any, before: Any) -> Any:
    return (1 - states[0] * states[0],)


def _back(grads: Any, factors: Any, transposed: Tensor) -> Any:
    dz = grads[0] * factors[0]
    return dz, (tf.matmul(dz, transposed),)


def _gradients(x: Tensor, h: Tensor, dz: Tensor, saved: Any, weights: Any) -> Any:
    kernel, recurrent = weight_gradients(x, h, dz, dz)
    return matmul(dz, tf.transpose(weights[0])), (kernel, recurrent, tf.reduce_sum(dz, axis=[0, 1]))


SIMPLE_CELL = Cell(
    states=1,
    project=_project,
    prepare=lambda weights: weights[1],
    step=_step,
    saved=(),
    coefficients=_coefficients,
    transpose=lambda weights: tf.transpose(weights[1]),
    back=_back,
    record=1,
    gradients=_gradients,
)
