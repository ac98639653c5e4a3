"""The traced training step, the optimizer, averaged weights, and the out-of-memory check."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from pipelines.data.batching import Encoded, Plan
from pipelines.task import Loss


class Average:
    """Exponential moving average of the trainable weights (Polyak and Juditsky 1992); decay 0 disables it.

    The decay warms up as min(decay, (1 + n) / (10 + n)) over steps n, so that short trainings average too.
    """

    def __init__(self, weights: list[Any], decay: float) -> None:
        self.decay = float(decay)
        self.weights = weights if decay else []
        self.shadow = [tf.Variable(w, trainable=False, dtype=w.dtype) for w in self.weights]

    def update(self, step: Any) -> None:
        """Update the average with the current weights; ``step`` is the number of finished steps, a scalar."""
        n = tf.cast(step, tf.float32)
        rate = 1.0 - tf.minimum(self.decay, (1.0 + n) / (10.0 + n))
        for average, weight in zip(self.shadow, self.weights, strict=True):
            average.assign_sub(rate * (average - weight))

    def restart(self) -> None:
        """Reset the averages to the current weights."""
        for average, weight in zip(self.shadow, self.weights, strict=True):
            average.assign(weight)

    def swap(self) -> None:
        """Exchange weights and averages; a second call undoes the first."""
        for average, weight in zip(self.shadow, self.weights, strict=True):
            value = tf.identity(weight)
            weight.assign(average)
            average.assign(value)


class Mixture:
    """Interpolation between saved and current weights; share 1 disables it.

    Interpolated weights before and after fine-tuning can be better than both (Wortsman et al. 2022, arXiv 2109.01903).
    """

    def __init__(self, weights: list[Any], share: float) -> None:
        self.share = share
        self.weights = weights if share < 1 else []
        self.kept = [tf.Variable(w, trainable=False, dtype=w.dtype) for w in self.weights]

    def keep(self) -> None:
        """Save the current weights."""
        for old, weight in zip(self.kept, self.weights, strict=True):
            old.assign(weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Set the weights to saved + share (current - saved) within the block."""
        present = [tf.identity(weight) for weight in self.weights]
        for weight, old in zip(self.weights, self.kept, strict=True):
            weight.assign(old + self.share * (weight - old))
        yield
        for weight, value in zip(self.weights, present, strict=True):
            weight.assign(value)


def make_step(
    model: keras.Model, loss: Loss, optimizer: Any, average: Average, signature: Any = None, mean_weight: float = 1.0
) -> Callable[..., tuple[Any, Any]]:
    """Return ``step(x, y) -> (loss, global gradient norm)``, float32 scalars, which updates all weights.

    The returned loss is the sum of values over the sum of weights; the minimised one is the mean of value over
    ``mean_weight``, so that a token counts the same in every batch.

    Args:
        model: its trainable variables are updated.
        loss: (x, y) -> (value float32 [B], weight float32 [B]).
        optimizer: built for these variables.
        average: of the weights.
        signature: the ``element_spec`` of the batches, (x, y) with open batch and time axes: one trace for every width.
            Without it the first batch is traced by its own shape, and a resumed training would round differently.
        mean_weight: mean weight of a training example.
    """
    weights = model.trainable_variables

    @tf.function(input_signature=signature, autograph=False)
    def step(x: Mapping[str, Any], y: Mapping[str, Any]) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            values, counts = loss(x, y)
            value = tf.reduce_mean(values if mean_weight == 1.0 else values / mean_weight)
            scale = optimizer.scale_loss(tf.ones_like(value))
            scaled = value * scale
        # Dense, because the squares of an IndexedSlices with repeated rows do not add up to the norm.
        # Zero where a loss does not depend on a part of the model, e.g. the reward loss on the word detector.
        found = zip(tape.gradient(scaled, weights), weights, strict=True)
        gradients = [tf.zeros_like(weight) if g is None else tf.convert_to_tensor(g) for g, weight in found]
        norm = tf.linalg.global_norm(gradients) / scale
        optimizer.apply(gradients, weights)
        average.update(optimizer.iterations)
        return tf.reduce_sum(values) / tf.maximum(tf.reduce_sum(counts), 1e-12), norm

    return step


