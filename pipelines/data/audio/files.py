"""Reading recordings: any format, rate and channel count that libsndfile knows -> mono float32 at one rate."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr

from pipelines.data.audio.mp3 import FRAME, counted

Array = np.ndarray[Any, Any]
Source = str | os.PathLike[str] | bytes
SILENT = 1e-4
CLIPPED = 0.999
RATES = (1000, 768000)
"""Sampling rates in Hz that are brought to another one: of a second that claims 1 Hz it would make hours."""
MOST_CHANNELS = 8


def _opened(source: Source, name: str) -> Any:
    """A soundfile for a path or for the bytes of a file; ValueError with one sentence when there is none."""
    if not isinstance(source, bytes):
        path = Path(source)
        if path.is_dir():
            raise ValueError(f"{name}: expected a recording, found a folder")
        if not path.exists():
            raise ValueError(f"{name}: no such file")
        if path.stat().st_size == 0:
            raise ValueError(f"{name}: the file is empty (0 bytes)")
    try:
        return soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source))
    except (soundfile.LibsndfileError, TypeError) as error:
        reason = getattr(error, "error_string", None) or "no known audio format"
        raise ValueError(
            f"{name}: not a readable recording ({reason.rstrip('.')}); "
            "expected WAV, FLAC, OGG, MP3 or another format of libsndfile"
        ) from None


def read(source: Source, rate: int, name: str | None = None) -> Array:
    """The recording in a file (or in the bytes of one) as mono float32 [samples] at `rate` Hz.

    Channels are averaged and other rates are resampled (soxr, high quality). Raises ValueError, naming the file
    (`name` for bytes), when it is missing, unreadable, empty, holds samples that are not finite, or is cut short, as
    WAV, FLAC, OGG, and MP3 with a tag (Xing, Info) let one know. Of another MP3 all that is there is read.
    """
    name = name or ("<bytes>" if isinstance(source, bytes) else str(source))
    with _sized(source, name) as file:
        promised, own_rate, slack = file.frames, file.samplerate, FRAME if file.format == "MP3" else 1
        try:
            sound = file.read(dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise ValueError(f"{name}: cannot be decoded ({error.error_string.rstrip('.')})") from None
    if len(sound) + slack <= promised < 2**62:
        raise ValueError(f"{name}: cut short, {len(sound)} of {promised} samples could be decoded")
    return mono(sound.mean(axis=1), own_rate, rate, name)


def extent(content: bytes) -> tuple[int, int, int]:
    """Return samples a channel, channels and rate in Hz of the bytes of a recording, without decoding it.

    Raises:
        ValueError: it is no recording.
    """
    try:
        found = soundfile.info(io.BytesIO(content))
        whole = counted(content) if found.format == "MP3" else None  # bytes of other formats may look like frames
        found = soundfile.info(io.BytesIO(whole)) if whole else found
    except (soundfile.LibsndfileError, TypeError) as error:
        raise ValueError(f"not a readable recording ({error})") from None
    return int(found.frames), int(found.channels), int(found.samplerate)


def _sized(source: Source, name: str) -> Any:
    """The soundfile of a recording that knows its own length; ValueError when there is none, or it is cut short."""
    file = _opened(source, name)
    with _stream(source) as content:
        missing = cut_short(content)
        whole = counted(content.read()) if file.format == "MP3" and not content.seek(0) else None
    if missing or whole:
        file.close()
    if missing:
        raise ValueError(f"{name}: cut short, {missing}")
    return _opened(whole, name) if whole else file


def _stream(source: Source) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def mono(sound: Array, own_rate: int, rate: int, name: str = "recording") -> Array:
    """Samples [N] or [N, channels] at `own_rate` Hz -> mono float32 [samples] at `rate` Hz.

    Integers are scaled to [-1, 1], of 8 bits as WAV has them: 128 is silence. Raises ValueError, beginning with `name`,
    for an empty recording, for other axes (or these turned), for another dtype than float, int16, int32 or uint8, for a
    rate that is neither `rate` nor within `RATES`, and for samples that are not finite.
    """
    sound = np.asarray(sound)
    turned = sound.ndim == 2 and sound.shape[0] <= MOST_CHANNELS and sound.shape[0] < sound.shape[1]
    if sound.ndim not in (1, 2) or turned:
        raise ValueError(f"{name}: expected samples [N] or [N, channels], got shape {list(sound.shape)}")
    if sound.size == 0:
        raise ValueError(f"{name}: the recording holds no samples")
    if own_rate != rate and not RATES[0] <= own_rate <= RATES[1]:
        raise ValueError(f"{name}: expected a sampling rate of {RATES[0]} to {RATES[1]} Hz, got {own_rate} Hz")
    sound = _scaled(sound, name)
    if not np.isfinite(sound).all():
        first = int(np.argwhere(~np.isfinite(sound))[0][0])
        raise ValueError(f"{name}: sample {first} is not a finite number")
    if sound.ndim == 2:
        sound = sound.mean(axis=1)
    return sound if own_rate == rate else soxr.resample(sound, own_rate, rate).astype(np.float32)


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


_STREAMED = 0x7FFFF000
"""Bytes of sound, from which on a WAV header was written before anybody knew: SoX, arecord and FFmpeg into a pipe."""
_SLACK = 64
"""Bytes that may be missing: some programs count the header as sound."""
_PAGE = 65307
"""Bytes of the largest page of OGG."""
_LAST = 4


def cut_short(file: BinaryIO) -> str:
    """Say what is missing of a WAV or OGG file, which may stand anywhere; empty for whole ones and other formats."""
    file.seek(0)
    magic = file.read(12)
    if magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
        return _wav(file, _size(file))
    return _ogg(file, _size(file)) if magic[:4] == b"OggS" else ""


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _wav(file: BinaryIO, size: int) -> str:
    at = 12
    while at + 8 <= size:
        file.seek(at)
        name, promised = file.read(4), int.from_bytes(file.read(4), "little")
        at += 8
        if name == b"data":
            short = 0 < promised < _STREAMED and size - at < promised - _SLACK
            return f"{size - at} of {promised} bytes of sound are there" if short else ""
        at += promised + promised % 2
    return ""


def _ogg(file: BinaryIO, size: int) -> str:
    file.seek(max(0, size - 2 * _PAGE))  # a tag of another format may stand behind the last page
    tail = file.read()
    at = tail.rfind(b"OggS")
    page = tail[at:] if at >= 0 else b""
    segments = page[26] if len(page) > 26 else 0
    whole = len(page) > 26 and len(page) >= 27 + segments + sum(page[27 : 27 + segments])
    return "" if whole and page[5] & _LAST else "its last page is missing"
