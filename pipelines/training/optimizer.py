"""The optimizer: AdamW with warm-up, decay and global-norm clipping, from flat settings."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("recurrent_pipelines")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that rises linearly from 0 over ``warmup_steps``, then stays or falls to 0 at ``total_steps``."""

    def __init__(self, peak: float, total_steps: int, warmup_steps: int = 0, shape: str = "cosine") -> None:
        self.peak, self.total_steps, self.warmup_steps, self.shape = peak, total_steps, warmup_steps, shape

    def __call__(self, step: Any) -> Any:
        """Return the rate of step number ``step`` (from 0), a float32 scalar."""
        step = ops.cast(step, "float32")
        rise = ops.minimum((step + 1.0) / max(self.warmup_steps, 1), 1.0)
        done = ops.clip((step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1), 0.0, 1.0)
        if self.shape == "linear":
            fall = 1.0 - done
        elif self.shape == "cosine":
            fall = 0.5 + 0.5 * ops.cos(done * 3.14159265)
        else:
            fall = ops.ones_like(done)
        return self.peak * rise * fall

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of ``__init__``."""
        return {name: getattr(self, name) for name in ("peak", "total_steps", "warmup_steps", "shape")}


def make_optimizer(
    learning_rate: float,
    total_steps: int,
    *,
    warmup: float = 0.0,
    schedule: str = "cosine",
    weight_decay: float = 0.0,
    clip_norm: float = 1.0,
    loss_scaling: bool = False,
) -> Any:
    """Return a built-on-demand Keras optimizer.

    Args:
        learning_rate: the peak.
        total_steps: steps of the training, to which the schedule is stretched.
        warmup: share of ``total_steps`` in which the rate rises.
        schedule: ``constant``, ``linear`` or ``cosine``.
        weight_decay: decoupled decay (Loshchilov and Hutter 2019); biases and normalisation scales are spared.
        clip_norm: largest global norm of all gradients together (Pascanu et al. 2013); 0 never clips.
        loss_scaling: scale the loss dynamically, for float16.
    """
    rising = round(warmup * total_steps)
    rate = WarmupDecay(learning_rate, total_steps, rising, schedule)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay, global_clipnorm=clip_norm or None)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return keras.optimizers.LossScaleOptimizer(optimizer) if loss_scaling else optimizer
