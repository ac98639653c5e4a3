"""Pictures outside the graph: reading files of many formats, and saying in words what is wrong with one."""

import hashlib
import io
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from pipelines.data.folders import begins, chosen
from pipelines.data.images.pixels import MAX_PIXELS
from pipelines.data.reading import read_regular

SMALLEST = 8
"""Pixels a side below which a picture can hardly show anything."""
MOST_BYTES = 2**29
"""Bytes of a file above which it holds no picture of so few pixels as are taken."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # an MPO is a JPEG followed by more of them
EXPECTED = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
_IN_GRAPH = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")
_BOXES = ((b"RIFF", b"WEBP"), (b"\0\0\0", b"avif"), (b"\0\0\0", b"avis"))
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, MemoryError)


class Finding(NamedTuple):
    """What a look at a picture found.

    Attributes:
        problem: why it cannot be used, one clause; empty when it can.
        notes: what is unusual about a picture that can be used.
    """

    problem: str
    notes: tuple[str, ...] = ()


def raw(picture: bytes | str | Path) -> bytes:
    """Return the bytes of a picture file as they are; bytes are returned.

    Raises:
        ValueError: there is no such file, it is no regular one, is too large, or cannot be read; names the file.
    """
    if isinstance(picture, bytes):
        return picture
    path = Path(os.path.expanduser(picture))  # that of `Path` raises for a file called ~tmp.jpg
    if os.path.isdir(path):
        raise ValueError(f"{path}: expected a picture, found a folder")
    try:
        return read_regular(path, MOST_BYTES)
    except ValueError as error:
        raise ValueError(str(error).replace("there is no such file", "there is no such picture")) from None


def read(picture: bytes | str | Path) -> bytes:
    """Return the bytes of a picture, which the graph can decode: those of a JPEG or PNG file, or packed as PNG.

    The graph decodes JPEG and PNG. WebP, GIF, BMP, TIFF and AVIF are decoded by Pillow, the first picture of several,
    upright. What cannot be decoded is returned as it is: `inspect` says why.

    Raises:
        ValueError: see `raw`.
    """
    content = raw(picture)
    if content.startswith(_IN_GRAPH) or inspect(content, whole=False).problem:
        return content
    buffer = io.BytesIO()
    try:
        with _opened(content) as found:
            _first(found).save(buffer, "PNG", compress_level=1)
    except _DAMAGE:
        return content
    return buffer.getvalue()


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    with (
        warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
        Image.open(io.BytesIO(content)) as picture,
    ):
        yield picture


def _first(picture: Image.Image) -> Image.Image:
    """The first picture of a file, upright, as RGB, or RGBA where it is transparent."""
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return upright.convert("RGBA" if upright.has_transparency_data else "RGB")


def pixels_digest(picture: bytes | str | Path) -> bytes:
    """Return the SHA-256 of a picture's size and pixels, whatever the file is called and how it is packed.

    Raises:
        ValueError: it cannot be decoded.
    """
    content = raw(picture)
    if problem := inspect(content, whole=False).problem:
        raise ValueError(problem)
    try:
        with _opened(content) as found:
            first = _first(found).convert("RGBA")
    except _DAMAGE as error:
        raise ValueError(str(error)) from None
    return hashlib.sha256(f"{first.size}".encode() + first.tobytes()).digest()


def pictures_in(path: str | Path) -> list[str]:
    """Return the path of one picture as it is; for a folder, the pictures in it, sorted by name.

    A file counts by its first bytes, whatever it is called, or by its ending, so that broken ones are not passed over.
    What is passed over is named on standard error.

    Raises:
        ValueError: a folder without pictures, or one that cannot be read.
    """
    path = Path(os.path.expanduser(path))
    if not os.path.isdir(path):  # that of `Path` raises where a name is longer than names can be
        return [str(path)]
    return chosen(path, _is_picture, "pictures", EXPECTED)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS or begins(path, _MAGIC, _BOXES)


def inspect(content: bytes, whole: bool = True, max_pixels: int = MAX_PIXELS) -> Finding:
    """Look at the bytes of a picture file, with Pillow, independently of the decoder in the graph.

    Args:
        content: the file's bytes; what the file is called does not matter.
        whole: also decode it, which finds damage behind the header; else only the header is read.
        max_pixels: height times width from which it is refused without decoding.
    """
    if not content:
        return Finding("the file is empty (0 bytes)")
    try:
        with _opened(content) as picture:
            if picture.format not in FORMATS:
                return Finding(f"is a {picture.format} picture, expected {EXPECTED}")
            if picture.width * picture.height > max_pixels:
                return Finding(f"has {picture.width} x {picture.height} pixels, {_too_many(max_pixels)}")
            if picture.format != "PNG" and picture.mode in ("I", "F"):
                return Finding("has 32 bits a pixel, which do not say how bright white is; save it as PNG or JPEG")
            notes = _notes(picture, count=whole)
            if whole:
                picture.load()
            return Finding("", notes)
    except Image.DecompressionBombError:
        return Finding(f"has too many pixels, {_too_many(max_pixels)}")
    except UnidentifiedImageError:
        return Finding(f"is no picture, expected the bytes of a file of {EXPECTED}")
    except _DAMAGE as error:
        return Finding(f"is damaged or cut short ({str(error).rstrip('.') or type(error).__name__})")


def _too_many(most: int) -> str:
    """Say that a picture has too many pixels, and what to do; the side of a square leaves room for oblong ones."""
    side = int((most / 2) ** 0.5) // 100 * 100 or 1
    return f"more than {most:,} are refused; shrink it, for example: magick IN.jpg -resize {side}x{side} OUT.jpg"


def _notes(picture: Image.Image, count: bool) -> tuple[str, ...]:
    """What is unusual about a picture; its pages are counted only if asked for, which may take long."""
    notes = []
    frames = getattr(picture, "n_frames", 1) if count else 1
    if frames > 1 and picture.format == "PNG":
        notes.append("is animated, only its still picture is seen")
    elif frames > 1 and picture.format != "MPO":
        notes.append(f"holds {frames} pictures, only the first is seen")
    if picture.mode in ("CMYK", "YCCK"):
        notes.append("is CMYK, it is converted to RGB")
    if picture.mode.startswith(("I", "F")):
        notes.append("has 16 bits a channel, 8 are used")
    if picture.has_transparency_data:
        notes.append("is transparent, it is laid over white")
    if picture.format != "PNG" and picture.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1):
        notes.append("is stored turned, it is turned upright by its EXIF orientation")
    if min(picture.size) < SMALLEST:
        notes.append(f"has only {picture.width} x {picture.height} pixels")
    return tuple(notes)
