"""GRU for the compiled recurrence (Cho et al. 2014; gates z, r and the candidate), in the two forms of Keras.

``GRU_CELL`` resets after the recurrent product (cuDNN's form, two biases): candidate tanh(x_h + r (h U_h + b)).
``RESET_BEFORE_CELL`` resets before it (the paper's form): candidate tanh(x_h + (r h) U_h).
Both then give h' = z h + (1 - z) candidate. The z and r columns are halved for one tanh, as in the LSTM.
"""

from typing import Any

import tensorflow as tf

from models.recurrent.kernels.loop import Cell, matmul, weight_gradients

Tensor = Any


def _halves(units: int) -> Tensor:
    return tf.concat([tf.fill([2 * units], 0.5), tf.ones([units])], axis=0)


def _gates(a: Tensor) -> tuple[Tensor, Tensor]:
    z, r = tf.split(0.5 * a + 0.5, 2, axis=-1)
    return z, r


def _units(weights: Any) -> int:
    return int(weights[1].shape[0])


def _project(x: Tensor, weights: Any) -> Tensor:
    kernel, _, bias = weights
    units, scale = _units(weights), _halves(_units(weights))
    if len(bias.shape) == 2:
        # The recurrent bias of the gates only ever meets the input bias; that of the candidate is reset first.
        bias = bias[0] + tf.concat([bias[1, : 2 * units], tf.zeros([units])], axis=0)
    return matmul(x, kernel * scale) + bias * scale


def _prepare(weights: Any) -> tuple[Tensor, Tensor]:
    units = _units(weights)
    return weights[1] * _halves(units), weights[2][1, 2 * units :]


def _step(x: Tensor, states: Any, prepared: Any) -> Any:
    (h,), (recurrent, bias) = states, prepared
    units = h.shape[-1]
    product = tf.matmul(h, recurrent)
    a = tf.tanh(x[:, : 2 * units] + product[:, : 2 * units])
    z, r = _gates(a)
    inner = product[:, 2 * units :] + bias
    candidate = tf.tanh(x[:, 2 * units :] + r * inner)
    return (candidate + z * (h - candidate),), (a, candidate, inner)


def _coefficients(saved: Any, states: Any, before: Any) -> Any:
    a, candidate, inner = saved
    z, r = _gates(a)
    through = (1 - z) * (1 - candidate * candidate)
    gates = [(before[0] - candidate) * z * (1 - z), through * inner * r * (1 - r), through * r, through]
    return tf.concat(gates, axis=-1), z


def _back(grads: Any, factors: Any, transposed: Tensor) -> Any:
    (dh,), (gates, z) = grads, factors
    units = dh.shape[-1]
    return dh, (tf.matmul(gates[:, : 3 * units] * tf.tile(dh, [1, 3]), transposed) + dh * z,)


def _gradients(x: Tensor, h: Tensor, dh: Tensor, factors: Any, weights: Any) -> Any:
    to_z, to_r, to_inner, to_candidate = tf.split(factors[0], 4, axis=-1)
    dz = tf.concat([to_z * dh, to_r * dh, to_candidate * dh], axis=-1)
    recurrent_dz = tf.concat([to_z * dh, to_r * dh, to_inner * dh], axis=-1)
    kernel, recurrent = weight_gradients(x, h, dz, recurrent_dz)
    bias = tf.stack([tf.reduce_sum(dz, axis=[0, 1]), tf.reduce_sum(recurrent_dz, axis=[0, 1])])
    return matmul(dz, tf.transpose(weights[0])), (kernel, recurrent, bias)


GRU_CELL = Cell(
    states=1,
    project=_project,
    prepare=_prepare,
    step=_step,
    saved=(2, 1, 1),
    coefficients=_coefficients,
    transpose=lambda weights: tf.transpose(weights[1]),
    back=_back,
    record=1,
    gradients=_gradients,
    surface=True,
)


def _prepare_before(weights: Any) -> tuple[Tensor, Tensor]:
    units = _units(weights)
    return 0.5 * weights[1][:, : 2 * units], weights[1][:, 2 * units :]


def _step_before(x: Tensor, states: Any, prepared: Any) -> Any:
    (h,), (gates, inner) = states, prepared
    units = h.shape[-1]
    a = tf.tanh(x[:, : 2 * units] + tf.matmul(h, gates))
    z, r = _gates(a)
    candidate = tf.tanh(x[:, 2 * units :] + tf.matmul(r * h, inner))
    return (candidate + z * (h - candidate),), (a, candidate)


def _coefficients_before(saved: Any, states: Any, before: Any) -> Any:
    a, candidate = saved
    z, r = _gates(a)
    gates = [(before[0] - candidate) * z * (1 - z), before[0] * r * (1 - r), (1 - z) * (1 - candidate * candidate)]
    return tf.concat(gates, axis=-1), z, r


def _transpose_before(weights: Any) -> tuple[Tensor, Tensor]:
    units = _units(weights)
    return tf.transpose(weights[1][:, : 2 * units]), tf.transpose(weights[1][:, 2 * units :])


def _back_before(grads: Any, factors: Any, transposed: Any) -> Any:
    (dh,), (record, z, r), (gates, inner) = grads, factors, transposed
    to_z, to_r, to_candidate = tf.split(record, 3, axis=-1)
    candidate = dh * to_candidate
    reset = tf.matmul(candidate, inner)
    dz = tf.concat([dh * to_z, reset * to_r], axis=-1)
    return tf.concat([dz, candidate], axis=-1), (dh * z + reset * r + tf.matmul(dz, gates),)


def _gradients_before(x: Tensor, h: Tensor, record: Tensor, factors: Any, weights: Any) -> Any:
    units = _units(weights)
    kernel, gates = weight_gradients(x, h, record, record[:, :, : 2 * units])
    flat = [tf.reshape(a, [-1, units]) for a in (factors[2] * h, record[:, :, 2 * units :])]
    recurrent = tf.concat([gates, tf.matmul(*flat, transpose_a=True)], axis=1)
    return matmul(record, tf.transpose(weights[0])), (kernel, recurrent, tf.reduce_sum(record, axis=[0, 1]))


RESET_BEFORE_CELL = Cell(
    states=1,
    project=_project,
    prepare=_prepare_before,
    step=_step_before,
    saved=(2, 1),
    coefficients=_coefficients_before,
    transpose=_transpose_before,
    back=_back_before,
    record=3,
    gradients=_gradients_before,
)
