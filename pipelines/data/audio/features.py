"""Log-mel features in graph: the one front-end that training, evaluation, export and streaming share.

Frame t covers the samples [t * hop, t * hop + window): nothing is centred or reflected, so a frame never
depends on samples that have not arrived yet. Each frame is windowed (periodic Hann), its discrete Fourier
transform is a matrix product (no complex numbers, so the graph converts to ONNX), the squared magnitudes are
pooled by triangular mel filters (Slaney scale and norm), and the natural logarithm of power plus a floor is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mel:
    """How sound becomes features.

    `rate` is in Hz, `window_ms` and `hop_ms` in milliseconds, `mel_bins` counts mel filters between `fmin` and
    `fmax` Hz (0 for `fmax` means rate / 2), and `log_floor` is added to the mel power before the logarithm (samples
    lie in [-1, 1]).
    """

    rate: int = 16000
    window_ms: float = 25.0
    hop_ms: float = 10.0
    mel_bins: int = 80
    fmin: float = 20.0
    fmax: float = 0.0
    log_floor: float = 1e-6

    def __post_init__(self) -> None:
        if self.rate < 1000:
            raise ValueError(f"rate must be at least 1000 Hz, got {self.rate}")
        if not 1 <= self.hop <= self.window:
            raise ValueError(f"hop_ms must lie between one sample and window_ms={self.window_ms}, got {self.hop_ms}")
        if self.mel_bins < 1:
            raise ValueError(f"mel_bins must be at least 1, got {self.mel_bins}")
        if not 0 <= self.fmin < self.top <= self.rate / 2:
            raise ValueError(
                f"the mel filters need 0 <= fmin < fmax <= {self.rate / 2:g} Hz, got {self.fmin:g} to {self.top:g}"
            )

    @property
    def window(self) -> int:
        """Samples in one frame."""
        return round(self.rate * self.window_ms / 1000)

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return round(self.rate * self.hop_ms / 1000)

    @property
    def fft(self) -> int:
        """Length of the Fourier transform: the window, zero-padded to a power of two."""
        return 1 << max(1, math.ceil(math.log2(self.window)))

    @property
    def top(self) -> float:
        """Upper edge of the highest filter in Hz."""
        return self.fmax or self.rate / 2

    def frames(self, samples: Any) -> Any:
        """Whole frames in `samples` samples (an int or an integer tensor of any shape), at least 1."""
        if isinstance(samples, int):
            return max(1, (samples - self.window) // self.hop + 1)
        counted = tf.maximum(1, (samples - self.window) // self.hop + 1)
        return tf.cast(counted, tf.int32)


def hertz_to_mel(hertz: Array) -> Array:
    """Slaney's mel scale, of any shape: linear (3 mel per 200 Hz) below 1 kHz, 27 steps per factor 6.4 above."""
    hertz = np.asarray(hertz, np.float64)
    logarithmic = 15.0 + np.log(np.maximum(hertz, 1000.0) / 1000.0) * 27.0 / np.log(6.4)
    return np.where(hertz < 1000.0, hertz * 3.0 / 200.0, logarithmic)


def mel_to_hertz(mel: Array) -> Array:
    """The inverse of `hertz_to_mel`, of any shape."""
    mel = np.asarray(mel, np.float64)
    logarithmic = 1000.0 * np.exp((np.maximum(mel, 15.0) - 15.0) * np.log(6.4) / 27.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, logarithmic)


