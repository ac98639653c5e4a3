"""Reading recordings: any format, rate and channel count that libsndfile knows -> mono float32 at one rate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from pipelines.data.audio.channels import mix
from pipelines.data.audio.decoding import MOST, Source, decode
from pipelines.data.audio.decoding import cut_short as cut_short
from pipelines.data.audio.decoding import extent as extent
from pipelines.data.folders import begins, chosen

Array = np.ndarray[Any, Any]
SILENT = 1e-4
CLIPPED = 0.999
RATES = (1000, 768000)
"""Sampling rates in Hz that are brought to another one: of a second that claims 1 Hz it would make hours."""
MOST_CHANNELS = 8
ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".au", ".w64", ".caf")
_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b".snd", b"ID3", b"caff", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")


def read(source: Source, rate: int, name: str | None = None) -> Array:
    """The recording in a file (or in the bytes of one) as mono float32 [samples] at `rate` Hz.

    Channels are averaged, unless they cancel each other (see `channels`), and other rates are resampled (soxr, high
    quality). Raises ValueError, naming the file (`name` for bytes), when it is missing, no regular file, unreadable,
    empty, too large, holds samples that are not finite, or is cut short, see `decoding.decode`.
    """
    name = name or ("<bytes>" if isinstance(source, bytes) else str(source))
    samples, own_rate, _ = decode(source, name)
    return mono(samples, own_rate, rate, name)


def sounds_in(path: str | Path) -> list[str]:
    """Return the path of one recording as it is; for a folder, the recordings in it, sorted by name.

    A file counts by its first bytes or by its ending; what is passed over is named on standard error.

    Raises:
        ValueError: a folder without recordings, or one that cannot be read.
    """
    path = Path(os.path.expanduser(path))
    if not os.path.isdir(path):
        return [str(path)]
    return chosen(
        path,
        lambda file: file.suffix.lower() in ENDINGS or begins(file, _MAGIC),
        "recordings",
        "WAV, FLAC, OGG, MP3 or another format of libsndfile",
    )


def mono(sound: Array, own_rate: int, rate: int, name: str = "recording") -> Array:
    """Samples [N] or [N, channels] at `own_rate` Hz -> mono float32 [samples] at `rate` Hz.

    Integers are scaled to [-1, 1], of 8 bits as WAV has them: 128 is silence. Raises ValueError, beginning with `name`,
    for an empty recording, for other axes (or these turned), for another dtype than float, int16, int32 or uint8, for a
    rate that is neither `rate` nor within `RATES`, for more than `MOST` samples, and for some that are not finite.
    """
    sound = np.asarray(sound)
    turned = sound.ndim == 2 and sound.shape[0] <= MOST_CHANNELS and sound.shape[0] < sound.shape[1]
    if sound.ndim not in (1, 2) or turned:
        raise ValueError(f"{name}: expected samples [N] or [N, channels], got shape {list(sound.shape)}")
    if sound.size == 0:
        raise ValueError(f"{name}: the recording holds no samples")
    if own_rate != rate and not RATES[0] <= own_rate <= RATES[1]:
        raise ValueError(f"{name}: expected a sampling rate of {RATES[0]} to {RATES[1]} Hz, got {own_rate} Hz")
    if own_rate != rate and len(sound) / own_rate * rate > MOST:
        raise ValueError(f"{name}: would have more than {MOST:,} samples at {rate} Hz; cut it into parts")
    sound = _scaled(sound, name)
    if not np.isfinite(sound).all():
        first = int(np.argwhere(~np.isfinite(sound))[0][0])
        raise ValueError(f"{name}: sample {first} is not a finite number")
    if sound.ndim == 2:
        sound = mix(sound)
    try:
        return sound if own_rate == rate else soxr.resample(sound, own_rate, rate).astype(np.float32)
    except MemoryError:
        raise ValueError(f"{name}: needs more memory than there is; cut it into parts") from None


def _scaled(sound: Array, name: str) -> Array:
    """Samples of any shape as float32 in [-1, 1]; ValueError for a dtype that does not say where full scale is."""
    known = sound.dtype.kind, sound.dtype.itemsize
    if sound.dtype.kind == "f":
        return sound.astype(np.float32)
    if known == ("u", 1):
        return (sound.astype(np.float32) - 128.0) / 128.0
    if known in (("i", 2), ("i", 4)):
        return sound.astype(np.float32) / -float(np.iinfo(sound.dtype).min)
    raise ValueError(f"{name}: expected samples of float, int16, int32 or uint8, got {sound.dtype}")


def faults(sound: Array, rate: int, shortest: float, longest: float) -> list[str]:
    """What is suspicious about mono samples [N] at `rate` Hz: too short or too long (seconds), silent, clipped."""
    found = []
    seconds = len(sound) / rate
    if seconds < shortest:
        found.append(f"too short: {seconds:.2f} s, expected at least {shortest:g} s")
    if seconds > longest:
        found.append(f"too long: {seconds:.1f} s, expected at most {longest:g} s")
    loudest = float(np.abs(sound).max(initial=0.0))
    if loudest < SILENT:
        found.append(f"silent: no sample above {SILENT:g} of full scale")
    if loudest >= CLIPPED and float(np.mean(np.abs(sound) >= CLIPPED)) > 1e-3:
        found.append("clipped: more than one sample in a thousand at full scale")
    return found
