"""The compiled recurrence: one loop that carries several independent chains, forward and backward.

A chain is a part of the batch in one direction. Chains share a loop body but no data, so while one of them
waits in its matrix product the other does its element-wise work: both cores stay busy without a thread being
put to sleep and woken at every step. A bidirectional layer has two chains by nature; a wide layer in one
direction is cut in two halves of the batch.

Everything here runs inside XLA in single precision, batch-major, with the time order of the input; a chain that
runs backwards counts its steps from the end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

Tensor = Any


@dataclass(frozen=True)
class Cell:
    """The mathematics of one kind of recurrent layer; G is the width of its projected input, H of its state.

    Attributes:
        states: how many states [B, H] it carries; the first is the output h.
        project: (x [B, T, D], weights) -> z [B, T, G], all that does not depend on the state.
        prepare: weights -> what the forward steps need of the recurrent weights.
        step: (z_t [B, G], states, prepared) -> (new states, tensors that the backward pass needs).
        saved: widths of those tensors, in units of H.
        coefficients: (saved [B, T, .], states and previous states [B, T, H]) -> factors [B, T, .] of the
            backward recurrence; the first holds all that leads to the weights, and is zeroed at masked steps.
        transpose: weights -> what the backward steps need of the recurrent weights.
        back: (gradients of the states, factors of the step, transposed) -> (record [B, .], gradients before it).
        record: width of that record, in units of H.
        gradients: (x, previous h, record, factors, weights) -> gradients of x and of the weights.
        surface: in inference too, bring the saved tensors of a step to memory: else XLA fuses a whole GRU step into one
            loop that it does not vectorise, at twice the time.
        in_place: the record may be written over the first of the factors, which is as wide; only where XLA sees that
            every step reads before it writes: else it copies the whole array at every step.
    """

    states: int
    project: Callable[..., Tensor]
    prepare: Callable[..., Any]
    step: Callable[..., Any]
    saved: tuple[int, ...]
    coefficients: Callable[..., Any]
    transpose: Callable[..., Any]
    back: Callable[..., Any]
    record: int
    gradients: Callable[..., Any]
    surface: bool = False
    in_place: bool = False


def put(array: Tensor, value: Tensor, t: Tensor) -> Tensor:
    """Write ``value`` [B, W] at step t of ``array`` [B, T, W], in place where XLA sees that it can."""
    return gen_xla_ops.xla_dynamic_update_slice(array, value[:, None], tf.stack([0, t, 0]))


def previous(sequence: Tensor, initial: Tensor, backwards: bool) -> Tensor:
    """Shift states [B, T, H] by one step in the direction of travel; ``initial`` [B, H] comes first."""
    first = initial[:, None]
    return tf.concat([sequence[:, 1:], first] if backwards else [first, sequence[:, :-1]], axis=1)


def matmul(x: Tensor, w: Tensor) -> Tensor:
    """Multiply [B, T, D] by [D, G] as one flat product -> [B, T, G]."""
    shape = tf.shape(x)
    return tf.reshape(tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), w), [shape[0], shape[1], w.shape[-1]])


def weight_gradients(x: Tensor, h: Tensor, dz: Tensor, recurrent_dz: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over all steps the products x^T dz and h^T dz: gradients of the kernel and the recurrent kernel.

    x [B, T, D] with dz [B, T, G] gives [D, G]; h [B, T, H] with recurrent_dz [B, T, G] gives [H, G].
    """
    flat = [tf.reshape(a, [-1, a.shape[-1]]) for a in (x, h, dz, recurrent_dz)]
    if dz is recurrent_dz:
        both = tf.matmul(tf.concat(flat[:2], axis=1), flat[2], transpose_a=True)
        return both[: x.shape[-1]], both[x.shape[-1] :]
    return tf.matmul(flat[0], flat[2], transpose_a=True), tf.matmul(flat[1], flat[3], transpose_a=True)


def cut(tensor: Tensor, parts: int) -> list[Tensor]:
    """Cut a tensor [B, ...] into ``parts`` along the batch, equal up to the remainder, which the last part takes."""
    if parts == 1:
        return [tensor]
    size = tf.shape(tensor)[0] // parts
    return [tensor[n * size : (n + 1) * size if n + 1 < parts else None] for n in range(parts)]


def kept(mask: Tensor, backwards: bool, zero_masked: bool) -> Tensor:
    """Tell at which steps the output is the state rather than zero, as 0 and 1, [B, T, 1].

    Keras repeats the last output at a masked step, and gives zero before the first real one; with
    ``zero_masked`` it gives zero at every masked step.
    """
    real = tf.cast(mask, tf.float32)
    if not zero_masked:
        # A running "any" from the side where the chain starts; at most T ones, so the sum is exact.
        real = tf.minimum(tf.cumsum(real, axis=1, reverse=backwards), 1.0)
    return real[:, :, None]