def reading(step: Callable[..., tuple[Any, Any]], deterministic: bool = False) -> Callable[[Any], tuple[Any, Any, Any]]:
    """Return ``step(data) -> (mean loss, gradient norm, seconds waited)``, which reads its batch from an iterator.

    The batch is read in the graph, because a Python call costs a few percent of a short step; with ``deterministic``
    operations it is read in Python, because TensorFlow then disallows its clock.
    """

    @tf.function(autograph=False)
    def in_graph(data: Any) -> tuple[Any, Any, Any]:
        begin = tf.timestamp()
        with tf.control_dependencies([begin]):  # TensorFlow does not order the clock by itself
            x, y = data.get_next()
        with tf.control_dependencies(tf.nest.flatten((x, y))):
            ready = tf.timestamp()
        with tf.control_dependencies([ready]):  # otherwise operations without inputs would count as waiting
            return *step(x, y), ready - begin

    def from_python(data: Any) -> tuple[Any, Any, Any]:
        begin = time.monotonic()
        x, y = next(data)
        ready = time.monotonic()
        return *step(x, y), ready - begin

    return from_python if deterministic else in_graph


@keras.saving.register_keras_serializable("recurrent_pipelines")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate with a linear warm-up over ``warmup_steps``, then constant or decaying to 0 at ``total_steps``."""

    def __init__(self, peak: float, total_steps: int, warmup_steps: int = 0, shape: str = "cosine") -> None:
        self.peak, self.total_steps, self.warmup_steps, self.shape = peak, total_steps, warmup_steps, shape

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at ``step`` (from 0), a float32 scalar."""
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
    """Return an unbuilt Keras AdamW optimizer.

    Args:
        learning_rate: peak learning rate.
        total_steps: training steps covered by the schedule.
        warmup: share of ``total_steps`` used for the warm-up.
        schedule: ``constant``, ``linear`` or ``cosine``.
        weight_decay: decoupled weight decay (Loshchilov and Hutter 2019), except for biases and normalisation scales.
        clip_norm: largest global gradient norm (Pascanu et al. 2013); 0 disables clipping.
        loss_scaling: scale the loss dynamically, for float16.
    """
    rate = WarmupDecay(learning_rate, total_steps, round(warmup * total_steps), schedule)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay, global_clipnorm=clip_norm or None)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return keras.optimizers.LossScaleOptimizer(optimizer) if loss_scaling else optimizer


def longest(plan: Plan, lengths: np.ndarray) -> np.ndarray:
    """Return the batch that needs the most memory: most padded steps, then the longest example."""
    return max(plan, key=lambda indices: (len(indices) * int(lengths[indices].max()), int(lengths[indices].max())))


def dry_run(step: Callable[[Any], Iterable[Any]], data: Any, variables: Sequence[Any]) -> None:
    """Run a step on ``data`` and restore all variables, including random states.

    The training step itself is run, so its trace is reused.
    """
    before = [np.array(variable) for variable in variables]
    try:
        for value in step(data):
            np.asarray(value)  # devices run asynchronously: errors surface when a result is read
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


@contextmanager
def memory_guard(train: Encoded, indices: np.ndarray) -> Iterator[None]:
    """Report a batch that does not fit in memory.

    Raises:
        RuntimeError: names the batch and the options that reduce memory.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError):
        first = train.examples[int(indices[np.argmax(train.lengths[indices])])]["where"]
        raise RuntimeError(
            f"a batch of {len(indices)} examples of up to {train.lengths[indices].max()} steps ({first}, ...) does not "
            "fit in memory; a smaller --batch-size or --batch-tokens needs less"
        ) from None
