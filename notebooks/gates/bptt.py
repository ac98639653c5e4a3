"""Backpropagation through time in NumPy, for the simple recurrent network (Elman 1990; Werbos 1990).

Forward: ``h_t = tanh(x_t W + h_{t-1} U + b)``, h_0 = 0. Backward, from the last step to the first, with dh_t the
gradient of the loss with respect to h_t, including the contributions of later steps::

    dz_t     = dh_t * (1 - h_t^2)
    dW      += x_t^T dz_t        dU += h_{t-1}^T dz_t        db += dz_t
    dh_{t-1} = dL/dh_{t-1} + dz_t U^T

Truncation after every k steps (Williams and Peng 1990) drops the last term at the boundaries: states are carried over
to the next part of the sequence, gradients are not.
"""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Weights:
    """Weights of the network, or gradients with respect to them.

    Attributes:
        kernel: W, float [D, H].
        recurrent: U, float [H, H].
        bias: b, float [H].
    """

    kernel: Array
    recurrent: Array
    bias: Array

    def flat(self) -> Array:
        """Return all values as a vector, float [D H + H H + H]."""
        return np.concatenate([self.kernel.ravel(), self.recurrent.ravel(), self.bias])


def forward(weights: Weights, inputs: Array) -> Array:
    """Run the network on inputs float [B, T, D]: states float [B, T, H]."""
    h = np.zeros((len(inputs), len(weights.bias)), inputs.dtype)
    states = []
    for x in np.moveaxis(inputs, 1, 0):
        h = np.tanh(x @ weights.kernel + h @ weights.recurrent + weights.bias)
        states.append(h)
    return np.stack(states, axis=1)


def backward(weights: Weights, inputs: Array, states: Array, output_gradients: Array, truncate: int = 0) -> Weights:
    """Compute the gradients of the weights, summed over all steps.

    Args:
        weights: those of ``forward``.
        inputs: float [B, T, D].
        states: the result of ``forward``, float [B, T, H].
        output_gradients: the direct part of dL/dh_t, float [B, T, H].
        truncate: k, the length of the parts between which no gradient flows, counted from the first step; 0 does not
            truncate.

    Returns:
        dL/dW, dL/dU and dL/db.
    """
    before = np.concatenate([np.zeros_like(states[:, :1]), states[:, :-1]], axis=1)
    kernel, recurrent, bias = (np.zeros_like(part) for part in (weights.kernel, weights.recurrent, weights.bias))
    carried = np.zeros_like(states[:, 0])
    for t in reversed(range(inputs.shape[1])):
        dz = (output_gradients[:, t] + carried) * (1 - states[:, t] ** 2)
        kernel += inputs[:, t].T @ dz
        recurrent += before[:, t].T @ dz
        bias += dz.sum(axis=0)
        carried = dz @ weights.recurrent.T
        if truncate and t % truncate == 0:
            carried = np.zeros_like(carried)
    return Weights(kernel, recurrent, bias)


def last_state(weights: Weights, inputs: Array, truncate: int = 0) -> Weights:
    """Return the gradients of the loss sum(h_T^2) / 2, which depends on the last state only; ``truncate`` as above."""
    states = forward(weights, inputs)
    output_gradients = np.concatenate([np.zeros_like(states[:, :-1]), states[:, -1:]], axis=1)
    return backward(weights, inputs, states, output_gradients, truncate)


def cosine(one: Weights, other: Weights) -> float:
    """Return the cosine similarity of two gradients, over all weights together."""
    a, b = one.flat(), other.flat()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
