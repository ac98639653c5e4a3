"""The gradient on its way back through time, measured: how it vanishes, explodes, and what clipping does.

For ``h_t = f(h_{t-1}, x_t)`` the gradient reaches back over k steps as a product of k Jacobians (Bengio et al. 1994;
Pascanu et al. 2013, arXiv 1211.5063, equation 5). Its size therefore falls or grows like a power of k, unless
something, such as the sum in the LSTM's cell (Hochreiter and Schmidhuber 1997), holds the factors near 1.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.recurrent import CELLS

Array = np.ndarray
SMALLEST = float(np.finfo(np.float32).tiny)
"""A gradient below this is 0 for single precision."""


def fresh_layer(
    cell: str, units: int = 64, width: int = 8, gain: float = 1.0, forget_bias: float | None = None, seed: int = 0
) -> Any:
    """Build a recurrent layer as training would begin with it.

    Args:
        cell: ``"lstm"``, ``"gru"`` or ``"simple"``.
        units: H.
        width: D.
        gain: factor of the recurrent weights, which begin orthogonal.
        forget_bias: of the LSTM's forget gate, in place of 1.
        seed: of the first weights.
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
    """Measure how much of the gradient of the last output reaches the states before it.

    With a random direction v of length 1 in every row, this is the norm of d(v . h_T) / d s_{T-k}, where the state s
    is h, or (h, c) together for an LSTM.

    Args:
        layer: a built recurrent Keras layer.
        inputs: float32 [B, T, D].
        seed: of the directions.

    Returns:
        float64 [T], entry k for the state k steps before the last one, 1 for k = 0: the geometric mean over the rows,
        where a norm below ``SMALLEST`` counts as that.
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
            state = [tf.identity(part) for part in state]  # h alone, not what it was computed from beside it
            path.append(state)
        end = tf.reduce_sum(state[0] * direction)
    gradients = tape.gradient(end, path, unconnected_gradients="zero")
    squares = [sum(np.square(part.numpy(), dtype=np.float64).sum(-1) for part in state) for state in gradients[::-1]]
    return np.exp(np.log(np.maximum(np.sqrt(squares), SMALLEST)).mean(-1))


def cliff(
    weight: Any, bias: float = -0.1, steps: int = 30, target: float = 0.5, start: float = 0.5
) -> tuple[Array, Array]:
    """Compute the error of the smallest recurrent network, one unit without input, and its derivative.

    The unit repeats ``h = tanh(w h + b)`` and should end at ``target``; the error is the squared difference. Where the
    two states in which it can settle become one, a tiny change of w changes the end of the path altogether: the error
    has a cliff there (Pascanu et al. 2013, figure 6).

    Args:
        weight: w, float or float array of any shape.
        bias: b.
        steps: T.
        target: where h should be after T steps.
        start: h before the first step.

    Returns:
        error and d error / d w, float64, of the shape of ``weight``.
    """
    w = np.asarray(weight, np.float64)
    h, slope = np.full_like(w, start), np.zeros_like(w)
    for _ in range(steps):
        after = np.tanh(w * h + bias)
        h, slope = after, (1 - after**2) * (h + w * slope)
    return (h - target) ** 2, 2 * (h - target) * slope


def descend(start: float, updates: int, rate: float = 0.05, clip: float = 0.0) -> Array:
    """Follow gradient descent on ``cliff``.

    Args:
        start: the first weight.
        updates: N.
        rate: the learning rate.
        clip: largest absolute gradient, larger ones are shortened to it; 0 never clips.

    Returns:
        float64 [N + 1], the weight before every update and after the last.
    """
    path = [float(start)]
    for _ in range(updates):
        gradient = float(cliff(path[-1])[1])
        gradient = float(np.clip(gradient, -clip, clip)) if clip else gradient
        path.append(path[-1] - rate * gradient)
    return np.array(path)
