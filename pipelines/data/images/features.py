"""Features of pictures from a frozen network, computed once and kept on disk.

A picture is known by the SHA-256 of its bytes and a network by its name, size, layer and weights, so that features
are shared by all runs and all data sets, and can never be those of another picture or network. They are kept in
parts; a part counts only once its index is written, so a killed computation goes on where it was.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pipelines.data.images.files import raw, read
from pipelines.data.images.network import PictureNetwork
from pipelines.data.images.pixels import OK, UNREADABLE, decode

PART = 256  # pictures a part
BATCH = 32  # pictures the network sees at once
LARGEST = float(np.finfo(np.float16).max)

Picture = bytes | str | Path


def folder_of(network: PictureNetwork, root: Path, mirrored: bool = False) -> Path:
    """Return the folder within ``root`` that holds the features of ``network``."""
    key = [network.network, str(network.size), network.layer or "last", network.sha256[:16]] + ["mirrored"] * mirrored
    return root / "features" / "-".join(key)


def compute(
    network: PictureNetwork, contents: Sequence[bytes], mirrored: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Compute features without keeping them.

    Args:
        network: the network.
        contents: N pictures, the bytes of JPEG or PNG files.
        mirrored: look at them in a mirror, left for right.

    Returns:
        features float16 [N, S, D], zeros where the picture is unusable; status int32 [N], see `images.decode`.
    """
    features = np.zeros((len(contents), network.cells, network.features), np.float16)
    status = np.zeros(len(contents), np.int32)
    function = _function(network)
    mirror = tf.constant(mirrored)
    for start in range(0, len(contents), BATCH):
        rows, found = function(tf.constant(list(contents[start : start + BATCH])), mirror)
        features[start : start + BATCH], status[start : start + BATCH] = rows.numpy(), found.numpy()
    return features, status


def as_kept(network: PictureNetwork, pixels: Any, status: Any) -> Any:
    """In graph: pixels uint8 [B, size, size, 3] -> the features that are kept, float16 [B, S, D], zeros unless OK."""
    grid = tf.where((status == OK)[:, None, None], network(pixels), 0.0)
    return tf.cast(tf.clip_by_value(grid, -LARGEST, LARGEST), tf.float16)


def _function(network: PictureNetwork) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The traced way from bytes to features; one trace a network."""
    if not hasattr(network, "from_bytes"):

        def from_bytes(contents: Any, mirrored: Any) -> tuple[Any, Any]:
            pixels, status = decode(contents, network.size)
            pixels = tf.where(mirrored, pixels[:, :, ::-1], pixels)
            return as_kept(network, pixels, status), status

        signature = [tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.bool)]
        network.from_bytes = tf.function(from_bytes, input_signature=signature, autograph=False)
    function: Callable[[Any, Any], tuple[Any, Any]] = network.from_bytes
    return function


def load(
    network: PictureNetwork, pictures: Sequence[Picture], root: Path | None, mirrored: bool = False
) -> tuple[Any, np.ndarray]:
    """Return the features of pictures, computing and keeping those that are not on disk yet.

    Args:
        network: the network.
        pictures: N pictures, each the bytes or the path of a file, see `files.read`.
        root: the folder of what is kept (`cache.folder`); None keeps nothing.
        mirrored: look at them in a mirror, left for right.

    Returns:
        features float16 [M, S, D] of the M usable pictures, in order; status int32 [N], see `images.decode`.

    Raises:
        RuntimeError: the disk refused.
    """
    if root is None:
        rows, found = compute(network, [contents(picture) for picture in pictures], mirrored)
        return rows[found == OK], found
    folder = folder_of(network, root, mirrored).absolute()
    digests = [_digest(picture) for picture in pictures]
    refused = {"": UNREADABLE}
    try:
        kept = _KEPT.setdefault(folder, Kept(folder, network))
        kept.refresh()
        missing = {d: p for d, p in zip(digests, pictures, strict=True) if d and d not in kept.known}
        for part, status in _compute_parts(network, missing, folder, mirrored):
            refused |= {digest: code for digest, code in status.items() if code != OK}
            kept.add(part)
        usable = [digest for digest in digests if digest in kept.known]
        if len(usable) < sum(digest not in refused for digest in digests):  # rows would be those of other pictures
            raise OSError("what was written cannot be read back")
        rows = kept.gather(usable)
    except OSError as error:
        raise RuntimeError(
            f"{folder}: picture features cannot be kept: {error.strerror or error}; PIPELINES_CACHE=FOLDER keeps them "
            "elsewhere, PIPELINES_CACHE=off computes them anew each time"
        ) from None
    return rows, np.array([refused.get(digest, OK) for digest in digests], np.int32)


def contents(picture: Picture) -> bytes:
    """Return a picture's bytes; none where the file cannot be read, which the status of decoding them then tells."""
    try:
        return read(picture)
    except ValueError:
        return b""