@lru_cache(maxsize=16)
def mel_filters(mel: Mel) -> Array:
    """Triangular filters float32 [bins, bands], each of unit area over Hz (Slaney's norm).

    Raises ValueError when a filter is so narrow that it falls between two bins of the transform.
    """
    bins = np.arange(mel.fft // 2 + 1) * mel.rate / mel.fft
    ends = hertz_to_mel(np.array([mel.fmin, mel.top]))
    edges = mel_to_hertz(np.linspace(ends[0], ends[1], mel.mel_bins + 2))
    rising = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if not filters.any(axis=0).all():
        empty = int(np.argmin(filters.any(axis=0)))
        raise ValueError(
            f"mel_bins={mel.mel_bins} is too many for a {mel.window_ms:g} ms window at {mel.rate} Hz: "
            f"filter {empty} ({edges[empty]:.0f} to {edges[empty + 2]:.0f} Hz) holds no bin"
        )
    return (filters * (2.0 / (edges[2:] - edges[:-2]))).astype(np.float32)


@lru_cache(maxsize=16)
def fourier(mel: Mel) -> Array:
    """Windowed cosines, then sines, float32 [window, 2 * bins]: one product gives the transform's two parts."""
    time = np.arange(mel.window)
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * time / mel.window)
    angle = 2.0 * np.pi * np.outer(time, np.arange(mel.fft // 2 + 1)) / mel.fft
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32) * hann[:, None].astype(np.float32)


def mask(lengths: Any, total: Any) -> Any:
    """True for the first lengths[b] of `total` places: int32 [B] -> bool [B, total]."""
    return tf.range(total)[None, :] < lengths[:, None]


def frame_log_mel(waveform: Any, mel: Mel, unit: Any = 1.0) -> Any:
    """Log-mel of every whole frame in float32 [B, N], N >= window -> float32 [B, T, bands]; no padding, no state.

    `unit` multiplies both kernels. A scalar tensor that is always 1 keeps a converter from rounding them to 8 bits,
    which would bury the quiet bands under the error of the loud ones.
    """
    blocks = math.gcd(mel.window, mel.hop)
    batch, samples = tf.unstack(tf.shape(waveform))
    count = samples // blocks
    signal = tf.reshape(waveform[:, : count * blocks], [batch, count, blocks])
    kernel = unit * tf.constant(fourier(mel).reshape(mel.window // blocks, blocks, -1))
    parts = tf.nn.conv1d(signal, kernel, stride=mel.hop // blocks, padding="VALID")
    cosine, sine = tf.split(parts, 2, axis=-1)
    power = tf.linalg.matmul(tf.square(cosine) + tf.square(sine), unit * tf.constant(mel_filters(mel)))
    return tf.math.log(power + mel.log_floor)


def log_mel(waveform: Any, lengths: Any, mel: Mel, unit: Any = 1.0) -> tuple[Any, Any]:
    """Features and their true lengths for a batch of padded recordings.

    float32 [B, N] samples in [-1, 1] and int32 [B] sample counts -> float32 [B, T, bands], int32 [B] with every
    length >= 1. Samples past a recording's length are ignored and features past its frames are zero, so a row does
    not depend on what it is batched with. A recording shorter than one window is extended with silence; a sample
    that is not finite counts as silence. `unit` as in `frame_log_mel`.
    """
    total = tf.shape(waveform)[1]
    sound = mask(lengths, total) & tf.math.is_finite(waveform)
    waveform = tf.where(sound, waveform, 0.0)
    waveform = tf.pad(waveform, [[0, 0], [0, tf.maximum(0, mel.window - total)]])
    features = frame_log_mel(waveform, mel, unit)
    frames = mel.frames(lengths)
    kept = mask(frames, tf.shape(features)[1])
    return tf.where(kept[:, :, None], features, 0.0), frames


def normalise_utterance(features: Any, frames: Any) -> Any:
    """Zero mean and unit variance of each band over a recording's true frames: [B, T, bands], [B] -> [B, T, bands].

    A band that does not vary becomes exactly zero: without taking the first frame off beforehand, the rounding of its
    mean would depend on the padding and be amplified.
    """
    kept = tf.cast(mask(frames, tf.shape(features)[1]), features.dtype)[:, :, None]
    count = tf.cast(frames, features.dtype)[:, None, None]
    features = (features - features[:, :1]) * kept
    centred = (features - tf.reduce_sum(features, 1, keepdims=True) / count) * kept
    variance = tf.reduce_sum(tf.square(centred), 1, keepdims=True) / count
    return centred * tf.math.rsqrt(variance + 1e-3)


def normalise_statistics(features: Any, frames: Any, mean: Array, deviation: Array) -> Any:
    """(features - mean) / deviation with training statistics float32 [bands]; zero past the true frames.

    The choice for streaming: it needs no future frame. [B, T, bands], [B] -> [B, T, bands].
    """
    kept = mask(frames, tf.shape(features)[1])[:, :, None]
    return tf.where(kept, (features - tf.constant(mean)) / tf.constant(deviation), 0.0)
