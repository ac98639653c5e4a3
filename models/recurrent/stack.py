"""The recurrent stack that every task builds on: right-padded sequences with explicit lengths."""

from typing import Any

import keras
from keras import ops

from models.ops import mask_from_lengths
from models.recurrent import kernels
from models.recurrent.cells import GRU, LSTM, Bidirectional, SimpleRNN
from models.recurrent.linear import DecayInitializer
from models.recurrent.parallel import RGLRU, MinGRU, MinLSTM

CELLS = {"lstm": LSTM, "gru": GRU, "simple": SimpleRNN, "mingru": MinGRU, "minlstm": MinLSTM, "rglru": RGLRU}
LINEAR = ("mingru", "minlstm", "rglru")
"""Cells whose recurrence is linear in the state: computed in single precision whatever the policy."""


@keras.saving.register_keras_serializable(package="recurrent_pipelines")
class RecurrentStack(keras.layers.Layer):
    """Recurrent layers on top of each other, each over the whole sequence.

    Layer n computes ``y = rnn(drop(x))``, then layer normalisation if asked, then ``y + x`` if residual and
    the widths agree; y is the input x of layer n + 1. Dropout is not applied to the input of layer 1.
    Outputs at padded steps are zero, and padding never changes the outputs at real steps.

    Args:
        cell: ``"lstm"``, ``"gru"``, ``"simple"``, ``"mingru"``, ``"minlstm"`` or ``"rglru"``.
        units: H, the width of one direction of every layer.
        layers: how many layers.
        bidirectional: run each layer in both directions; outputs are concatenated, [B, T, 2H].
        dropout: probability of zeroing an input of layers 2, 3, …
        residual: add the input of a layer to its output where both have the same width.
        layer_norm: normalise the output of each layer (Ba et al. 2016).
        seed: integer that makes initial weights and dropout repeatable; None draws one from Keras.

    Raises:
        ValueError: unknown cell, or a number out of range.
    """

    def __init__(
        self,
        cell: str,
        units: int,
        layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        residual: bool = False,
        layer_norm: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if cell not in CELLS:
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
        if units < 1 or layers < 1 or not 0 <= dropout < 1:
            raise ValueError(
                "expected units >= 1, layers >= 1 and 0 <= dropout < 1, "
                f"got units={units}, layers={layers}, dropout={dropout}"
            )
        self.cell, self.units, self.depth = cell, units, layers
        self.bidirectional, self.dropout, self.residual = bidirectional, dropout, residual
        self.layer_norm, self.seed = layer_norm, seed
        self.supports_masking = True
        self.rnns = [self._rnn(n) for n in range(layers)]
        self.dropouts = [self._dropout(n) for n in range(1, layers)] if dropout else []
        self.norms = [keras.layers.LayerNormalization(dtype=self.dtype_policy) for _ in range(layers * layer_norm)]

    def _rnn(self, n: int) -> Any:
        name = f"{self.cell}_{n + 1}"
        if not self.bidirectional:
            return self._direction(name, 5 * n)
        # Two layers rather than a copy: a copy would start from the same seeded weights.
        forward, backward = (
            self._direction(f"forward_{name}", 5 * n),
            self._direction(f"backward_{name}", 5 * n + 2, True),
        )
        return Bidirectional(forward, backward_layer=backward, dtype=self.dtype_policy, name=name)

    def _direction(self, name: str, offset: int, backwards: bool = False) -> Any:
        kernel, recurrent = (None if self.seed is None else self.seed + offset + k for k in range(2))
        return CELLS[self.cell](
            self.units,
            return_sequences=True,
            return_state=True,
            zero_output_for_mask=True,
            go_backwards=backwards,
            kernel_initializer=keras.initializers.GlorotUniform(kernel),
            **self._recurrent_initializer(recurrent),
            dtype=self.dtype_policy,
            name=name,
        )

    def _recurrent_initializer(self, seed: int | None) -> dict[str, Any]:
        """The option of a layer that takes the seed of its recurrent weights; minimal cells have none."""
        if self.cell == "rglru":
            return {"decay_initializer": DecayInitializer(seed=seed)}
        return {} if self.cell in LINEAR else {"recurrent_initializer": keras.initializers.Orthogonal(seed=seed)}

    def _dropout(self, n: int) -> Any:
        seed = None if self.seed is None else self.seed + 5 * n + 4
        return keras.layers.Dropout(self.dropout, seed=seed, dtype=self.dtype_policy)

    @property
    def output_size(self) -> int:
        """The width of the outputs: H, or 2H with both directions."""
        return self.units * (2 if self.bidirectional else 1)

    @property
    def state_dtype(self) -> str:
        """The dtype of the states that `step` takes and returns."""
        exact = self.cell in LINEAR and self.compute_dtype != "float64"
        return "float32" if exact else self.compute_dtype

    def build(self, inputs_shape: Any, lengths_shape: Any = None, initial_state_shape: Any = None) -> None:
        """Create the weights for inputs [B, T, D]."""
        width = inputs_shape[-1]
        for n, rnn in enumerate(self.rnns):
            rnn.build((*inputs_shape[:2], width))
            width = self.output_size
            if self.norms:
                self.norms[n].build((*inputs_shape[:2], width))

    def call(
        self, inputs: Any, lengths: Any, initial_state: Any = None, training: bool | None = None
    ) -> tuple[Any, list[tuple[Any, ...]]]:
        """Run the whole sequence.

        Args:
            inputs: [B, T, D], right-padded.
            lengths: int32 [B], the real steps of each row; 0 gives zero outputs and the initial state, but on a GPU
                in a graph an error: there Keras takes cuDNN, which has no empty rows.
            initial_state: what this layer returned as states, or None for zeros.
            training: apply dropout.

        Returns:
            outputs [B, T, H] ([B, T, 2H] with both directions), zero at padded steps, and for each layer the
            tuple of states [B, H] after the last real step: (h, c) for LSTM, (h,) otherwise; with both
            directions the backward states, after step 0, follow the forward ones. Inside
            ``portable(unmasked=True)`` the tuples are empty.
        """
        mask = mask_from_lengths(lengths, ops.shape(inputs)[1])
        x, states = inputs, []
        for n, rnn in enumerate(self.rnns):
            before = None if initial_state is None else list(initial_state[n])
            dropped = self._drop(x, n, training)
            if kernels.is_unmasked() and before is None:
                y, after = self._unmasked(rnn, dropped, lengths, mask), []
            else:
                y, *after = rnn(dropped, mask=mask, initial_state=before, training=training)
            # The copy leaves behind the Keras mask: what follows is told lengths, not masks.
            x = self._finish(x, ops.copy(y), n, mask)
            states.append(tuple(after))
        return x, states

    def _unmasked(self, rnn: Any, x: Any, lengths: Any, mask: Any) -> Any:
        """What ``rnn(x, mask=mask)`` gives for right-padded rows, out of loops that know no mask."""
        if not self.bidirectional:
            y = rnn(x)[0]
        else:
            lengths = ops.clip(ops.cast(lengths, "int32"), 0, ops.shape(x)[1])
            # The layer that goes backwards turns its input round: so what it is given has to be turned round already.
            turned = ops.flip(kernels.reverse_rows(x, lengths), axis=1)
            back = kernels.reverse_rows(rnn.backward_layer(turned)[0], lengths)
            y = ops.concatenate([rnn.forward_layer(x)[0], back], axis=-1)
        return ops.where(mask[:, :, None], y, ops.zeros_like(y))

    def step(self, inputs: Any, states: Any, training: bool | None = None) -> tuple[Any, list[tuple[Any, ...]]]:
        """Run one step: T calls give what ``call`` gives for T steps.

        Args:
            inputs: [B, D].
            states: as ``call`` returns them, or ``zero_state``.
            training: apply dropout.

        Returns:
            outputs [B, H] and the new states, one tuple a layer.

        Raises:
            ValueError: the stack is bidirectional, so that a step would need the future.
        """
        if self.bidirectional:
            raise ValueError("a bidirectional stack has no step: it needs the whole sequence")
        x, new_states = inputs, []
        for n, rnn in enumerate(self.rnns):
            y, after = rnn.cell(self._drop(x, n, training), list(states[n]))
            x = self._finish(x, ops.cast(y, self.compute_dtype), n)
            new_states.append(tuple(after) if isinstance(after, list | tuple) else (after,))
        return x, new_states

    def zero_state(self, batch: Any) -> list[tuple[Any, ...]]:
        """Make the zero states [B, H] of every layer for ``batch`` rows."""
        count = (2 if self.cell == "lstm" else 1) * (2 if self.bidirectional else 1)
        zeros = ops.zeros((batch, self.units), dtype=self.state_dtype)
        return [(zeros,) * count for _ in self.rnns]

    def _drop(self, x: Any, n: int, training: bool | None) -> Any:
        return self.dropouts[n - 1](x, training=training) if n and self.dropouts else x

    def _finish(self, x: Any, y: Any, n: int, mask: Any = None) -> Any:
        y = self.norms[n](y) if self.norms else y
        y = x + y if self.residual and x.shape[-1] == y.shape[-1] else y
        if mask is None or not (self.norms or self.residual):
            return y
        # A normalised zero is the offset, and a padded input may be anything: zero both again.
        return ops.where(mask[:, :, None], y, ops.zeros_like(y))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {
            "cell": self.cell,
            "units": self.units,
            "layers": self.depth,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
            "residual": self.residual,
            "layer_norm": self.layer_norm,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}
