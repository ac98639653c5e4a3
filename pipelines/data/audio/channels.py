"""Mix channels to mono: their mean, or the loudest channel if they cancel each other.

Channels in opposite phase (a cable with swapped poles) give silence when they are averaged. The mean of C uncorrelated
channels has the power sum(P_c) / C^2. If the mean has less than half of that, the channels cancel, and the one with the
most power is used. For two equal channels this is a loss of more than 6 dB. Power is the variance, so that a constant
offset does not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

Array = np.ndarray[Any, Any]
KEPT = 0.5
"""Share of the power of uncorrelated channels below which channels cancel."""
CANCEL = "its channels cancel each other: the loudest is heard instead of their mean"


class Powers:
    """Sums for the power of each channel and of their mean, accumulated block by block."""

    def __init__(self, channels: int) -> None:
        self._count, self._first, self._second = 0, np.zeros(channels + 1), np.zeros(channels + 1)

    def add(self, block: Array, mean: Array) -> None:
        """Add samples [N, C] and their mean over the channels [N]."""
        every = np.concatenate([block, mean[:, None]], axis=1).astype(np.float64)
        self._count += len(every)
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is told elsewhere
            self._first += every.sum(axis=0)
            self._second += np.square(every).sum(axis=0)

    def loudest(self) -> int | None:
        """Return the index of the channel to use instead of the mean; None if the channels do not cancel."""
        if not self._count or len(self._first) < 3:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            power = self._second / self._count - np.square(self._first / self._count)
        channels, mixed = power[:-1], power[-1]
        cancelled = mixed < KEPT * channels.sum() / len(channels) ** 2
        return int(np.argmax(channels)) if cancelled else None


def mix(samples: Array) -> Array:
    """Samples float32 [N, C] of C channels -> one channel float32 [N]."""
    mean = samples.mean(axis=1)
    powers = Powers(samples.shape[1])
    powers.add(samples, mean)
    channel = powers.loudest()
    return mean if channel is None else samples[:, channel]


def mix_in_graph(samples: Any) -> Any:
    """Samples float32 [N, C] -> float32 [N], as `mix` does it, with TensorFlow operations alone."""
    mean = tf.reduce_mean(samples, axis=1)
    powers = tf.math.reduce_variance(samples, axis=0)
    count = tf.cast(tf.shape(samples)[1], tf.float32)
    cancelled = tf.math.reduce_variance(mean) < KEPT * tf.reduce_sum(powers) / tf.square(count)
    return tf.where(cancelled, tf.gather(samples, tf.argmax(powers), axis=1), mean)
