"""Gates of recurrences that are linear in the state: what they make of an input, and their derivatives.

All of them are h_t = a_t h_{t-1} + b_t, element by element, where a_t and b_t depend on the input x_t alone (Martin and
Cundy 2018, arXiv 1709.04057). Only a sum and a product of each step wait for the step before, so that all else is
computed for the whole sequence at once. One definition serves the kernel, Keras's loop and single steps.

``pre`` are the pre-activations [..., H], linear maps of the input; ``params`` are weights [H] beside them. Everything is
computed in the dtype of ``pre``.
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
"""Least pre-activation that minLSTM tells apart: below, both sigmoids could be 0 and their shares 0 / 0."""


@dataclass(frozen=True)
class Gates:
    """One kind of cell.

    Attributes:
        count: G, pre-activations of a unit.
        coefficients: (pre, params) -> (a, b), each [..., H], with 0 <= a <= 1.
        gradients: (pre, params, a, da, db) -> (gradients of pre, gradients of params); da and db are [B, T, H].
    """

    count: int
    coefficients: Callable[[Tensors, Tensors], tuple[Tensor, Tensor]]
    gradients: Callable[[Tensors, Tensors, Tensor, Tensor, Tensor], tuple[Tensors, Tensors]]


def _mingru(pre: Tensors, params: Tensors) -> tuple[Tensor, Tensor]:
    """Feng et al. 2024, section 3.1: h_t = (1 - z_t) h_{t-1} + z_t c_t, z_t = sigmoid(k_t)."""
    gate, candidate = pre
    # 1 - sigmoid(k) would round everything below 6e-8 to zero.
    return ops.sigmoid(-gate), ops.sigmoid(gate) * candidate


def _mingru_gradients(pre: Tensors, params: Tensors, a: Tensor, da: Tensor, db: Tensor) -> tuple[Tensors, Tensors]:
    gate, candidate = pre
    z = ops.sigmoid(gate)
    return (z * a * (db * candidate - da), db * z), ()


def _shares(pre: Tensors) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sigmoids of forget and input gate, and each divided by their sum."""
    forget, enter = (ops.sigmoid(ops.maximum(gate, LOWEST)) for gate in pre[:2])
    scale = 1 / (forget + enter)
    return forget, enter, forget * scale, enter * scale


def _minlstm(pre: Tensors, params: Tensors) -> tuple[Tensor, Tensor]:
    """Feng et al. 2024, section 3.2: h_t = f' h_{t-1} + i' c_t, f' = f / (f + i), i' = i / (f + i)."""
    _, _, keep, take = _shares(pre)
    return keep, take * pre[2]


def _minlstm_gradients(pre: Tensors, params: Tensors, a: Tensor, da: Tensor, db: Tensor) -> tuple[Tensors, Tensors]:
    forget, enter, keep, take = _shares(pre)
    # keep = sigmoid(log f - log i): both gates act on one difference.
    difference = keep * take * (da - db * pre[2])
    return (difference * (1 - forget), difference * (enter - 1), db * take), ()


def _decays(pre: Tensors, params: Tensors) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The recurrence gate r, the input gate i, log a for r = 1 (De et al. 2024, appendix A), and sqrt(1 - a^2)."""
    recurrence, enter = ops.sigmoid(pre[0]), ops.sigmoid(pre[1])
    slope = -SHARPNESS * ops.softplus(-params[0])
    scale = ops.sqrt(ops.maximum(-ops.expm1(2 * slope * recurrence), LEAST))
    return recurrence, enter, slope, scale


def _rglru(pre: Tensors, params: Tensors) -> tuple[Tensor, Tensor]:
    """De et al. 2024, equations 1 to 4: h_t = a_t h_{t-1} + sqrt(1 - a_t^2) i_t v_t, a_t = sigmoid(L)^(c r_t)."""
    recurrence, enter, slope, scale = _decays(pre, params)
    return ops.exp(slope * recurrence), scale * enter * pre[2]


def _rglru_gradients(pre: Tensors, params: Tensors, a: Tensor, da: Tensor, db: Tensor) -> tuple[Tensors, Tensors]:
    recurrence, enter, slope, scale = _decays(pre, params)
    entered = db * enter
    # Of log a: through a, and through sqrt(1 - a^2), whose derivative is -a^2 / sqrt(1 - a^2).
    log_a = a * (da - entered * pre[2] * a / scale) * recurrence
    passed = entered * scale
    gates = (log_a * slope * (1 - recurrence), passed * pre[2] * (1 - enter), passed)
    return gates, (ops.sum(log_a, axis=(0, 1)) * SHARPNESS * ops.sigmoid(-params[0]),)


GATES = {
    "mingru": Gates(2, _mingru, _mingru_gradients),
    "minlstm": Gates(3, _minlstm, _minlstm_gradients),
    "rglru": Gates(3, _rglru, _rglru_gradients),
}
