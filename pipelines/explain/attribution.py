"""Integrated gradients over the steps of a sequence, and states and gates of recurrent layers.

Independent of tasks: takes a function of an embedded sequence, returns NumPy arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from models.recurrent.kernels import portable
from models.recurrent.linear import LinearCell

Array = np.ndarray
_POINTS = 32  # of the quadrature in one segment of the path, evaluated as one batch


@dataclass(frozen=True)
class Attribution:
    """Contribution of each step of a sequence to the change of an output from a baseline.

    Attributes:
        values: float64 [T]; positive where the step raised the output.
        start: the output at the baseline.
        end: the output at the input.
        points: number of gradient evaluations along the path.
    """

    values: Array
    start: float
    end: float
    points: int

    @property
    def gap(self) -> float:
        """The completeness error |sum of values - (end - start)|, relative to |end - start|."""
        change = self.end - self.start
        return float(abs(self.values.sum() - change) / max(abs(change), 1e-12))

    def complete(self, tolerance: float) -> bool:
        """Return whether the completeness error is within ``tolerance``, or below 1e-4 in absolute terms."""
        change = self.end - self.start
        return bool(abs(self.values.sum() - change) <= max(tolerance * abs(change), 1e-4))


def integrated_gradients(
    function: Callable[[Any], Any],
    inputs: Array,
    baseline: Array | None = None,
    tolerance: float = 0.01,
    most_segments: int = 64,
) -> Attribution:
    """Attribute ``function(inputs) - function(baseline)`` to the steps of the input.

    Integrated gradients (Sundararajan et al. 2017, equation 1), summed over the features of a step. The integral uses a
    Gauss-Legendre rule in each of 1, 2, 4, ... segments of the path, until completeness holds.

    Args:
        function: differentiable, float32 [N, T, D] -> [N], independently for each row.
        inputs: float32 [T, D].
        baseline: float32 [T, D], the start of the path; zeros when omitted.
        tolerance: allowed relative completeness error.
        most_segments: maximum number of segments; see ``gap`` for the remaining error.
    """
    inputs = np.asarray(inputs, np.float32)
    baseline = np.zeros_like(inputs) if baseline is None else np.asarray(baseline, np.float32)
    gradient = _mean_gradient(function, inputs.shape)
    roots, weights = np.polynomial.legendre.leggauss(_POINTS)
    ends = tf.stack([baseline, inputs] + [inputs] * (_POINTS - 2))
    with portable():
        start, end = (float(value) for value in gradient(ends, np.zeros(_POINTS, np.float32))[1][:2])
        segments = 1
        while True:
            total = np.zeros_like(inputs, np.float64)
            for segment in range(segments):
                alpha = ((segment + (roots + 1) / 2) / segments).astype(np.float32)[:, None, None]
                shares = (weights / (2 * segments)).astype(np.float32)
                total += gradient(baseline + alpha * (inputs - baseline), shares)[0].numpy()
            values = (total * (inputs.astype(np.float64) - baseline)).sum(-1)
            result = Attribution(values, start, end, segments * _POINTS)
            if result.complete(tolerance) or segments * 2 > most_segments:
                return result
            segments *= 2


def _mean_gradient(function: Callable[[Any], Any], shape: tuple[int, ...]) -> Callable[..., Any]:
    """Compile (points [N, T, D], shares [N]) -> (sum of weighted gradients [T, D], outputs [N])."""

    @tf.function(input_signature=[tf.TensorSpec([_POINTS, *shape]), tf.TensorSpec([_POINTS])], autograph=False)
    def gradient(points: Any, shares: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(points)
            outputs = tf.cast(function(points), tf.float32)
        return tf.einsum("n,ntd->td", shares, tape.gradient(outputs, points)), outputs

    return gradient


def recurrent_maps(stack: Any, inputs: Array) -> dict[str, Array]:
    """Record states and gates of the top layer of a ``RecurrentStack`` for one sequence.

    Args:
        stack: built, without residual connections and layer normalisation.
        inputs: float32 [T, D], the input of the first layer.

    Returns:
        float32 [T, H] each: ``states``, and the gates of its cell (LSTM: ``input``, ``forget``, ``output``; GRU:
        ``update``, ``reset``). For bidirectional layers, names begin with ``forward `` or ``backward ``.

    Raises:
        ValueError: the stack has residual connections or layer normalisation.
    """
    if stack.residual or stack.layer_norm:
        raise ValueError("recurrent_maps: expected a stack without residual connections and layer normalisation")
    x = tf.constant(inputs, tf.float32)[None]
    with portable():
        for rnn in stack.rnns[:-1]:
            x = tf.cast(rnn(x)[0], tf.float32)
        top = stack.rnns[-1]
        outputs = tf.cast(top(x)[0], tf.float32).numpy()[0]
    read = x.numpy()[0]
    if not stack.bidirectional:
        return _cell_maps(top.cell, read, outputs)
    forward = _cell_maps(top.forward_layer.cell, read, outputs[:, : stack.units])
    backward = _cell_maps(top.backward_layer.cell, read[::-1], outputs[::-1, stack.units :])
    named = {f"forward {name}": values for name, values in forward.items()}
    return named | {f"backward {name}": values[::-1] for name, values in backward.items()}


def busiest(maps: dict[str, Array], count: int) -> dict[str, Array]:
    """Select the ``count`` units whose states vary most, ordered by the step of their largest absolute state.

    ``maps`` is the result of ``recurrent_maps``; other maps are dropped. Returns float32 [T, count] each, with the same
    units in all maps of one direction.
    """
    chosen: dict[str, Array] = {}
    for name, states in maps.items():
        if name.endswith("states"):
            moved = np.argsort(np.ptp(states, axis=0))[-count:]
            units = moved[np.argsort(np.abs(states[:, moved]).argmax(axis=0), kind="stable")]
            direction = name.removesuffix("states")
            same = [key for key in maps if key.rpartition(" ")[0] == direction.rstrip()]
            chosen |= {key: maps[key][:, units] for key in same if maps[key].ndim == 2}
    return chosen


def _cell_maps(cell: Any, inputs: Array, states: Array) -> dict[str, Array]:
    """Gates of one direction from its inputs [T, D] and states [T, H], without a loop; none of linear recurrences."""
    if isinstance(cell, LinearCell):
        return {"states": states}
    kernel, recurrent = (weight.numpy() for weight in (cell.kernel, cell.recurrent_kernel))
    before = np.vstack([np.zeros_like(states[:1]), states[:-1]])
    bias = cell.bias.numpy() if cell.use_bias else np.zeros(kernel.shape[1], np.float32)
    kind = type(cell).__name__
    maps = {"states": states}
    if kind == "LSTMCell":
        gates = np.split(inputs @ kernel + before @ recurrent + bias, 4, axis=-1)
        maps |= {"input": _sigmoid(gates[0]), "forget": _sigmoid(gates[1]), "output": _sigmoid(gates[3])}
    elif kind == "GRUCell":
        gates = np.split(inputs @ kernel + before @ recurrent + np.sum(np.atleast_2d(bias), 0), 3, axis=-1)
        maps |= {"update": _sigmoid(gates[0]), "reset": _sigmoid(gates[1])}
    return maps


def _sigmoid(x: Array) -> Array:
    return 0.5 * np.tanh(0.5 * x) + 0.5