def refuse_second_derivative(*_: Any) -> None:
    """Raise NotImplementedError: the gradient of a gradient of these kernels."""
    raise NotImplementedError(
        "the fast recurrent path has first derivatives only; for second ones call the layers inside "
        "models.recurrent.kernels.portable()"
    )


@dataclass(frozen=True)
class Chain:
    """One part of the batch in one direction.

    Attributes:
        backwards: it travels from the last step to the first.
        x: input [B, T, D].
        mask: booleans [B, T], or None where every step is real.
        weights: kernel, recurrent kernel, bias.
        initial: the states [B, H] before its first step.
    """

    backwards: bool
    x: Tensor
    mask: Tensor | None
    weights: Any
    initial: Any

    def choose(self, t: Tensor, after: Any, before: Any) -> Any:
        """Take ``after`` in the rows where step t is real, ``before`` in the others; both hold states [B, H]."""
        if self.mask is None:
            return after
        real = self.mask[:, t][:, None]
        return tuple(tf.where(real, a, b) for a, b in zip(after, before, strict=True))


def forward(cell: Cell, chain: Chain, save: bool) -> tuple[Any, Any]:
    """Set up a chain: how it takes its n-th step, and what it carries: states, and arrays [B, T, .] to fill.

    The first array holds the outputs h. With ``save`` the other states and what the backward pass needs follow.
    Without, a cell with ``surface`` carries the last step's share of that, which has to leave the compiled function.
    """
    rows, time, units = tf.shape(chain.x)[0], tf.shape(chain.x)[1], chain.initial[0].shape[-1]
    z, prepared = cell.project(chain.x, chain.weights), cell.prepare(chain.weights)
    widths = (1,) * cell.states + cell.saved if save else (1,)
    arrays = tuple(tf.zeros([rows, time, width * units]) for width in widths)

    surface = cell.surface and not save
    spare = tuple(tf.zeros([rows, width * units]) for width in cell.saved) if surface else ()

    def step(n: Tensor, carry: Any) -> Any:
        states, arrays, _ = carry
        t = time - 1 - n if chain.backwards else n
        new, extra = cell.step(z[:, t], states, prepared)
        new = chain.choose(t, new, states)
        values = (*new, *extra)[: len(arrays)]
        arrays = tuple(put(a, v, t) for a, v in zip(arrays, values, strict=True))
        return new, arrays, extra if surface else ()

    return step, (tuple(chain.initial), arrays, spare)


def factors(cell: Cell, chain: Chain, arrays: Any) -> tuple[Any, Tensor]:
    """Prepare all that the backward steps need and that does not depend on them, for all steps at once.

    Returns:
        the factors [B, T, .] of ``cell.coefficients``, the first of them zero at masked steps, and the outputs h
        before each step [B, T, H].
    """
    states, saved = arrays[: cell.states], arrays[cell.states :]
    before = [previous(s, i, chain.backwards) for s, i in zip(states, chain.initial, strict=True)]
    first, *rest = cell.coefficients(saved, states, before)
    if chain.mask is not None:
        first = tf.where(chain.mask[:, :, None], first, tf.zeros_like(first))
    return (first, *rest), before[0]


def backward(cell: Cell, chain: Chain, factors: Any, upstream: Tensor, final: Any) -> tuple[Any, Any]:
    """Set up the backward pass of a chain: how it takes its n-th step, and what it carries.

    It carries the gradients of the states and the record [B, T, .]; ``upstream`` [B, T, H] and ``final`` (each state
    [B, H]) are the gradients of what the chain gave out.
    """
    rows, time, units = tf.shape(upstream)[0], tf.shape(upstream)[1], upstream.shape[-1]
    transposed = cell.transpose(chain.weights)
    start = factors[0] if cell.in_place else tf.zeros([rows, time, cell.record * units])

    def step(n: Tensor, carry: Any) -> Any:
        (dh, *rest), record = carry
        t = n if chain.backwards else time - 1 - n
        grads = (dh + upstream[:, t], *rest)
        first = record if cell.in_place else factors[0]
        value, new = cell.back(grads, tuple(f[:, t] for f in (first, *factors[1:])), transposed)
        return chain.choose(t, new, grads), put(record, value, t)

    return step, (tuple(final), start)


def run(chains: list[tuple[Any, Any]], time: Tensor) -> list[Any]:
    """Take ``time`` steps, a scalar, of all chains inside one loop and return what each carries at the end.

    A chain is its step and what it carries, as `forward` or `backward` sets it up: states [B, H], arrays [B, T, W].
    """

    def body(n: Tensor, carries: Any) -> Any:
        return n + 1, [step(n, carry) for (step, _), carry in zip(chains, carries, strict=True)]

    return tf.while_loop(lambda n, _: n < time, body, (tf.constant(0), [carry for _, carry in chains]))[1]
