"""Measured gradients through time: vanishing, exploding, and clipping.

For ``h_t = f(h_{t-1}, x_t)`` the gradient over k steps is a product of k Jacobians (Bengio et al. 1994; Pascanu et al.
2013, arXiv 1211.5063, equation 5). It shrinks or grows exponentially in k, unless the factors stay near 1, as with the
sum in the LSTM cell (Hochreiter and Schmidhuber 1997).
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.recurrent import CELLS

Array = np.ndarray
SMALLEST = float(np.finfo(np.float32).tiny)
"""Smallest normal float32; smaller gradients count as 0."""


def fresh_layer(
    cell: str, units: int = 64, width: int = 8, gain: float = 1.0, forget_bias: float | None = None, seed: int = 0
) -> Any:
    """Build an untrained recurrent layer.

    Args:
        cell: ``"lstm"``, ``"gru"`` or ``"simple"``.
        units: H.
        width: D.
        gain: factor of the orthogonal initial recurrent weights.
        forget_bias: of the LSTM's forget gate, instead of 1.
        seed: of the initial weights.
    """
    keras.utils.set_random_seed(seed)
    layer: Any = CELLS[cell](units)
    layer.build((None, None, width))
    layer.cell.recurrent_kernel.assign(gain * layer.cell.recurrent_kernel)
    if forget_bias is not None:
        bias = layer.cell.bias.numpy()
        bias[units : 2 * units] = forget_bias
        layer.cell.bias.assign(bias)
    return layer


def state_gradients(layer: Any, inputs: Array, seed: int = 0) -> Array:
    """Measure the gradient of the last output with respect to earlier states.

    For a random unit vector v per row, this is the norm of d(v . h_T) / d s_{T-k}, where the state s is h, or (h, c)
    for an LSTM.

    Args:
        layer: a built recurrent Keras layer.
        inputs: float32 [B, T, D].
        seed: of the random vectors.

    Returns:
        float64 [T], entry k for the state k steps before the last, 1 for k = 0: the geometric mean over the rows, with
        norms of at least ``SMALLEST``.
    """
    draw = np.random.default_rng(seed)
    direction = draw.normal(size=(len(inputs), layer.units))
    direction = (direction / np.linalg.norm(direction, axis=1, keepdims=True)).astype(np.float32)
    with tf.GradientTape() as tape:
        state = layer.get_initial_state(len(inputs))
        tape.watch(state)
        path = []
        for step in np.moveaxis(inputs, 1, 0):
            _, state = layer.cell(tf.constant(step), state)
            state = [tf.identity(part) for part in state]  # separate tensors for h and c
            path.append(state)
        end = tf.reduce_sum(state[0] * direction)
    gradients = tape.gradient(end, path, unconnected_gradients="zero")
    squares = [sum(np.square(part.numpy(), dtype=np.float64).sum(-1) for part in state) for state in gradients[::-1]]
    return np.exp(np.log(np.maximum(np.sqrt(squares), SMALLEST)).mean(-1))


def cliff(
    weight: Any, bias: float = -0.1, steps: int = 30, target: float = 0.5, start: float = 0.5
) -> tuple[Array, Array]:
    """Compute the error of a recurrent network with one unit and no input, and its derivative.

    The unit iterates ``h = tanh(w h + b)``; the error is the squared difference from ``target``. Where its two stable
    states merge, a tiny change of w changes the final state completely: a cliff (Pascanu et al. 2013, figure 6).

    Args:
        weight: w, float or float array of any shape.
        bias: b.
        steps: T.
        target: the desired h after T steps.
        start: the initial h.

    Returns:
        error and d error / d w, float64, with the shape of ``weight``.
    """
    w = np.asarray(weight, np.float64)
    h, slope = np.full_like(w, start), np.zeros_like(w)
    for _ in range(steps):
        after = np.tanh(w * h + bias)
        h, slope = after, (1 - after**2) * (h + w * slope)
    return (h - target) ** 2, 2 * (h - target) * slope


def descend(start: float, updates: int, rate: float = 0.05, clip: float = 0.0) -> Array:
    """Run gradient descent on ``cliff``.

    Args:
        start: the initial weight.
        updates: N.
        rate: the learning rate.
        clip: maximum absolute gradient; 0 does not clip.

    Returns:
        float64 [N + 1], the weight before every update and after the last.
    """
    path = [float(start)]
    for _ in range(updates):
        gradient = float(cliff(path[-1])[1])
        gradient = float(np.clip(gradient, -clip, clip)) if clip else gradient
        path.append(path[-1] - rate * gradient)
    return np.array(path)
