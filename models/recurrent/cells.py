"""Recurrent layers with a fast path on CPU.

``LSTM``, ``GRU``, ``SimpleRNN`` and ``Bidirectional`` are the Keras layers: same options, weights, names and
results; only the loop inside differs. Weights move between ours and the stock layers in both directions.
"""

from typing import Any

import keras
from keras import ops

from models.recurrent import kernels

_register = keras.saving.register_keras_serializable(package="recurrent_pipelines")


def single_mask(mask: Any) -> Any:
    """Return the mask [B, T] that Keras may hand over inside a list."""
    return mask[0] if isinstance(mask, list | tuple) else mask


def fast_inner_loop(layer: Any, sequences: Any, initial_state: Any, mask: Any, training: bool) -> Any:
    """Do what ``keras.layers.RNN.inner_loop`` does with inputs [B, T, D] on the fast path: (last output [B, H], outputs
    [B, T, H], states [B, H])."""
    mask = single_mask(mask)
    states = list(initial_state) if isinstance(initial_state, list | tuple) else [initial_state]
    if training and layer.dropout:
        sequences = sequences * layer.cell.get_dropout_mask(sequences[:, 0, :])[:, None, :]
    ((outputs, finals),) = kernels.recurrent([layer], sequences, [states], mask, training)
    last = outputs[:, 0] if layer.go_backwards else outputs[:, -1]
    if not layer.return_sequences:
        outputs = last[:, None]
    elif layer.go_backwards:
        outputs = ops.flip(outputs, axis=1)
    return last, outputs, list(finals)


@_register
class LSTM(keras.layers.LSTM):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), as ``keras.layers.LSTM``, fast on a CPU."""

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Run the recurrence over inputs [B, T, D]: the last output [B, H], all outputs [B, T, H], final states."""
        if kernels.takes_fast_path(self):
            return fast_inner_loop(self, sequences, initial_state, mask, training)
        if kernels.is_portable():  # past Keras's own attempt at cuDNN, which a graph keeps once there is a GPU
            return super(keras.layers.LSTM, self).inner_loop(sequences, initial_state, single_mask(mask), training)
        return super().inner_loop(sequences, initial_state, mask, training)


@_register
class GRU(keras.layers.GRU):
    """Gated recurrent unit (Cho et al. 2014), as ``keras.layers.GRU``, fast on a CPU."""

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Run the recurrence over inputs [B, T, D]: the last output [B, H], all outputs [B, T, H], final states."""
        if kernels.takes_fast_path(self):
            return fast_inner_loop(self, sequences, initial_state, mask, training)
        if kernels.is_portable():  # past Keras's own attempt at cuDNN, which a graph keeps once there is a GPU
            return super(keras.layers.GRU, self).inner_loop(sequences, initial_state, single_mask(mask), training)
        return super().inner_loop(sequences, initial_state, mask, training)


@_register
class SimpleRNN(keras.layers.SimpleRNN):
    """Elman network (Elman 1990), as ``keras.layers.SimpleRNN``, fast on a CPU."""

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Run the recurrence over inputs [B, T, D]: the last output [B, H], all outputs [B, T, H], final states."""
        if kernels.takes_fast_path(self):
            return fast_inner_loop(self, sequences, initial_state, mask, training)
        return super().inner_loop(sequences, initial_state, mask, training)


_MERGE = {
    "concat": lambda a, b: ops.concatenate([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "ave": lambda a, b: (a + b) / 2,
    "mul": lambda a, b: a * b,
    None: lambda a, b: (a, b),
}


@_register
class Bidirectional(keras.layers.Bidirectional):
    """Two directions over one input, as ``keras.layers.Bidirectional``; both run in one loop on a CPU."""

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        """Run both directions over [B, T, D] and merge their outputs; states of the forward one come first."""
        if not self._runs_in_one_loop(training):
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        pair = [self.forward_layer, self.backward_layer]
        if initial_state is None:
            states = [layer.get_initial_state(ops.shape(sequences)[0]) for layer in pair]
        else:
            half = len(initial_state) // 2
            states = [list(initial_state[:half]), list(initial_state[half:])]
        results = kernels.recurrent(pair, sequences, states, single_mask(mask), bool(training))
        outputs = [
            ops.cast(self._output(layer, y), self.compute_dtype) for layer, (y, _) in zip(pair, results, strict=True)
        ]
        merged = _MERGE[self.merge_mode](*outputs)
        if not self.return_state:
            return merged
        finals = tuple(ops.cast(s, self.compute_dtype) for _, states in results for s in states)
        return (merged if self.merge_mode is None else (merged,)) + finals

    def _output(self, layer: Any, y: Any) -> Any:
        if self.return_sequences:
            return y
        return y[:, 0] if layer.go_backwards else y[:, -1]

    def _runs_in_one_loop(self, training: bool | None) -> bool:
        """Tell whether both layers are ours, alike, and free of what the shared loop does not do."""
        one, two = self.forward_layer, self.backward_layer
        if type(one) is not type(two) or not (type(one) in (LSTM, GRU, SimpleRNN) or kernels.is_linear(one)):
            return False
        shared = ("units", "use_bias", "reset_after", "compute_dtype", "zero_output_for_mask")
        if any(getattr(one, a, None) != getattr(two, a, None) for a in shared):
            return False
        plain = all(
            not layer.stateful
            and not (training and layer.dropout)
            and layer.activity_regularizer is None
            and layer.compute_dtype == self.compute_dtype
            for layer in (one, two)
        )
        return plain and all(kernels.takes_fast_path(layer) for layer in (one, two))
