"""Decode sound files block by block: memory never depends on a header, and every error is one sentence."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import soundfile

from pipelines.data.audio.channels import CANCEL, Powers
from pipelines.data.audio.mp3 import FRAME, counted
from pipelines.data.reading import open_regular

Array = np.ndarray[Any, Any]
Source = str | os.PathLike[str] | bytes
MOST = 2**29
"""Most samples of a recording, at its own rate or the model's: 9 hours at 16 kHz, 2 GiB in memory."""
_MOST_MP3 = 2**30
_UNKNOWN = 2**62
"""Samples that libsndfile names where a file does not say how many there are."""
_BLOCK = 2**20
_ERRORS = (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, AssertionError, OSError, EOFError)
EXPECTED = "expected WAV, FLAC, OGG, MP3 or another format of libsndfile; others: ffmpeg -i FILE OUT.wav"


class Decoded(NamedTuple):
    """A decoded recording: mono float32 [N], its rate in Hz, and a note if something is unusual."""

    samples: Array
    rate: int
    note: str


def decode(source: Source, name: str) -> Decoded:
    """Decode the file at a path, or the bytes of one.

    Raises:
        ValueError: beginning with ``name``: it is missing, no regular file, unreadable, larger than ``MOST``, or cut
            short, as WAV, FLAC, OGG, and MP3 with a tag (Xing, Info) let one know. Of another MP3 all that is there is
            decoded.
    """
    samples, rate, channel = _pass(source, name, None)
    if channel is None:
        return Decoded(samples, rate, "")
    samples, rate, _ = _pass(source, name, channel)
    return Decoded(samples, rate, CANCEL)


def _pass(source: Source, name: str, channel: int | None) -> tuple[Array, int, int | None]:
    """Decode one channel, or the mean of all and the channel to use instead if they cancel."""
    with _sized(source, name) as file, _told(name):
        promised, slack = file.frames, FRAME if file.format == "MP3" else 1
        if MOST < promised < _UNKNOWN:
            raise Fault(f"{name}: claims {promised:,} samples, at most {MOST:,} are read; cut it into parts")
        powers = Powers(file.channels)
        parts, there = [np.zeros(0, np.float32)], 0
        for block in _blocks(file):
            there += len(block)
            if there > MOST:
                raise Fault(f"{name}: has more than {MOST:,} samples, so many are not read; cut it into parts")
            parts.append(block.mean(axis=1) if channel is None else block[:, channel].copy())
            if channel is None and file.channels > 1:
                powers.add(block, parts[-1])
        rate = int(file.samplerate)
        if there + slack <= promised < _UNKNOWN:
            raise Fault(f"{name}: cut short, {there} of {promised} samples could be decoded")
        return np.concatenate(parts), rate, powers.loudest()


def _blocks(file: Any) -> Iterator[Array]:
    """Stream float32 [N, C]; formats such as GSM 6.10 in WAV can only be read this way."""
    size = max(1, _BLOCK // file.channels)
    while len(block := file.read(size, dtype="float32", always_2d=True)):
        yield block


class Fault(ValueError):
    """An error that already names its file."""


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn every error of the library into one sentence."""
    try:
        yield
    except Fault:
        raise
    except MemoryError:
        raise ValueError(f"{name}: needs more memory than there is; cut it into parts") from None
    except _ERRORS as error:
        raise ValueError(f"{name}: cannot be decoded ({_reason(error)}); {EXPECTED}") from None


def _reason(error: BaseException) -> str:
    return str(getattr(error, "error_string", None) or error or type(error).__name__).rstrip(".")


def _opened(source: Source, name: str) -> Any:
    """A soundfile for a path or for the bytes of a file; ValueError with one sentence when there is none."""
    if not isinstance(source, bytes):
        if Path(source).is_dir():
            raise ValueError(f"{name}: expected a recording, found a folder")
        with _stream(source, name) as file:
            if not _size(file):
                raise ValueError(f"{name}: the file is empty (0 bytes)")
    try:
        return soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source))
    except _ERRORS as error:
        reason = "no known audio format" if isinstance(error, TypeError) else _reason(error)
        raise ValueError(f"{name}: not a readable recording ({reason}); {EXPECTED}") from None


def _sized(source: Source, name: str) -> Any:
    """The soundfile of a recording that knows its own length; ValueError when there is none, or it is cut short."""
    file = _opened(source, name)
    try:
        with _stream(source, name) as content:
            missing = cut_short(content)
            whole = _whole_mp3(content, name) if file.format == "MP3" else None
    except BaseException:
        file.close()
        raise
    if missing or whole:
        file.close()
    if missing:
        raise ValueError(f"{name}: cut short, {missing}")
    return _opened(whole, name) if whole else file


def _whole_mp3(content: BinaryIO, name: str) -> bytes | None:
    if _size(content) > _MOST_MP3:
        raise ValueError(f"{name}: has {_size(content):,} bytes, at most {_MOST_MP3:,} are read; cut it into parts")
    content.seek(0)
    return counted(content.read())


def _stream(source: Source, name: str) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return open_regular(source)
    except ValueError as error:
        raise ValueError(f"{name}: {str(error).removeprefix(f'{os.fspath(source)}: ')}") from None


def extent(content: bytes) -> tuple[int, int, int]:
    """Return samples a channel, channels and rate in Hz of the bytes of a recording, without decoding it.

    Raises:
        ValueError: it is no recording.
    """
    try:
        found = soundfile.info(io.BytesIO(content))
        whole = counted(content) if found.format == "MP3" else None  # bytes of other formats may look like frames
        found = soundfile.info(io.BytesIO(whole)) if whole else found
    except _ERRORS as error:
        raise ValueError(f"not a readable recording ({_reason(error)}); {EXPECTED}") from None
    return int(found.frames), int(found.channels), int(found.samplerate)


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