def _digest(picture: Picture) -> str:
    """SHA-256 of a picture's bytes; empty where the file cannot be read."""
    try:
        return hashlib.sha256(raw(picture)).hexdigest()
    except ValueError:
        return ""


def _compute_parts(
    network: PictureNetwork, missing: dict[str, Picture], folder: Path, mirrored: bool
) -> Iterator[tuple[Path, dict[str, int]]]:
    """Compute and write part after part; yields the part's index file and the status of each picture."""
    digests = list(missing)
    if digests:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / "network.json", json.dumps(network.record(), indent=1).encode())
    with tqdm(
        total=len(digests), desc="picture features", unit=" pictures", disable=not sys.stderr.isatty(), leave=False
    ) as bar:
        for start in range(0, len(digests), PART):
            chunk = digests[start : start + PART]
            features, status = compute(network, [contents(missing[digest]) for digest in chunk], mirrored)
            good = [digest for digest, code in zip(chunk, status, strict=True) if code == OK]
            yield _write(folder, good, features[status == OK]), dict(zip(chunk, status.tolist(), strict=True))
            bar.update(len(chunk))


def _write(folder: Path, digests: list[str], features: np.ndarray) -> Path:
    """Write one part: first the features, then the index that makes them count."""
    name = hashlib.sha256("".join(digests).encode()).hexdigest()[:24]
    temporary = folder / f".{os.getpid()}.npy"
    try:
        np.save(temporary, features)
        os.replace(temporary, folder / f"{name}.npy")
    finally:
        temporary.unlink(missing_ok=True)
    index = folder / f"{name}.json"
    _replace(index, json.dumps(digests).encode())
    return index


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


Stamp = tuple[tuple[int, int, int] | None, ...]
"""Identity, size and time of change of a part's index and of its features; None for a file that is not there."""


class Kept:
    """Where the features in one folder lie. Each part is read once, however often pictures are looked up in it.

    Attributes:
        known: SHA-256 of a picture -> the file of its part, and its row there.
    """

    def __init__(self, folder: Path, network: PictureNetwork) -> None:
        self.folder, self.shape = folder, (network.cells, network.features)
        self.known: dict[str, tuple[Path, int]] = {}
        self._stamps: dict[Path, Stamp] = {}

    def refresh(self) -> None:
        """Read the parts that came since; all of them where one was changed or taken away."""
        stamps = {index: _stamp(index) for index in sorted(self.folder.glob("*.json")) if index.name != "network.json"}
        if any(stamps.get(index) != stamp for index, stamp in self._stamps.items()):
            self.known, self._stamps = {}, {}
        for index in stamps:
            if index not in self._stamps:
                self.add(index)

    def add(self, index: Path) -> None:
        """Read where each picture of a part lies; nothing of one that is damaged, which is then computed again."""
        self._stamps[index] = _stamp(index)
        part = index.with_suffix(".npy")
        try:
            digests = json.loads(index.read_text("utf-8"))
            features = np.load(part, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return
        if isinstance(digests, list) and features.shape == (len(digests), *self.shape) and features.dtype == np.float16:
            self.known |= {digest: (part, row) for row, digest in enumerate(digests)}

    def gather(self, digests: Sequence[str]) -> np.ndarray:
        """Return the features of N known pictures, float16 [N, S, D]; one part is open at a time.

        Raises:
            OSError: a part was taken away meanwhile.
        """
        rows = np.empty((len(digests), *self.shape), np.float16)
        places: dict[Path, list[tuple[int, int]]] = {}
        for place, digest in enumerate(digests):
            part, row = self.known[digest]
            places.setdefault(part, []).append((place, row))
        for part, pairs in places.items():
            features = np.load(part, mmap_mode="r", allow_pickle=False)
            for place, row in pairs:
                rows[place] = features[row]
        return rows


_KEPT: dict[Path, Kept] = {}
"""Every folder of features that this process has looked into: examples are encoded a thousand at a time."""


def _stamp(index: Path) -> Stamp:
    found: list[tuple[int, int, int] | None] = []
    for path in (index, index.with_suffix(".npy")):
        try:
            state = os.stat(path)
        except OSError:
            found.append(None)
        else:
            found.append((state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(found)
