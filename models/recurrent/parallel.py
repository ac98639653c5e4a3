"""Recurrent layers whose state takes part in no product: MinGRU, MinLSTM and RG-LRU.

h_t = a_t h_{t-1} + b_t, where a_t and b_t depend on x_t alone: one matrix product serves all steps of a sequence, and
the loop that is left costs little. The layers are `keras.layers.RNN`s with all that belongs to one: masks,
``go_backwards``, ``stateful``, initial and final states, `Bidirectional`, single steps through their cell.

Whatever the policy, the recurrence is computed in single precision (double in a float64 layer): with a near 1, a state
of 8 or 11 bits would forget every input smaller than its last bit. Outputs and final states have the compute dtype.
"""

from typing import Any

import keras
from keras import ops

from models.recurrent import kernels
from models.recurrent.cells import fast_inner_loop, single_mask
from models.recurrent.linear import DecayInitializer, LinearCell

_register = keras.saving.register_keras_serializable(package="recurrent_pipelines")


class _LinearLayer(keras.layers.RNN):
    """What the three layers share; ``options`` are those of `keras.layers.RNN`."""

    def __init__(self, cell: dict[str, Any], options: dict[str, Any]) -> None:
        policy = keras.dtype_policies.get(options.get("dtype") or keras.config.dtype_policy())
        exact = "float64" if policy.compute_dtype == "float64" else "float32"
        # Initial states come as they are; the cell takes inputs to its own precision.
        super().__init__(LinearCell(**cell, dtype=exact, name=f"{cell['gates']}_cell"), autocast=False, **options)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Run the recurrence over inputs [B, T, D]: the last output [B, H], all outputs [B, T, H], final states."""
        if kernels.takes_fast_path(self):
            return fast_inner_loop(self, sequences, initial_state, mask, training)
        if training and self.dropout:
            sequences = sequences * self.cell.get_dropout_mask(sequences[:, 0, :])[:, None, :]
        sequences = ops.cast(sequences, self.cell.compute_dtype)
        return super().inner_loop(sequences, initial_state, single_mask(mask), training)

    @property
    def units(self) -> int:
        """H."""
        return self.cell.units

    @property
    def use_bias(self) -> bool:
        """Whether the pre-activations have a bias."""
        return self.cell.use_bias

    @property
    def dropout(self) -> float:
        """Probability of dropping a feature of the input."""
        return self.cell.dropout

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        config, cell = super().get_config(), self.cell.get_config()
        del config["cell"]
        return config | {name: cell[name] for name in ("units", "use_bias", "kernel_initializer", "dropout", "seed")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "_LinearLayer":
        """Make the layer that `get_config` describes."""
        return cls(**config)


@_register
class MinGRU(_LinearLayer):
    """Minimal gated recurrent unit (Feng et al. 2024, arXiv 2410.01201, section 3.1).

    z_t = sigmoid(x_t W_z + b_z), c_t = x_t W_c + b_c, h_t = (1 - z_t) h_{t-1} + z_t c_t: a GRU without reset gate and
    without the state in its gates. The state is a weighted mean of the initial state and the candidates c so far: it
    cannot grow beyond them, however long the sequence.

    The paper also has a form in logarithms for parallel scans, with candidates kept positive. This is the plain one of
    its section 3.1: candidates of both signs, faster here, and more exact.

    Args:
        units: H.
        use_bias: add b_z and b_c.
        kernel_initializer: of [W_z, W_c], [D, 2 H].
        forget_bias: initial -b_z: above zero, the state changes slowly at first, as ``unit_forget_bias`` makes an
            LSTM's.
        dropout: probability of dropping a feature of the input, the same at all steps. There is no
            ``recurrent_dropout``: it thins the state on its way into a product, and here is none.
        seed: of dropout.
        **options: of `keras.layers.RNN`: return_sequences, return_state, go_backwards, stateful, unroll,
            zero_output_for_mask, dtype, name.

    Raises:
        ValueError: units below 1, or dropout not in [0, 1).
    """

    def __init__(
        self,
        units: int,
        *,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        forget_bias: float = 1.0,
        dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        cell = {"gates": "mingru", "units": units, "use_bias": use_bias, "kernel_initializer": kernel_initializer}
        super().__init__({**cell, "first_bias": -forget_bias, "dropout": dropout, "seed": seed}, options)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "forget_bias": -self.cell.first_bias}


@_register
class MinLSTM(_LinearLayer):
    """Minimal long short-term memory (Feng et al. 2024, arXiv 2410.01201, section 3.2, with normalised gates).

    f_t = sigmoid(x_t W_f + b_f), i_t = sigmoid(x_t W_i + b_i), c_t = x_t W_c + b_c,
    h_t = f_t / (f_t + i_t) h_{t-1} + i_t / (f_t + i_t) c_t. Both shares add up to one, so that the state is bounded as
    in `MinGRU`; there is no cell state beside h, and no output gate.

    Args:
        units: H.
        use_bias: add b_f, b_i and b_c.
        kernel_initializer: of [W_f, W_i, W_c], [D, 3 H].
        forget_bias: initial b_f.
        dropout: probability of dropping a feature of the input, the same at all steps; no ``recurrent_dropout``, as in
            `MinGRU`.
        seed: of dropout.
        **options: of `keras.layers.RNN`, as in `MinGRU`.

    Raises:
        ValueError: units below 1, or dropout not in [0, 1).
    """

    def __init__(
        self,
        units: int,
        *,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        forget_bias: float = 1.0,
        dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        cell = {"gates": "minlstm", "units": units, "use_bias": use_bias, "kernel_initializer": kernel_initializer}
        super().__init__({**cell, "first_bias": forget_bias, "dropout": dropout, "seed": seed}, options)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "forget_bias": self.cell.first_bias}


@_register
class RGLRU(_LinearLayer):
    """Real-gated linear recurrent unit (De et al. 2024, arXiv 2402.19427, section 2.4, equations 1 to 4).

    r_t = sigmoid(x_t W_a + b_a), i_t = sigmoid(x_t W_x + b_x), a_t = sigmoid(L)^(c r_t) with c = 8,
    h_t = a_t h_{t-1} + sqrt(1 - a_t^2) i_t v_t. The logarithm of a_t is -c softplus(-L) r_t (appendix A), and 1 - a_t^2
    comes from it without cancellation near a_t = 1.

    In the paper the input is as wide as the state, because a linear layer comes before, and v_t = x_t. Here that layer
    is inside, v_t = x_t W_v + b_v, and the gates read what it reads: gates behind it would be linear maps of x too.

    Args:
        units: H.
        use_bias: add b_a, b_x and b_v.
        kernel_initializer: of [W_a, W_x, W_v], [D, 3 H].
        decay_initializer: of L [H]; by default sigmoid(L)^c is uniform in [0.9, 0.999].
        dropout: probability of dropping a feature of the input, the same at all steps; no ``recurrent_dropout``, as in
            `MinGRU`.
        seed: of dropout.
        **options: of `keras.layers.RNN`, as in `MinGRU`.

    Raises:
        ValueError: units below 1, or dropout not in [0, 1).
    """

    def __init__(
        self,
        units: int,
        *,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        decay_initializer: Any = None,
        dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        decay = DecayInitializer() if decay_initializer is None else decay_initializer
        cell = {"gates": "rglru", "units": units, "use_bias": use_bias, "kernel_initializer": kernel_initializer}
        super().__init__({**cell, "decay_initializer": decay, "dropout": dropout, "seed": seed}, options)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "decay_initializer": self.cell.get_config()["decay_initializer"]}
