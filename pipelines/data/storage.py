"""Encoded examples as columns of numbers in files: written part by part, read as they are needed.

Neither writing nor training holds more of them in memory than a part or a few batches, so that the data may be larger
than memory. A folder holds one raw file a column, in C order, and an index of their types and shapes, which is written
last. A ragged feature is two columns, its values and the length of each row; so are the examples, which are JSON.
"""

import json
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.data.batching import Encoded, Rows

INDEX = "index.json"
COUNTS = ".counts"
IN_MEMORY = 256 * 2**20
"""Bytes below which encoded examples are held in memory."""
SHORT = 32 * 2**10
"""Bytes of a row below which reading it page by page costs less than reading what is around it."""
Columns = dict[str, np.ndarray]


@dataclass
class Column:
    """A column that is being written: ``rows`` rows of the shape ``tail``."""

    path: Path
    dtype: np.dtype[Any]
    tail: tuple[int, ...]
    rows: int = 0

    def append(self, array: np.ndarray) -> None:
        """Write rows behind the others; where trailing axes differ, the smaller ones are filled up with zeros."""
        tail = tuple(int(size) for size in np.maximum(self.tail, array.shape[1:]))
        if tail != self.tail:
            before, self.tail = _mapped(self.path, self.dtype, (self.rows, *self.tail)), tail
            wider = self.path.with_name(self.path.name + ".wider")
            _filled(before, tail).tofile(wider)
            wider.replace(self.path)
        with open(self.path, "ab") as file:
            _filled(array, tail).tofile(file)
        self.rows += len(array)


class Examples(Sequence[dict[str, Any]]):
    """Examples in a file, of which each is parsed when it is asked for."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        """Return N."""
        return len(self.rows.row_splits) - 1

    def __getitem__(self, number: Any) -> Any:
        """Return one example; a list of them for a slice."""
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        start = range(len(self))[int(number)]
        begin, end = self.rows.row_splits[start : start + 2]
        return json.loads(self.rows.values[begin:end].tobytes())


def store(folder: Path, parts: Iterable[Encoded]) -> None:
    """Write parts, which have the same features, one after another into a new folder.

    Raises:
        TypeError: a feature is not made of numbers, or an example is no JSON.
        OSError: the disk refused.
    """
    folder.mkdir(parents=True)
    columns: dict[str, Column] = {}
    dropped: list[str] = []
    for part in parts:
        dropped += part.dropped
        for name, array in _columns(part).items():
            if name not in columns:
                columns[name] = Column(folder / name.replace("/", "."), array.dtype, array.shape[1:])
            columns[name].append(array)
    shapes = {name: [c.dtype.str, [c.rows, *c.tail]] for name, c in columns.items()}
    (folder / INDEX).write_text(json.dumps({"columns": shapes, "dropped": dropped}), "utf-8")


def load(folder: Path, in_memory: int = IN_MEMORY) -> Encoded:
    """Open what ``store`` wrote; features are arrays mapped from their files, and `Rows` of such.

    Where all of it is smaller than ``in_memory`` bytes they are tensors, out of which a batch is gathered without
    Python: short steps would wait for it.

    Raises:
        OSError: there is no such folder, or a file is missing.
        ValueError, KeyError, TypeError: a file is damaged.
    """
    index = json.loads((folder / INDEX).read_text("utf-8"))
    columns = {
        name: _mapped(folder / name.replace("/", "."), np.dtype(dtype), tuple(shape))
        for name, (dtype, shape) in index["columns"].items()
    }
    if sum(array.nbytes for array in columns.values()) > available() / 2:
        for array in columns.values():
            _read_singly(array, rows=len(columns["lengths"]))
    counted = {name.removesuffix(COUNTS) for name in columns if name.endswith(COUNTS)}
    features: dict[str, Any] = {
        name: _rows(array, columns[name + COUNTS]) if name in counted else array
        for name, array in columns.items()
        if not name.endswith(COUNTS)
    }
    form = _tensor if sum(array.nbytes for array in columns.values()) < in_memory else lambda feature: feature
    x, y = ({k.removeprefix(p): form(v) for k, v in features.items() if k.startswith(p)} for p in ("x/", "y/"))
    return Encoded(x, y, np.array(features["lengths"]), Examples(features["examples"]), index["dropped"])


def _columns(part: Encoded) -> Columns:
    texts = [json.dumps(example).encode() for example in part.examples]
    columns: Columns = {
        "lengths": part.lengths,
        "examples": np.frombuffer(b"".join(texts), np.uint8),
        "examples" + COUNTS: np.array([len(text) for text in texts], np.int64),
    }
    for prefix, features in (("x/", part.x), ("y/", part.y)):
        for name, values in features.items():
            ragged = isinstance(values, tf.RaggedTensor)
            columns[prefix + name] = np.asarray(values.values if ragged else values)
            columns |= {prefix + name + COUNTS: np.asarray(values.row_lengths())} if ragged else {}
    odd = [name for name, array in columns.items() if array.dtype.kind not in "biuf"]
    if odd:
        raise TypeError(f"{odd[0]} is not made of numbers but of {columns[odd[0]].dtype}")
    return columns


def _rows(values: np.ndarray, counts: np.ndarray) -> Rows:
    row_splits = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    if row_splits[-1] != len(values):
        raise ValueError(f"{len(values)} values in rows of {row_splits[-1]}")
    return Rows(values, row_splits)


def _tensor(feature: np.ndarray | Rows) -> Any:
    with tf.device("CPU:0"):  # the memory of a GPU is for batches
        if isinstance(feature, Rows):
            return tf.RaggedTensor.from_row_splits(np.array(feature.values), feature.row_splits)
        return tf.constant(np.array(feature))


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    size = path.stat().st_size
    if size != dtype.itemsize * int(np.prod(shape)):
        raise ValueError(f"{path}: expected {shape} of {dtype}, has {size} bytes")
    return np.memmap(path, dtype, "r", shape=shape) if size else np.zeros(shape, dtype)


def _read_singly(array: np.ndarray, rows: int) -> None:
    """Let the kernel read the pages of a short row and none around it: they would push out those of other rows.

    Rows come in random order. What fits into memory is there sooner if neighbours are read along.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and array.nbytes < SHORT * rows and hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)


def _filled(array: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
    return np.pad(array, [(0, 0), *((0, to - size) for to, size in zip(tail, array.shape[1:], strict=True))])


CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def available() -> int:
    """Return bytes: the memory of the machine, or the smallest limit of the control groups of this process."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_limits()])


def _limits() -> Iterator[int]:
    """Stream the limits of both versions of control groups; within a container its own group stands at the top."""
    try:
        lines = OWN.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, name = (CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (CGROUPS, "memory.max")
        for file in {folder / path.lstrip("/") / name, folder / name}:
            try:
                yield int(file.read_text())
            except (OSError, ValueError):  # not there, or "max"
                continue
