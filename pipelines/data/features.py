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

from pipelines.data.images import OK, UNREADABLE, decode
from pipelines.data.images_files import read
from pipelines.data.images_network import PictureNetwork

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
        pictures: N pictures, each the bytes or the path of a JPEG or PNG file.
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
    folder = folder_of(network, root, mirrored)
    digests = [_digest(picture) for picture in pictures]
    refused = {"": UNREADABLE}
    try:
        known = _index(folder, network)
        missing = {d: p for d, p in zip(digests, pictures, strict=True) if d and d not in known}
        for part, status in _compute_parts(network, missing, folder, mirrored):
            refused |= {digest: code for digest, code in status.items() if code != OK}
            known |= _read_index(part, network)
    except OSError as error:
        raise RuntimeError(
            f"{folder}: picture features cannot be kept: {error.strerror or error}; PIPELINES_CACHE=FOLDER keeps them "
            "elsewhere, PIPELINES_CACHE=off computes them anew each time"
        ) from None
    usable = [digest for digest in digests if digest in known]
    return _gather(known, usable, network), np.array([refused.get(digest, OK) for digest in digests], np.int32)


def contents(picture: Picture) -> bytes:
    """Return a picture's bytes; none where the file cannot be read, which the status of decoding them then tells."""
    try:
        return read(picture)
    except ValueError:
        return b""


def _digest(picture: Picture) -> str:
    """SHA-256 of a picture's bytes; empty where the file cannot be read."""
    try:
        return hashlib.sha256(read(picture)).hexdigest()
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
            features, status = compute(network, [read(missing[digest]) for digest in chunk], mirrored)
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


Known = dict[str, tuple[np.ndarray, int]]


def _index(folder: Path, network: PictureNetwork) -> Known:
    known: Known = {}
    for index in sorted(folder.glob("*.json")):
        if index.name != "network.json":
            known |= _read_index(index, network)
    return known


def _read_index(index: Path, network: PictureNetwork) -> Known:
    """Where each picture of a part lies; empty for a part that is damaged, which is then computed again."""
    try:
        digests = json.loads(index.read_text("utf-8"))
        features = np.load(index.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return {}
    if features.shape != (len(digests), network.cells, network.features) or features.dtype != np.float16:
        return {}
    return {digest: (features, row) for row, digest in enumerate(digests)}


def _gather(known: Known, digests: list[str], network: PictureNetwork) -> np.ndarray:
    rows = np.empty((len(digests), network.cells, network.features), np.float16)
    for i, digest in enumerate(digests):
        features, row = known[digest]
        rows[i] = features[row]
    return rows
