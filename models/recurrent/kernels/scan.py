"""The linear recurrence h_t = a_t h_{t-1} + b_t over a whole sequence, with its own gradient.

Around it stand two matrix products, one for all steps each way; the loop does one multiplication and one addition a
unit. The gradient g_t of h_t obeys the same recurrence backwards, g_t = dy_t + a_{t+1} g_{t+1}, and then da_t =
g_t h_{t-1}, db_t = g_t (Martin and Cundy 2018, arXiv 1709.04057, section 2.2). What is kept for it are the gates, the
candidates, a and h.

Two ways to solve the recurrence give the same numbers:

- ``loop``: one step after another, compiled by XLA; for a CPU, where T steps of B H numbers cost least in this order;
- ``doubling``: log2(T) passes over the whole sequence (Hillis and Steele 1986); for a GPU, in plain operations.

Single precision, batch-major, time order of the input.
"""

import functools
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from models.recurrent.gates import GATES
from models.recurrent.kernels.loop import kept, matmul, previous, put, refuse_second_derivative

Tensor = Any


@dataclass(frozen=True)
class Plan:
    """What a compiled function depends on, besides the batch and the time of its inputs.

    Attributes:
        gates: key of ``GATES``.
        units: H.
        params: how many weights [H] the gates have beside the pre-activations.
        backwards: it travels from the last step to the first.
        masked: a mask is given.
        zero_masked: outputs at masked steps are zero rather than repeated.
        doubling: solve by doubling rather than by a loop.
    """

    gates: str
    units: int
    params: int
    backwards: bool
    masked: bool
    zero_masked: bool
    doubling: bool

    def signature(self) -> dict[str, Any]:
        """Describe the inputs of `forward`: G products [B, T, H] and biases [H], params, initial, mask [B, T]."""
        count = GATES[self.gates].count
        return {
            "products": [tf.TensorSpec([None, None, self.units])] * count,
            "bias": [tf.TensorSpec([self.units])] * count,
            "params": [tf.TensorSpec([self.units])] * self.params,
            "initial": tf.TensorSpec([None, self.units]),
            "mask": [tf.TensorSpec([None, None], tf.bool)] * self.masked,
        }


def _loop(a: Tensor, b: Tensor, initial: Tensor, backwards: bool) -> tuple[Tensor, Tensor]:
    """Solve h_t = a_t h_{t-1} + b_t step by step: every h [B, T, H], and the last."""
    time = tf.shape(b)[1]

    def body(n: Tensor, h: Tensor, outputs: Tensor) -> Any:
        t = time - 1 - n if backwards else n
        h = a[:, t] * h + outputs[:, t]
        return n + 1, h, put(outputs, h, t)

    # The outputs are written over b: XLA sees that every step reads before it writes.
    _, h, outputs = tf.while_loop(lambda n, *_: n < time, body, (tf.constant(0), initial, b))
    return outputs, h


def _adjoint_loop(a: Tensor, upstream: Tensor, final: Tensor, backwards: bool) -> tuple[Tensor, Tensor]:
    """Solve g_t = dy_t + d_t, d_{t-1} = a_t g_t against the direction of travel: every g, and the last d."""
    time = tf.shape(upstream)[1]

    def body(n: Tensor, d: Tensor, outputs: Tensor) -> Any:
        t = n if backwards else time - 1 - n
        g = upstream[:, t] + d
        return n + 1, a[:, t] * g, put(outputs, g, t)

    start = (tf.constant(0), final, tf.zeros_like(upstream))
    _, d, outputs = tf.while_loop(lambda n, *_: n < time, body, start)
    return outputs, d


def _doubling(a: Tensor, b: Tensor, initial: Tensor, backwards: bool) -> tuple[Tensor, Tensor]:
    """As `_loop`, in log2(T) passes: after pass k, a and b of a step stand for the 2^k steps that end there."""
    axis = [1]
    a, b = (tf.reverse(x, axis) for x in (a, b)) if backwards else (a, b)
    time = tf.shape(b)[1]
    steps = tf.range(time)[None, :, None]

    def body(shift: Tensor, a: Tensor, b: Tensor) -> Any:
        earlier_a, earlier_b = (tf.roll(x, shift, axis=1) for x in (a, b))
        inside = steps >= shift
        return 2 * shift, tf.where(inside, a * earlier_a, a), tf.where(inside, a * earlier_b + b, b)

    _, a, b = tf.while_loop(lambda shift, *_: shift < time, body, (tf.constant(1), a, b))
    h = a * initial[:, None] + b
    final = tf.concat([initial[:, None], h], axis=1)[:, -1]
    return tf.reverse(h, axis) if backwards else h, final


def _adjoint_doubling(a: Tensor, upstream: Tensor, final: Tensor, backwards: bool) -> tuple[Tensor, Tensor]:
    """As `_adjoint_loop`: the recurrence with a of the following step."""
    following = previous(a, tf.ones_like(final), not backwards)
    g, last = _doubling(following, upstream, final, not backwards)
    first = a[:, -1:] if backwards else a[:, :1]
    return g, tf.concat([last[:, None], first * last[:, None]], axis=1)[:, -1]


def _compiled(plan: Plan, function: Any, signature: Any = None) -> Any:
    return tf.function(
        function, jit_compile=None if plan.doubling else True, autograph=False, input_signature=signature
    )


