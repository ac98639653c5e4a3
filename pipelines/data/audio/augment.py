"""Augmentation of sound, in graph and a function of its seed: speed, gain, noise at a stated ratio, SpecAugment.

Every function takes a stateless seed int32 [2]: the same seed always gives the same sound, whatever the number of
workers. Evaluation never calls this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Augment:
    """How strongly training sound is varied; the defaults change nothing.

    `speed` is the largest relative change of tempo and pitch (0.1: factors 0.9 to 1.1), `gain_db` the largest
    change of level in decibels, `snr_db` the lowest ratio of signal to added white noise (uniform up to
    `snr_db + 30`; 0 adds none) for a share `noise` of the recordings, `bands` and `band_width` the number and the
    largest width of frequency masks, `times` and `time_width` those of time masks in frames, of which one never
    covers more than `time_share` of a recording.
    """

    speed: float = 0.0
    gain_db: float = 0.0
    noise: float = 0.0
    snr_db: float = 10.0
    bands: int = 0
    band_width: int = 27
    times: int = 0
    time_width: int = 40
    time_share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.speed < 0.5:
            raise ValueError(f"speed must lie in [0, 0.5), got {self.speed}")
        if not 0 <= self.noise <= 1:
            raise ValueError(f"noise is a share of the recordings in [0, 1], got {self.noise}")

    @property
    def changes_waveform(self) -> bool:
        """Whether features must be computed anew in each epoch."""
        return self.speed > 0 or self.gain_db > 0 or self.noise > 0


def resample(waveform: Any, step: Any, zeros: int = 16) -> Any:
    """Band-limited interpolation: float32 [N] read every `step` samples -> float32 [ceil(N / step)].

    A Hann-windowed sinc with `zeros` zero crossings on either side; for step > 1 its cut-off is lowered to the new
    Nyquist frequency. To go from rate a to rate b take step = a / b; to play 10 % faster, step = 1.1. Smith,
    "Digital Audio Resampling", 2002.
    """
    step = tf.cast(step, tf.float64) if tf.is_tensor(step) else tf.constant(step, tf.float64)
    samples = tf.shape(waveform)[0]
    count = tf.cast(tf.math.ceil(tf.cast(samples, tf.float64) / step - 1e-6), tf.int32)
    place = tf.range(tf.cast(count, tf.float64), dtype=tf.float64) * step
    first = tf.cast(tf.math.floor(place), tf.int32)
    fraction = tf.cast(place - tf.math.floor(place), tf.float32)
    cutoff = tf.cast(tf.minimum(tf.constant(1.0, tf.float64), 1.0 / step), tf.float32)
    half = tf.cast(tf.math.ceil(zeros / cutoff), tf.int32)
    offsets = tf.range(1 - half, half + 1)
    distance = tf.cast(offsets, tf.float32)[None, :] - fraction[:, None]
    angle = math.pi * cutoff * distance
    sinc = tf.where(tf.abs(angle) < 1e-6, 1.0, tf.math.divide_no_nan(tf.sin(angle), angle))
    taps = cutoff * sinc * tf.square(tf.cos(tf.clip_by_value(angle / (2.0 * zeros), -math.pi / 2, math.pi / 2)))
    padded = tf.pad(waveform, [[half - 1, half + 1]])
    heard = tf.gather(padded, first[:, None] + (offsets + half - 1)[None, :])
    return tf.reduce_sum(heard * taps, axis=1)


def augment_waveform(waveform: Any, seed: Any, augment: Augment) -> Any:
    """One recording with another speed, level and noise: float32 [N] -> float32 [M], M about N / speed."""
    draws = tf.random.stateless_uniform([4], seed)
    if augment.speed > 0:
        waveform = resample(waveform, 1.0 + augment.speed * (2.0 * draws[0] - 1.0), zeros=6)
    if augment.noise > 0:
        noisy = add_noise(waveform, augment.snr_db + 30.0 * draws[1], seed)
        waveform = tf.where(draws[2] < augment.noise, noisy, waveform)
    return waveform * tf.pow(10.0, augment.gain_db * (2.0 * draws[3] - 1.0) / 20.0)


def add_noise(waveform: Any, snr_db: Any, seed: Any) -> Any:
    """White noise added at a ratio of mean signal power to mean noise power of `snr_db` decibels: [N] -> [N]."""
    white = tf.random.stateless_normal(tf.shape(waveform), tf.add(seed, [0, 1]))
    level = tf.math.divide_no_nan(tf.reduce_mean(tf.square(waveform)), tf.reduce_mean(tf.square(white)))
    return waveform + white * tf.sqrt(level * tf.pow(10.0, -snr_db / 10.0))


def augment_batch(waveforms: Any, samples: Any, seed: Any, augment: Augment, step: int) -> tuple[Any, Any]:
    """Each recording of a padded batch changed by its own draws: float32 [B, N], int32 [B] -> [B, M], int32 [B].

    M is the next multiple of `step` samples, so that few widths occur.
    """
    rows, total = tf.range(tf.shape(waveforms)[0]), tf.cast(tf.shape(waveforms)[1], tf.float64)
    # The slowest draw makes N / (1 - speed) samples; `step` more than covers that it is drawn in single precision.
    limit = tf.cast(tf.math.ceil(total / (1.0 - augment.speed)), tf.int32) + step

    def one(row: Any) -> tuple[Any, Any]:
        mine = tf.random.experimental.stateless_fold_in(seed, row)
        changed = augment_waveform(waveforms[row, : samples[row]], mine, augment)
        count = tf.shape(changed)[0]
        return tf.pad(changed, [[0, limit - count]]), count

    changed, counts = tf.map_fn(one, rows, fn_output_signature=(tf.float32, tf.int32))
    width = (tf.reduce_max(counts) + step - 1) // step * step
    return tf.pad(changed, [[0, 0], [0, step]])[:, :width], counts


def spec_augment(features: Any, frames: Any, seed: Any, augment: Augment) -> Any:
    """Random stripes of each recording set to 0, the mean of normalised features: [B, T, bands], [B] -> [B, T, bands].

    Park et al., "SpecAugment", 2019, without time warping; widths are uniform in [0, largest].
    """
    total, bands = tf.shape(features)[1], tf.fill(tf.shape(frames), tf.shape(features)[2])
    longest = tf.cast(augment.time_share * tf.cast(frames, tf.float32), tf.int32)
    longest = tf.minimum(augment.time_width, longest)
    kept_times = _unmasked(total, frames, augment.times, longest, tf.add(seed, [0, 2]))
    widest = tf.minimum(augment.band_width, bands)
    kept_bands = _unmasked(tf.shape(features)[2], bands, augment.bands, widest, tf.add(seed, [0, 3]))
    return tf.where(kept_times[:, :, None] & kept_bands[:, None, :], features, 0.0)


def _unmasked(total: Any, sizes: Any, masks: int, widest: Any, seed: Any) -> Any:
    """False inside `masks` random intervals of [0, sizes[b]), none wider than widest[b]: bool [B, total]."""
    draws = tf.random.stateless_uniform([2, tf.shape(sizes)[0], 1, masks], seed)
    width = tf.cast(draws[0] * tf.cast(widest + 1, tf.float32)[:, None, None], tf.int32)
    start = tf.cast(draws[1] * tf.cast(sizes[:, None, None] - width + 1, tf.float32), tf.int32)
    place = tf.range(total)[None, :, None]
    return ~tf.reduce_any((place >= start) & (place < start + width), axis=2)
