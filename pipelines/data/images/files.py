"""Pictures outside the graph: reading files, and saying in words what is wrong with one."""

import io
import os
import struct
import warnings
from pathlib import Path
from typing import NamedTuple

from PIL import ExifTags, Image, UnidentifiedImageError

from pipelines.data.images.pixels import MAX_PIXELS

SMALLEST = 8
"""Pixels a side below which a picture can hardly show anything."""

ENDINGS = (".jpg", ".jpeg", ".png")


class Finding(NamedTuple):
    """What a look at a picture found.

    Attributes:
        problem: why it cannot be used, one clause; empty when it can.
        notes: what is unusual about a picture that can be used.
    """

    problem: str
    notes: tuple[str, ...] = ()


def read(picture: bytes | str | Path) -> bytes:
    """Return the bytes of a picture file; bytes are returned as they are.

    Raises:
        ValueError: there is no such file, it is a folder, or it cannot be read; names the file.
    """
    if isinstance(picture, bytes):
        return picture
    path = Path(os.path.expanduser(picture))  # that of `Path` raises for a file called ~tmp.jpg
    if os.path.isdir(path):
        raise ValueError(f"{path}: expected a picture, found a folder")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such picture") from None
    except (OSError, ValueError) as error:  # a name with a zero byte is no OSError
        raise ValueError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def pictures_in(path: str | Path) -> list[str]:
    """Return the path of one picture as it is; for a folder, the JPEG and PNG files in it, sorted by name.

    A file counts by its first bytes, whatever it is called, or by its ending, so that broken ones are not passed over.

    Raises:
        ValueError: a folder without pictures, or one that cannot be read.
    """
    path = Path(os.path.expanduser(path))
    if not os.path.isdir(path):  # that of `Path` raises where a name is longer than names can be
        return [str(path)]
    try:
        files = [p for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith(".")]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from None
    found = [str(p) for p in files if p.suffix.lower() in ENDINGS or _begins_a_picture(p)]
    if not found:
        raise ValueError(f"{path}: expected a folder with JPEG or PNG pictures, found none among {len(files)} files")
    return found


def _begins_a_picture(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(8).startswith((b"\xff\xd8\xff", b"\x89PNG"))
    except OSError:
        return False


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
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(io.BytesIO(content)) as picture,
        ):
            if picture.format not in ("JPEG", "MPO", "PNG"):  # an MPO is a JPEG followed by more of them
                return Finding(f"is a {picture.format} picture, expected JPEG or PNG")
            if picture.width * picture.height > max_pixels:
                return Finding(f"has {picture.width} x {picture.height} pixels, more than {max_pixels:,} are refused")
            notes = _notes(picture)
            if whole:
                picture.load()
            return Finding("", notes)
    except Image.DecompressionBombError:
        return Finding(f"has more than {max_pixels:,} pixels, so many are refused")
    except UnidentifiedImageError:
        return Finding("is no picture, expected the bytes of a JPEG or PNG file")
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as error:
        return Finding(f"is damaged or cut short ({str(error).rstrip('.') or type(error).__name__})")


def _notes(picture: Image.Image) -> tuple[str, ...]:
    notes = []
    if getattr(picture, "n_frames", 1) > 1 and picture.format == "PNG":
        notes.append("is animated, only its still picture is seen")
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
