"""MP3 files that do not say how long they are: what libsndfile is given so that it reads them to the end.

It takes the length of an MP3 from the tag in its first frame (Xing, Info). Where there is none it estimates the length
from the size of that frame, and reads no further: of a variable bit rate, half may be lost. So the frames are counted
here, and a tag with their number goes before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

FRAME = 1152
"""Samples of the longest frame of layer III: a recorder may stop within its last one."""
_RATES = (44100, 48000, 32000)
_KILOBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KILOBITS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # of MPEG 2 and 2.5
_MIDDLE = 9
"""Number of the bit rate of the frame that is made: it has room for a tag at every sampling rate."""
_SYNC = re.compile(b"\xff[\xe2-\xff]")
_TAGS = (b"Xing", b"Info")


class _Frame(NamedTuple):
    """A frame of layer III: its header, and where it begins and should end."""

    header: bytes
    start: int
    end: int

    def like(self, other: _Frame | None) -> bool:
        """Whether version, layer and sampling rate are the same."""
        kinds = [(one.header[1] & 0xFE, one.header[2] & 0x0C) for one in (self, other) if one]
        return len(kinds) == 2 and kinds[0] == kinds[1]


def _size(header: bytes) -> int:
    """Bytes of the frame of a header; 0 for what is no header of layer III, or one of a free bit rate."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, number, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or number in (0, 15) or rate == 3:
        return 0
    bits = 1000 * (_KILOBITS if version == 3 else _KILOBITS_2)[number - 1]
    hertz = _RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    return (144 if version == 3 else 72) * bits // hertz + (header[2] >> 1 & 1)


def _frame(content: bytes, start: int) -> _Frame | None:
    header = content[start : start + 4]
    size = _size(header)
    return _Frame(header, start, start + size) if size else None


def _next(content: bytes, start: int) -> _Frame | None:
    """Find the next frame that another one of its kind follows: two bytes of anything may look like one."""
    if content[start : start + 3] == b"ID3" and len(content) > start + 10:  # its pictures may hold anything
        sizes = content[start + 6 : start + 10]
        start += 10 + sum((byte & 127) << 7 * (3 - place) for place, byte in enumerate(sizes))
    found = (_frame(content, match.start()) for match in _SYNC.finditer(content, start))
    return next((frame for frame in found if frame and frame.like(_frame(content, frame.end))), None)


def _frames(content: bytes, first: _Frame) -> Iterator[_Frame]:
    """Stream the whole frames from the first on; what lies between and behind them is passed over."""
    frame: _Frame | None = first
    while frame:
        if frame.end <= len(content):
            yield frame
        following = _frame(content, frame.end)
        frame = following if first.like(following) else _next(content, frame.end)


def _side(header: bytes) -> int:
    """Where a tag stands in a frame: behind the header, and what is said of its halves."""
    mono, one = header[3] >> 6 == 3, header[1] >> 3 & 3 == 3
    return 4 + ((17 if mono else 32) if one else (9 if mono else 17))


def _tagged(content: bytes, frame: _Frame) -> bool:
    place = frame.start + _side(frame.header)
    return content[place : place + 4] in _TAGS


def _complete(content: bytes, first: _Frame) -> bool:
    """Whether the tag of the first frame says how many there are, and no other recording is joined behind them."""
    place = first.start + _side(first.header)
    flags = content[place + 7 : place + 8]
    if not _tagged(content, first) or not flags or not flags[0] & 1:
        return False
    size = int.from_bytes(content[place + 12 : place + 16], "big") if flags[0] & 2 else 0
    return not size or _next(content, first.start + size) is None


def counted(content: bytes) -> bytes | None:
    """Return an MP3 with a tag that counts its frames, so that all of them are read.

    Args:
        content: the bytes of an MP3 file.

    Returns:
        The tag and the whole frames; None where the file's own tag is right, or where no frames are found.
    """
    first = _next(content, 0)
    if first is None or _complete(content, first):
        return None
    frames = [content[f.start : f.end] for f in _frames(content, first) if first.like(f) and not _tagged(content, f)]
    # The frame of the tag has no checksum and no padding, and is silent.
    header = bytes([0xFF, first.header[1] | 1, _MIDDLE << 4 | first.header[2] & 0x0C, first.header[3]])
    tag = b"Info" + (1).to_bytes(4, "big") + len(frames).to_bytes(4, "big")
    return b"".join([(header + bytes(_side(header) - 4) + tag).ljust(_size(header), b"\0"), *frames])
