"""Digests that tell duplicates: of decoded sound, of decoded pixels, or of text, independent of file names."""

import hashlib
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.data.source import Example

KINDS = {"audio": "sound", "image": "picture"}
"""Fields that hold a file or its content -> what is compared."""


class Look(NamedTuple):
    """Result of decoding an example's file.

    Attributes:
        digest: 64-bit digest of the decoded content, or of the name if decoding fails; None if there is no file.
        notes: what is unusual about the file.
    """

    digest: int | None
    notes: tuple[str, ...] = ()


def kind_of(example: Example) -> str:
    """Return what is compared for an example: ``sound``, ``picture`` or ``text``."""
    return next((kind for name, kind in KINDS.items() if name in example), "text")


def look(example: Example) -> Look:
    """Decode the file of an example; the task itself reports files that cannot be decoded."""
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
    """Return a 64-bit digest of a text that ignores case, spacing and Unicode normal form."""
    plain = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    return _short(hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest())


def _short(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big")
