"""The choice of a kernel for each recurrent layer, and the switch that exports use.

Three paths give the same numbers:

- ``cudnn``: what Keras does on a GPU;
- ``fast``: our kernels for TensorFlow on a CPU (``run.py``, compiled by XLA, own gradients), and for recurrences that
  are linear in the state on a GPU too (``scan.py``);
- ``portable``: Keras's own loop; plain operations, so it exports and runs on every backend.
"""

import contextlib
import contextvars
import logging
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

if keras.config.backend() == "tensorflow":
    import tensorflow as tf

    from models.recurrent.kernels import run as kernels_run
    from models.recurrent.kernels import scan as kernels_scan

KINDS = {keras.layers.LSTMCell: "lstm", keras.layers.GRUCell: "gru", keras.layers.SimpleRNNCell: "simple"}

logger = logging.getLogger(__name__)
_portable = contextvars.ContextVar("portable", default=False)
_unmasked = contextvars.ContextVar("unmasked", default=False)
_told: set[tuple[str, str]] = set()


@contextlib.contextmanager
def portable(unmasked: bool = False) -> Iterator[None]:
    """Make recurrent layers use plain operations inside this block: exports trace their graph in it.

    The switch is read when a layer is called, so a ``tf.function`` must be traced inside the block, and a
    SavedModel written inside it too: saving traces again. A graph traced this way holds no XLA, cuDNN or Python
    operations.

    Args:
        unmasked: let ``RecurrentStack`` loop without a mask and without final states: each row is reversed by its
            length for the way back, and padding is zeroed afterwards. The outputs are the same; converters
            recognise such a loop, and have less to do in it.
    """
    tokens = _portable.set(True), _unmasked.set(unmasked)
    try:
        yield
    finally:
        _portable.reset(tokens[0])
        _unmasked.reset(tokens[1])


def is_portable() -> bool:
    """Tell whether the caller is inside a ``portable()`` block."""
    return _portable.get()


def is_unmasked() -> bool:
    """Tell whether the caller is inside a ``portable(unmasked=True)`` block."""
    return _unmasked.get()


def reverse_rows(x: Any, lengths: Any) -> Any:
    """Reverse the first ``lengths[b]`` steps of each row of x [B, T, D]; what follows stays. TensorFlow only."""
    return tf.reverse_sequence(x, lengths, seq_axis=1, batch_axis=0)


def why_portable(layer: Any) -> str | None:
    """Give the reason why a recurrent layer cannot take the fast path, or None when it does."""
    if keras.config.backend() != "tensorflow":
        return f"the Keras backend is {keras.config.backend()}"
    if _portable.get():
        return "an export or portable() asked for plain operations"
    if is_linear(layer):
        return _unusual_call(layer)
    if _has_gpu():
        return "there is a GPU: Keras chooses between cuDNN and its own loop"
    return _unusual(layer)


def is_linear(layer: Any) -> bool:
    """Tell whether a layer's recurrence is linear in the state: its cell names the ``gates`` of `scan`."""
    return hasattr(getattr(layer, "cell", None), "gates")


def _has_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))


def _unusual(layer: Any) -> str | None:
    cell = layer.cell
    if type(cell) not in KINDS:
        return f"its cell is a {type(cell).__name__}"
    if cell.activation is not keras.activations.tanh:
        return "its activation is not tanh"
    if getattr(cell, "recurrent_activation", keras.activations.sigmoid) is not keras.activations.sigmoid:
        return "its recurrent activation is not sigmoid"
    if cell.recurrent_dropout:
        return "it has recurrent dropout"
    return _unusual_call(layer)


def _unusual_call(layer: Any) -> str | None:
    if layer.unroll:
        return "it is unrolled"
    if layer.compute_dtype not in ("float32", "bfloat16", "float16"):
        return f"it computes in {layer.compute_dtype}"
    return None


def takes_fast_path(layer: Any) -> bool:
    """Decide for a layer, and log the first decision of its kind (debug level)."""
    reason = why_portable(layer)
    note = (type(layer).__name__, reason or "fast")
    if note not in _told:
        _told.add(note)
        logger.debug(
            "%s takes the %s path%s", note[0], "portable" if reason else "fast", f": {reason}" if reason else ""
        )
    return reason is None


def describe(layer: Any) -> str:
    """Say in one line which path a layer takes and why, for people: ``fast`` or ``portable: …``."""
    reason = why_portable(layer)
    return "fast" if reason is None else f"portable: {reason}"


def recurrent(layers: Any, x: Any, initial: Any, mask: Any, training: bool) -> list[tuple[Any, list[Any]]]:
    """Run one layer, or the two of a bidirectional pair in one loop, on the fast path.

    Args:
        layers: recurrent Keras layers of one kind and width.
        x: inputs [B, T, D], dropout already applied.
        initial: for each layer its initial states [B, H].
        mask: booleans [B, T] or None.
        training: whether gradients are likely to be asked for; without, they cost one more forward pass.

    Returns:
        for each layer the outputs [B, T, H], single precision, in the time order of the input, and its final states.
    """
    if is_linear(layers[0]):
        return [_scanned(layer, x, states[0], mask) for layer, states in zip(layers, initial, strict=True)]
    weights = [[_float(w) for w in _weights(layer.cell)] for layer in layers]
    plan = kernels_run.Plan(
        cell=_kind(layers[0].cell),
        width=weights[0][0].shape[0],
        units=layers[0].cell.units,
        shapes=tuple(tuple(w.shape) for w in weights[0]),
        backwards=tuple(layer.go_backwards for layer in layers),
        masked=mask is not None,
        zero_masked=mask is not None and layers[0].zero_output_for_mask,
        parts=kernels_run.parts(len(layers), layers[0].cell.units, x.shape[0]),
    )
    states = [[_float(s) for s in states] for states in initial]
    masks = [] if mask is None else [ops.cast(mask, "bool")]
    inputs = {"x": _float(x), "mask": masks, "weights": weights, "initial": states}
    return list(zip(*kernels_run.recurrent(plan, inputs, bool(training)), strict=True))


def _scanned(layer: Any, x: Any, initial: Any, mask: Any) -> tuple[Any, list[Any]]:
    """Run one layer whose recurrence is linear in the state: outputs [B, T, H] and its final state."""
    cell = layer.cell
    plan = kernels_scan.Plan(
        gates=cell.gates,
        units=cell.units,
        params=len(cell.params),
        backwards=layer.go_backwards,
        masked=mask is not None,
        zero_masked=mask is not None and layer.zero_output_for_mask,
        doubling=_has_gpu(),
    )
    bias = ops.zeros(cell.kernel.shape[1:], dtype="float32") if cell.bias is None else _float(cell.bias)
    masks = [] if mask is None else [ops.cast(mask, "bool")]
    params = [_float(p) for p in cell.params]
    outputs, final = kernels_scan.scan(plan, _float(x), _float(cell.kernel), bias, params, _float(initial), masks)
    return outputs, [final]


def _float(x: Any) -> Any:
    return ops.cast(x, "float32")


def _kind(cell: Any) -> str:
    kind = KINDS[type(cell)]
    return "gru_reset_before" if kind == "gru" and not cell.reset_after else kind


def _weights(cell: Any) -> list[Any]:
    bias = cell.bias if cell.use_bias else ops.zeros(_bias_shape(cell), dtype="float32")
    return [cell.kernel, cell.recurrent_kernel, bias]


def _bias_shape(cell: Any) -> tuple[int, ...]:
    width = cell.recurrent_kernel.shape[1]
    return (2, width) if getattr(cell, "reset_after", False) else (width,)