@functools.cache
def forward(plan: Plan) -> Any:
    """Compile the forward pass: inputs of the signature -> outputs [B, T, H], final state, kept.

    Kept, for `backward`, are what the gates keep, a, and h where the outputs are something else.
    """
    gates, solve = GATES[plan.gates], _doubling if plan.doubling else _loop

    def run(inputs: dict[str, Any]) -> Any:
        pre = tuple(p + bias for p, bias in zip(inputs["products"], inputs["bias"], strict=True))
        a, b, ours = gates.coefficients(pre, tuple(inputs["params"]))
        if not plan.masked:
            h, final = solve(a, b, inputs["initial"], plan.backwards)
            return h, final, (ours, a, ())
        real = inputs["mask"][0][:, :, None]
        a, b = tf.where(real, a, tf.ones_like(a)), tf.where(real, b, tf.zeros_like(b))
        h, final = solve(a, b, inputs["initial"], plan.backwards)
        return h * kept(inputs["mask"][0], plan.backwards, plan.zero_masked), final, (ours, a, (h,))

    return _compiled(plan, run, [plan.signature()])


@functools.cache
def backward(plan: Plan) -> Any:
    """Compile the backward pass: the inputs with the last product alone, (what the gates keep, a, h), upstream.

    ``upstream`` are the gradients of the outputs [B, T, H] and of the final state [B, H]; the results are those of the
    G products [B, T, H], of the G biases, of params and of the initial state.
    """
    gates, solve = GATES[plan.gates], _adjoint_doubling if plan.doubling else _adjoint_loop
    sequence, state = tf.TensorSpec([None, None, plan.units]), tf.TensorSpec([None, plan.units])
    inputs_signature = plan.signature() | {"products": [sequence]}

    def run(inputs: dict[str, Any], saved: Any, upstream: Any) -> Any:
        ours, a, h = saved
        dy, final = upstream
        if plan.masked:
            dy = dy * kept(inputs["mask"][0], plan.backwards, plan.zero_masked)
        g, initial = solve(a, dy, final, plan.backwards)
        if plan.masked:
            g = tf.where(inputs["mask"][0][:, :, None], g, tf.zeros_like(g))
        before, candidate = previous(h, inputs["initial"], plan.backwards), inputs["products"][0] + inputs["bias"][-1]
        pre, params = gates.gradients(tuple(ours), candidate, tuple(inputs["params"]), a, g * before, g)
        return pre, [tf.reduce_sum(d, axis=[0, 1]) for d in pre], list(params), initial

    saved_signature = ((sequence,) * gates.kept, sequence, sequence)
    return _compiled(plan, run, [inputs_signature, saved_signature, (sequence, state)])


def scan(
    plan: Plan, x: Tensor, kernel: Tensor, bias: Tensor, params: list[Tensor], initial: Tensor, mask: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Run a layer with its own gradient.

    Args:
        plan: what to compile.
        x: [B, T, D], single precision as all that follows.
        kernel: [D, G H].
        bias: [G H].
        params: weights [H] of the gates.
        initial: [B, H].
        mask: booleans [B, T], or nothing.

    Returns:
        outputs [B, T, H], in the time order of the input, and the final state [B, H].
    """
    structure = (x, kernel, bias, params, initial)

    @tf.custom_gradient
    def call(*flat: Tensor) -> Any:
        inputs = _inputs(plan, *_constant(structure, flat)) | {"mask": mask}
        outputs, final, (ours, a, h) = forward(plan)(inputs)
        saved = (ours, a, h[0] if h else outputs)
        inputs["products"] = inputs["products"][-1:]

        def gradient(*upstream: Tensor) -> Any:
            return _once(plan, tf.nest.pack_sequence_as(structure, flat), inputs, saved, upstream)

        return (outputs, final), gradient

    outputs, final = call(*tf.nest.flatten(structure))
    outputs.set_shape([x.shape[0], x.shape[1], plan.units])
    final.set_shape([x.shape[0], plan.units])
    return outputs, final


def _constant(structure: Any, flat: Any) -> Any:
    """Pack tensors as constants: an eager tape would otherwise look for gradients inside the compiled functions."""
    return tf.nest.pack_sequence_as(structure, [tf.stop_gradient(t) for t in flat])


def _inputs(plan: Plan, x: Tensor, kernel: Tensor, bias: Tensor, params: Any, initial: Tensor) -> dict[str, Any]:
    """Multiply, outside XLA, whose products are slower, and name what `forward` reads."""
    count = GATES[plan.gates].count
    products = [matmul(x, columns) for columns in tf.split(kernel, count, axis=1)]
    return {"products": products, "bias": tf.split(bias, count), "params": params, "initial": initial}


def _once(plan: Plan, given: Any, inputs: Any, saved: Any, upstream: Any) -> Any:
    """Compute the gradients, in the order of the flattened arguments, and refuse to be differentiated again."""
    structure = (given, upstream)

    @tf.custom_gradient
    def call(*flat: Tensor) -> Any:
        (x, kernel, *_), fixed = _constant(structure, flat)
        pre, bias, params, initial = backward(plan)(inputs, saved, fixed)
        dx, dkernel = _products(x, kernel, pre)
        return tf.nest.flatten((dx, dkernel, tf.concat(bias, axis=0), params, initial)), refuse_second_derivative

    return call(*tf.nest.flatten(structure))


def _products(x: Tensor, kernel: Tensor, pre: Any) -> tuple[Tensor, Tensor]:
    """Gradients of x [B, T, D] and of the kernel [D, G H]."""
    flat, rows = [tf.reshape(d, [-1, d.shape[-1]]) for d in pre], tf.reshape(x, [-1, x.shape[-1]])
    columns = tf.split(kernel, len(flat), axis=1)
    dx = tf.add_n([tf.matmul(d, w, transpose_b=True) for d, w in zip(flat, columns, strict=True)])
    return tf.reshape(dx, tf.shape(x)), tf.concat([tf.matmul(rows, d, transpose_a=True) for d in flat], axis=1)
