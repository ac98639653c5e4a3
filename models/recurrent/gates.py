"""Gates of recurrences that are linear in the state: what they make of an input, and their derivatives.

All of them are h_t = a_t h_{t-1} + b_t, element by element, where a_t and b_t depend on the input x_t alone (Martin and
Cundy 2018, arXiv 1709.04057). Only a sum and a product of each step wait for the step before, so that all else is
computed for the whole sequence at once. One definition serves the kernel, Keras's loop and single steps.

``pre`` are the pre-activations [..., H], linear maps of the input; ``params`` are weights [H] beside them. Everything
is computed in the dtype of ``pre``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops

Tensor = Any
Tensors = tuple[Any, ...]

SHARPNESS = 8.0
"""c of De et al. 2024, equation 3."""
LEAST = 1e-30
"""Least 1 - a^2 in RG-LRU, so that its square root always has a finite derivative."""
LOWEST = -80.0
"""Least pre-activation that minLSTM tells apart: below -88 exp(-k) is infinite, and the shares inf / inf."""


@dataclass(frozen=True)
class Gates:
    """One kind of cell.

    Attributes:
        count: G, pre-activations of a unit; the last is the candidate, what may enter the state.
        kept: how many tensors `gradients` needs of `coefficients`.
        coefficients: (pre, params) -> (a, b, kept), all [..., H], with 0 <= a <= 1.
        gradients: (kept, candidate, params, a, da, db) -> (gradients of pre, gradients of params), all [B, T, H] but
            params.
    """

    count: int
    kept: int
    coefficients: Callable[[Tensors, Tensors], tuple[Tensor, Tensor, Tensors]]
    gradients: Callable[[Tensors, Tensor, Tensors, Tensor, Tensor, Tensor], tuple[Tensors, Tensors]]


def _mingru(pre: Tensors, params: Tensors) -> tuple[Tensor, Tensor, Tensors]:
    """Feng et al. 2024, section 3.1: h_t = (1 - z_t) h_{t-1} + z_t c_t, z_t = sigmoid(k_t)."""
    gate, candidate = pre
    z = ops.sigmoid(gate)
    # 1 - z would round everything below 6e-8 to zero.
    return ops.sigmoid(-gate), z * candidate, (z,)


def _mingru_gradients(
    kept: Tensors, candidate: Tensor, params: Tensors, a: Tensor, da: Tensor, db: Tensor
) -> tuple[Tensors, Tensors]:
    (z,) = kept
    return (z * a * (db * candidate - da), db * z), ()


def _minlstm(pre: Tensors, params: Tensors) -> tuple[Tensor, Tensor, Tensors]:
    """Feng et al. 2024, section 3.2: h_t = f' h_{t-1} + i' c_t, f' = f / (f + i), i' = i / (f + i).

    With f = 1 / (1 + e_f) and i = 1 / (1 + e_i), e = exp(-k), f' = (1 + e_i) / (2 + e_f + e_i): two exponentials and no
    sigmoid, which XLA would bring to memory as well.
    """
    forget, enter = (ops.exp(-ops.maximum(gate, LOWEST)) for gate in pre[:2])
    total = 2 + forget + enter
    return (1 + enter) / total, (1 + forget) / total * pre[2], (forget, enter)


def _minlstm_gradients(
    kept: Tensors, candidate: Tensor, params: Tensors, a: Tensor, da: Tensor, db: Tensor
) -> tuple[Tensors, Tensors]:
    forget, enter = kept
    share = (1 + forget) / (2 + forget + enter)
    # f' = sigmoid(log f - log i): both gates act on one difference, by 1 - f = e_f / (1 + e_f) and 1 - i.
    difference = a * share * (da - db * candidate)
    return (difference * (forget / (1 + forget)), -difference * (enter / (1 + enter)), db * share), ()


def _rglru(pre: Tensors, params: Tensors) -> tuple[Tensor, Tensor, Tensors]:
    """De et al. 2024, equations 1 to 4: h_t = a_t h_{t-1} + sqrt(1 - a_t^2) i_t v_t, a_t = sigmoid(L)^(c r_t).

    log a = -c softplus(-L) r (appendix A). With t = tanh(log a), 1 - a^2 = -2 t / (1 - t): no difference of nearly
    equal numbers. It is what expm1 gives, which converters do not know or replace by exp(x) - 1.
    """
    recurrence, enter = ops.sigmoid(pre[0]), ops.sigmoid(pre[1])
    log_a = _slope(params) * recurrence
    tangent = ops.tanh(log_a)
    scale = ops.sqrt(ops.maximum(-2 * tangent / (1 - tangent), LEAST))
    return ops.exp(log_a), scale * enter * pre[2], (recurrence, enter, scale)


def _slope(params: Tensors) -> Tensor:
    return -SHARPNESS * ops.softplus(-params[0])


def _rglru_gradients(
    kept: Tensors, candidate: Tensor, params: Tensors, a: Tensor, da: Tensor, db: Tensor
) -> tuple[Tensors, Tensors]:
    recurrence, enter, scale = kept
    # Of log a: through a, and through sqrt(1 - a^2), whose derivative is -a^2 / sqrt(1 - a^2).
    slope = a * (da - db * enter * candidate * a / scale) * recurrence
    passed = db * enter * scale
    gates = (slope * _slope(params) * (1 - recurrence), passed * candidate * (1 - enter), passed)
    return gates, (ops.sum(slope, axis=(0, 1)) * SHARPNESS * ops.sigmoid(-params[0]),)


GATES = {
    "mingru": Gates(2, 1, _mingru, _mingru_gradients),
    "minlstm": Gates(3, 2, _minlstm, _minlstm_gradients),
    "rglru": Gates(3, 3, _rglru, _rglru_gradients),
}
