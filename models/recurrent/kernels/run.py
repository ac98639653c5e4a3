"""From Keras tensors to the compiled recurrence and back: signatures, compiled functions, custom gradient."""

import functools
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from models.recurrent.kernels import loop
from models.recurrent.kernels.gru import GRU_CELL, RESET_BEFORE_CELL
from models.recurrent.kernels.lstm import LSTM_CELL
from models.recurrent.kernels.simple import SIMPLE_CELL

Tensor = Any
CELLS = {"lstm": LSTM_CELL, "gru": GRU_CELL, "gru_reset_before": RESET_BEFORE_CELL, "simple": SIMPLE_CELL}

# Two halves of the batch pay as soon as the product of a step is worth sharing between cores.
SPLIT_FROM_UNITS = 96


def parts(directions: int, units: int, batch: int | None) -> int:
    """Choose into how many parts to cut the batch: two directions are two chains already."""
    return 2 if directions == 1 and units >= SPLIT_FROM_UNITS and batch != 1 else 1


@dataclass(frozen=True)
class Plan:
    """What a compiled function depends on, besides the batch and the time of its inputs.

    Attributes:
        cell: key of ``CELLS``.
        width: D, features of the input.
        units: H, width of a state.
        shapes: shapes of the weights of one direction.
        backwards: for each direction, whether it travels from the last step to the first.
        masked: a mask is given.
        zero_masked: outputs at masked steps are zero rather than repeated.
        parts: into how many parts the batch is cut.
    """

    cell: str
    width: int
    units: int
    shapes: tuple[tuple[int, ...], ...]
    backwards: tuple[bool, ...]
    masked: bool
    zero_masked: bool
    parts: int

    def signature(self) -> dict[str, Any]:
        """Describe the inputs for ``tf.function``: x [B, T, D], mask [B, T], weights and states [B, H].

        Batch and time stay open, so that one trace serves all.
        """
        state, directions = tf.TensorSpec([None, self.units]), len(self.backwards)
        return {
            "x": tf.TensorSpec([None, None, self.width]),
            "mask": [tf.TensorSpec([None, None], tf.bool)] * self.masked,
            "weights": [[tf.TensorSpec(s) for s in self.shapes]] * directions,
            "initial": [[state] * CELLS[self.cell].states] * directions,
        }

    def chains(self, inputs: dict[str, Any]) -> list[loop.Chain]:
        """Cut the inputs into chains [B / parts, T, D]: every part of the first direction, then of the second."""
        xs = loop.cut(inputs["x"], self.parts)
        masks = loop.cut(inputs["mask"][0], self.parts) if self.masked else [None] * self.parts
        chains = []
        for back, weights, initial in zip(self.backwards, inputs["weights"], inputs["initial"], strict=True):
            states = zip(*(loop.cut(s, self.parts) for s in initial), strict=True)
            parts = zip(xs, masks, states, strict=True)
            chains += [loop.Chain(back, x, mask, weights, state) for x, mask, state in parts]
        return chains

    def join(self, parts: list[Tensor]) -> list[Tensor]:
        """Put the parts [B / parts, ...] of each direction together again along the batch: one [B, ...] a direction."""
        groups = [parts[n : n + self.parts] for n in range(0, len(parts), self.parts)]
        return [tf.concat(g, axis=0) if len(g) > 1 else g[0] for g in groups]

    def kept(self, inputs: dict[str, Any], direction: int) -> Tensor:
        """Weigh the outputs [B, T, H] of a direction: 1 where they are the state, 0 where Keras gives zero."""
        return loop.kept(inputs["mask"][0], self.backwards[direction], self.zero_masked)


@functools.cache
def forward(plan: Plan, save: bool) -> Any:
    """Compile the forward pass: inputs -> outputs [B, T, H] and final states per direction, arrays per chain.

    The arrays are for ``backward``, and only with ``save``.
    """
    cell = CELLS[plan.cell]

    def run(inputs: dict[str, Any]) -> Any:
        chains = plan.chains(inputs)
        carries = loop.run([loop.forward(cell, c, save) for c in chains], tf.shape(inputs["x"])[1])
        outputs = plan.join([arrays[0] for _, arrays, _ in carries])
        if plan.masked:
            outputs = [y * plan.kept(inputs, d) for d, y in enumerate(outputs)]
        states = [plan.join([c[0][n] for c in carries]) for n in range(cell.states)]
        rest = [arrays if save else spare for _, arrays, spare in carries]
        return outputs, list(zip(*states, strict=True)), rest

    return tf.function(run, jit_compile=True, autograph=False, input_signature=[plan.signature()])


