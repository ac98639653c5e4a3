"""The cell of recurrences that are linear in the state: weights, single steps, the start of a long memory."""

from typing import Any

import keras
from keras import ops

from models.recurrent.gates import GATES, SHARPNESS

_register = keras.saving.register_keras_serializable(package="recurrent_pipelines")


@_register
class DecayInitializer(keras.initializers.Initializer):
    """Draw L so that sigmoid(L)^c, the share of the state that the widest gate keeps, is uniform in [low, high].

    De et al. 2024, section 2.4; c = 8.

    Args:
        low: least share, above 0.
        high: largest share, below 1.
        seed: integer or None.

    Raises:
        ValueError: not 0 < low < high < 1.
    """

    def __init__(self, low: float = 0.9, high: float = 0.999, seed: int | None = None) -> None:
        if not 0 < low < high < 1:
            raise ValueError(f"expected 0 < low < high < 1, got low={low}, high={high}")
        self.low, self.high, self.seed = low, high, seed
        self._uniform = keras.initializers.RandomUniform(low, high, seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Return L of this shape, [H]."""
        share = self._uniform(shape, dtype=dtype)
        return -ops.log(ops.expm1(-ops.log(share) / SHARPNESS))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"low": self.low, "high": self.high, "seed": self.seed}


@_register
class LinearCell(keras.layers.Layer):
    """One step of a recurrence that is linear in the state, with the weights of its layer.

    Args:
        gates: "mingru", "minlstm" or "rglru".
        units: H.
        use_bias: add a bias to the pre-activations.
        kernel_initializer: of the kernel [D, G H]; the H columns of each pre-activation are next to each other.
        first_bias: initial bias of the first of the G pre-activations; the others begin at zero.
        decay_initializer: of L [H], for "rglru" alone.
        dropout: probability of dropping a feature of the input, the same at all steps.
        seed: of dropout.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        gates: str,
        units: int,
        *,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        first_bias: float = 0.0,
        decay_initializer: Any = None,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1 or not 0 <= dropout < 1:
            raise ValueError(f"expected units >= 1 and 0 <= dropout < 1, got units={units}, dropout={dropout}")
        self.gates, self.units, self.use_bias, self.first_bias = gates, units, use_bias, first_bias
        self.state_size = self.output_size = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.decay_initializer = keras.initializers.get(decay_initializer)
        self.dropout, self.seed = dropout, seed
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None

    def build(self, inputs_shape: Any) -> None:
        """Create the weights for inputs [B, D]."""
        count = GATES[self.gates].count
        self.kernel = self._weight("kernel", (inputs_shape[-1], count * self.units), self.kernel_initializer)
        self.bias = self._weight("bias", (count * self.units,), self._first_bias) if self.use_bias else None
        self.decay = self._weight("decay", (self.units,), self.decay_initializer) if self.decay_initializer else None

    def _weight(self, name: str, shape: tuple[int, ...], initializer: Any) -> Any:
        # A layer of half precision would round it on the way to the recurrence, which is not computed in that.
        return self.add_weight(shape=shape, initializer=initializer, name=name, autocast=False)

    def _first_bias(self, shape: Any, dtype: Any = None) -> Any:
        return ops.concatenate(
            [ops.full((self.units,), self.first_bias, dtype), ops.zeros(shape[0] - self.units, dtype)]
        )

    @property
    def params(self) -> tuple[Any, ...]:
        """The weights [H] of the gates beside kernel and bias."""
        return () if self.decay is None else (self.decay,)

    def get_dropout_mask(self, step: Any) -> Any:
        """Draw what a sequence whose steps are [B, D] is multiplied by in training."""
        return keras.random.dropout(ops.ones_like(step), self.dropout, seed=self.seed_generator)

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> tuple[Any, list[Any]]:
        """Take one step: inputs [B, D] and the state [B, H] -> the new state as output and as state, no dropout."""
        gates, product = GATES[self.gates], ops.matmul(inputs, self.kernel)
        product = product if self.bias is None else product + self.bias
        a, b, _ = gates.coefficients(tuple(ops.split(product, gates.count, axis=-1)), self.params)
        h = a * states[0] + b
        return h, [h]

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        initializer, decay = self.kernel_initializer, self.decay_initializer
        own = {
            "gates": self.gates,
            "units": self.units,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(initializer),
            "first_bias": self.first_bias,
            "decay_initializer": None if decay is None else keras.initializers.serialize(decay),
            "dropout": self.dropout,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}
