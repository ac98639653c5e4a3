"""Encoded examples kept on disk, so that training again on the same data begins at once.

The name of an entry is a hash of everything that shaped its content: the data's fingerprint and the files it names,
the split, the task's settings, the preprocessor's files, the code, and the libraries that read, hear and look. Nothing
stale can be found, and what cannot be read is made again.
``PIPELINES_CACHE`` names another folder, or ``off``.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.data.inputs import Encoded

LARGEST = 8 * 2**30
"""Bytes that the folder may hold; the entries longest unused go first."""
LIBRARIES = ("tensorflow", "keras", "numpy", "librosa", "soundfile", "soxr", "Pillow")


def folder() -> Path | None:
    """Return the folder of the cache, or None when it is switched off."""
    given = os.environ.get("PIPELINES_CACHE", "")
    if given == "off":
        return None
    return Path(given) if given else Path.home() / ".cache" / "recurrent-pipelines"


def key(**parts: Any) -> str:
    """Return the name of an entry: SHA-256 of ``parts`` as JSON, of this project's code and of libraries' versions."""
    parts = parts | {"versions": [version(name) for name in LIBRARIES]}
    total = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    package = Path(__file__).parent.parent  # captions are encoded as their metrics cut them into words
    for file in sorted([*package.glob("*.py"), *package.glob("data/**/*.py"), *package.glob("training/*metrics.py")]):
        total.update(file.read_bytes())
    return total.hexdigest()


def stamp(files: Iterable[Path]) -> str:
    """Return the SHA-256 of the sizes and the times of change of files: reading them all would cost what a cache saves.

    A file that is not there counts as such.
    """
    total = hashlib.sha256()
    for file in files:
        found = file.stat() if file.exists() else None
        total.update(f"{file.name} {found and (found.st_size, found.st_mtime_ns)}\n".encode())
    return total.hexdigest()


def cached(name: str, make: Callable[[], Encoded]) -> Encoded:
    """Return the entry ``name``, or make and keep it.

    Only tensors of numbers are kept. An entry that is damaged or cannot be written costs time, nothing else.
    """
    home = folder()
    if home is None:
        return make()
    file = home / f"{name}.npz"
    found = _read(file)
    if found is None:
        found = make()
        _write(file, found)
    return found


def _read(file: Path) -> Encoded | None:
    try:
        with np.load(file, allow_pickle=False) as stored:
            meta = json.loads(stored["meta"].tobytes())
            x, y = ({k: _tensor(stored, f"{part}/{k}") for k in meta[part]} for part in ("x", "y"))
            os.utime(file)
            return Encoded(x, y, stored["lengths"], meta["examples"], meta["dropped"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _tensor(stored: Any, name: str) -> Any:
    values = tf.constant(stored[name])
    return tf.RaggedTensor.from_row_splits(values, stored[name + ".splits"]) if name + ".splits" in stored else values


def _write(file: Path, encoded: Encoded) -> None:
    arrays: dict[str, np.ndarray] = {"lengths": encoded.lengths}
    for name, tensor in _features(encoded):
        if isinstance(tensor, tf.RaggedTensor):
            arrays |= {name: tensor.values.numpy(), name + ".splits": tensor.row_splits.numpy()}
        else:
            arrays[name] = np.asarray(tensor)
    if any(array.dtype.kind not in "biuf" for array in arrays.values()):
        return
    meta = {"x": list(encoded.x), "y": list(encoded.y), "examples": encoded.examples, "dropped": encoded.dropped}
    temporary = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            np.savez(stream, allow_pickle=False, meta=text, **arrays)
        os.replace(temporary, file)
        _forget(file.parent)
    except (OSError, TypeError):  # no room, or an example that is no JSON
        temporary.unlink(missing_ok=True)


def _features(encoded: Encoded) -> Iterator[tuple[str, Any]]:
    for part, features in (("x", encoded.x), ("y", encoded.y)):
        for name, tensor in features.items():
            yield f"{part}/{name}", tensor


def _forget(home: Path) -> None:
    entries = sorted(home.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
    size = 0
    for file in entries:
        size += file.stat().st_size
        if size > LARGEST:
            file.unlink()
