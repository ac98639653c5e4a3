"""What makes two examples the same: equal sound, equal pixels, or equal text; names and files do not count."""

import hashlib
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.data.source import Example

KINDS = {"audio": "sound", "image": "picture"}
"""Fields that hold a file or its content, and what of it is compared."""


class Look(NamedTuple):
    """What a look at an example's file found.

    Attributes:
        digest: 64 bits of what was decoded, or of its name where it cannot be; None where there is no file.
        notes: what is unusual about it.
    """

    digest: int | None
    notes: tuple[str, ...] = ()


def kind_of(example: Example) -> str:
    """Return what of an example is compared: ``sound``, ``picture`` or ``text``."""
    return next((kind for name, kind in KINDS.items() if name in example), "text")


def look(example: Example) -> Look:
    """Decode the file of an example; what is wrong with one that cannot be decoded is told by the task."""
    kind = kind_of(example)
    try:
        return _sound(example) if kind == "sound" else _picture(example) if kind == "picture" else Look(None)
    except (ValueError, OSError, TypeError, MemoryError):
        named = next(example[name] for name in KINDS if name in example)
        return Look(digest_of(named if isinstance(named, str) else repr(named)))


def _picture(example: Example) -> Look:
    from pipelines.data.images.files import pixels_digest  # noqa: PLC0415  # texts need no Pillow

    return Look(_short(pixels_digest(example["image"])))


def _sound(example: Example) -> Look:
    from pipelines.data.audio.decoding import decode  # noqa: PLC0415  # texts need no libsndfile
    from pipelines.data.audio.files import mono  # noqa: PLC0415

    given = example["audio"]
    if isinstance(given, str | bytes | Path):
        found = decode(given, "")
        samples, rate, note = found.samples, found.rate, found.note
    else:
        rate, note = int(example.get("rate") or 0), ""
        samples = mono(np.asarray(given), rate, rate)
    total = hashlib.sha256(f"{rate} {len(samples)}".encode())
    total.update(np.ascontiguousarray(samples).data)
    return Look(_short(total.digest()), (note,) if note else ())


def digest_of(text: str) -> int:
    """Return 64 bits of a text without regard to case, spacing and normal form."""
    plain = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    return _short(hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest())


def _short(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big")
