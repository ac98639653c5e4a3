"""Unusual and broken picture files for tests and for the proof of an export."""

import io
from typing import Any

import numpy as np
from PIL import Image


def files() -> list[bytes]:
    """Return the bytes of unusual and of broken picture files.

    Of one pixel, one row, grey, 16-bit, palette, CMYK, transparent, large; empty, text, cut short, a GIF, and a PNG
    that promises a billion pixels.
    """
    rows, columns = np.mgrid[0:1:60j, 0:1:90j]
    scene = (127 + 120 * np.sin(np.stack([9 * rows, 7 * columns, 5 * rows * columns], -1))).astype(np.uint8)
    opaque = np.concatenate([scene, scene[..., :1]], axis=-1)
    jpeg, png = _file(scene, "JPEG"), _file(scene, "PNG")
    usable = [
        _file(scene[:1, :1], "PNG"),
        _file(scene[:1], "PNG"),
        _file(scene[..., 0], "JPEG"),
        _file(scene[..., 0].astype(np.uint16) * 257, "PNG"),
        _file(Image.fromarray(scene).convert("P"), "PNG"),
        _file(Image.fromarray(scene).convert("CMYK"), "JPEG"),
        _file(opaque, "PNG"),
        _file(np.tile(scene, (10, 10, 1)), "JPEG"),
    ]
    enormous = png[:16] + (40000).to_bytes(4, "big") * 2 + png[24:]
    return [*usable, b"", b"a dog runs", jpeg[: len(jpeg) // 2], png[:-30], _file(scene, "GIF"), enormous]


def _file(picture: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, kind)
    return buffer.getvalue()