@functools.cache
def backward(plan: Plan) -> Any:
    """Compile the backward pass: inputs, arrays, gradients of outputs and final states -> of x, weights, initial.

    The gradients of the outputs are [B, T, H] for each direction, of the final states [B, H]; those returned have the
    shapes of what they belong to.
    """
    cell = CELLS[plan.cell]

    def run(inputs: dict[str, Any], arrays: Any, upstream: Any, final: Any) -> Any:
        chains = plan.chains(inputs)
        if plan.masked:
            upstream = [dy * plan.kept(inputs, d) for d, dy in enumerate(upstream)]
        upstream = [part for dy in upstream for part in loop.cut(dy, plan.parts)]
        final = [s for states in final for s in zip(*(loop.cut(s, plan.parts) for s in states), strict=True)]
        ready = [loop.factors(cell, chain, saved) for chain, saved in zip(chains, arrays, strict=True)]
        steps = [
            loop.backward(cell, chain, factors, dy, states)
            for chain, (factors, _), dy, states in zip(chains, ready, upstream, final, strict=True)
        ]
        return _collect(plan, chains, ready, loop.run(steps, tf.shape(inputs["x"])[1]))

    return tf.function(run, jit_compile=True, autograph=False)


def _collect(plan: Plan, chains: list[loop.Chain], ready: list[Any], carries: list[Any]) -> Any:
    """Turn what the backward loop recorded into gradients of x, of the weights and of the initial states."""
    cell = CELLS[plan.cell]
    grads = [
        cell.gradients(chain.x, h, record, factors, chain.weights)
        for chain, (factors, h), (_, record) in zip(chains, ready, carries, strict=True)
    ]
    dx = tf.add_n(plan.join([g[0] for g in grads]))
    weights = [g[1] for g in grads]
    groups = [weights[n : n + plan.parts] for n in range(0, len(weights), plan.parts)]
    d_weights = [[tf.add_n(list(w)) for w in zip(*group, strict=True)] for group in groups]
    states = [plan.join([states[n] for states, _ in carries]) for n in range(cell.states)]
    return dx, d_weights, list(zip(*states, strict=True))


def recurrent(plan: Plan, inputs: dict[str, Any], training: bool) -> tuple[Any, Any]:
    """Run a layer in one or two directions with its own gradient.

    Args:
        plan: what to compile.
        inputs: as ``Plan.signature``, single precision.
        training: keep what the backward pass needs; otherwise it is computed again if gradients are asked for.

    Returns:
        outputs [B, T, H] for each direction, in the time order of the input, and its final states [B, H].
    """
    mask = inputs["mask"]
    free = {k: v for k, v in inputs.items() if k != "mask"}

    @tf.custom_gradient
    def call(*flat: Tensor) -> Any:
        packed = {**_constant(free, flat), "mask": mask}
        outputs, states, arrays = forward(plan, training)(packed)

        def gradient(*upstream: Tensor) -> Any:
            kept = arrays if training else forward(plan, True)(packed)[2]
            given = tf.nest.pack_sequence_as((outputs, states), upstream)
            inputs = {**tf.nest.pack_sequence_as(free, flat), "mask": mask}
            return _once(plan, inputs, kept, *given)

        return tf.nest.flatten((outputs, states)), gradient

    result = call(*tf.nest.flatten(free))
    cell, directions = CELLS[plan.cell], len(plan.backwards)
    finals = result[directions:]
    return result[:directions], [finals[d * cell.states : (d + 1) * cell.states] for d in range(directions)]


def _constant(structure: Any, flat: Any) -> Any:
    """Pack tensors as constants: an eager tape would otherwise look for gradients inside the compiled functions."""
    return tf.nest.pack_sequence_as(structure, [tf.stop_gradient(t) for t in flat])


def _once(plan: Plan, inputs: dict[str, Any], arrays: Any, upstream: Any, final: Any) -> Any:
    """Compute the gradients, in the order of the flattened inputs, and refuse to be differentiated again."""

    @tf.custom_gradient
    def call(*flat: Tensor) -> Any:
        dx, weights, initial = backward(plan)(*_constant((inputs, arrays, upstream, final), flat))
        return tf.nest.flatten({"x": dx, "weights": weights, "initial": initial}), loop.refuse_second_derivative

    return call(*tf.nest.flatten((inputs, arrays, upstream, final)))
