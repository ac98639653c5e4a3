"""Whether a recording was cut short that libsndfile reads as far as it goes: WAV and OGG.

Both say where they end: WAV in front, how many bytes of sound follow, and OGG in its last page, that it is the last.
"""

from __future__ import annotations

from typing import BinaryIO

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
