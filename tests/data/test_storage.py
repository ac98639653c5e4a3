"""Examples written part by part are those of the whole, and batches of files are batches of tensors."""

import mmap
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data import storage
from pipelines.data.batching import Encoded, Rows, batches, epoch_plan

LENGTHS = [3, 1, 9, 4, 17, 2, 8, 1, 5, 30, 2]


def encoded(lengths: list[int], first: int = 0, width: int = 2) -> Encoded:
    """Examples whose numbers say where they come from."""
    count = len(lengths)
    number = np.repeat(np.arange(first, first + count), lengths)
    frames = np.stack([number + column for column in range(width)], axis=1).astype(np.float16)
    x = {
        "tokens": tf.RaggedTensor.from_row_lengths(tf.constant(number + 1, tf.int32), lengths),
        "frames": tf.RaggedTensor.from_row_lengths(tf.constant(frames), lengths),
        "picture": tf.constant(
            np.arange(first, first + count, dtype=np.uint8)[:, None, None] + np.eye(2, dtype=np.uint8)
        ),
    }
    y = {"label": tf.range(first, first + count), "good": tf.constant(np.arange(first, first + count) % 2 == 0)}
    examples = [{"id": str(first + i), "where": f"ü.csv:{first + i}"} for i in range(count)]
    return Encoded(x, y, np.array(lengths, np.int32), examples, [f"ü.csv:{first}: empty"])


def parts(*sizes: int) -> list[Encoded]:
    ends = np.cumsum([0, *sizes])
    return [encoded(LENGTHS[a:b], int(a)) for a, b in pairwise(ends)]


@pytest.mark.parametrize("sizes", [(11,), (4, 4, 3), (1, 9, 1), (5, 0, 6)])
def test_parts_make_the_whole(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    storage.store(tmp_path / "k", parts(*sizes))
    found, whole = storage.load(tmp_path / "k", in_memory=0), encoded(LENGTHS)
    assert list(found.examples) == whole.examples and found.examples[-1]["where"] == "ü.csv:10"
    assert found.examples[2:4] == whole.examples[2:4] and len(found.dropped) == len(sizes)
    with pytest.raises(IndexError):
        found.examples[11]
    np.testing.assert_array_equal(found.lengths, whole.lengths)
    for name in ("tokens", "frames"):
        assert isinstance(found.x[name], Rows) and isinstance(found.x[name].values, np.memmap)
        np.testing.assert_array_equal(found.x[name].values, whole.x[name].values)
        np.testing.assert_array_equal(found.x[name].row_splits, whole.x[name].row_splits)
        np.testing.assert_array_equal(found.x[name].row_lengths(), LENGTHS)
    assert isinstance(found.x["picture"], np.memmap)
    np.testing.assert_array_equal(found.x["picture"], whole.x["picture"])
    assert found.y["good"].dtype == bool and list(found.y["label"]) == list(range(11))


def test_references_of_other_numbers_stand_side_by_side(tmp_path: Path) -> None:
    three = [encoded([2, 1], 0, 2), encoded([1], 2, 4), encoded([2], 3, 1)]
    storage.store(tmp_path / "k", three)
    frames = storage.load(tmp_path / "k", in_memory=0).x["frames"]
    expected = [[0, 1, 0, 0], [0, 1, 0, 0], [1, 2, 0, 0], [2, 3, 4, 5], [3, 0, 0, 0], [3, 0, 0, 0]]
    np.testing.assert_array_equal(frames.values, np.array(expected, np.float16))
    np.testing.assert_array_equal(frames.row_splits, [0, 2, 3, 4, 6])


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    texts = Encoded({"path": tf.constant(["a"])}, {}, np.ones(1, np.int32), [{}], [])
    with pytest.raises(TypeError, match="x/path is not made of numbers"):
        storage.store(tmp_path / "k", [texts])


@pytest.mark.parametrize("start", [0, 2])
def test_batches_from_files_are_batches_of_tensors(tmp_path: Path, start: int) -> None:
    storage.store(tmp_path / "k", parts(3, 8))
    plan = epoch_plan(np.array(LENGTHS, np.int32), 4, seed=1, epoch=0, window=2)

    def transform(x: dict[str, Any], y: dict[str, Any], seed: Any) -> Any:
        return x, y | {"noise": tf.random.stateless_uniform(tf.shape(x["tokens"]), seed)}

    mapped, small = (storage.load(tmp_path / "k", in_memory=size) for size in (0, 10**6))
    assert isinstance(small.x["tokens"], tf.RaggedTensor) and isinstance(small.x["picture"], tf.Tensor)
    kept, held, tensors = (
        batches(examples, plan, transform, seed=3, start=start) for examples in (mapped, small, encoded(LENGTHS))
    )
    assert kept.element_spec == held.element_spec == tensors.element_spec
    assert kept.cardinality() == tensors.cardinality() == 3 - start
    for one, two, other in zip(kept, held, tensors, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)
        tf.nest.map_structure(np.testing.assert_array_equal, two, other)


@pytest.mark.parametrize(("memory", "row", "advised"), [(10**12, 10**6, 0), (8, 10**6, 1), (8, 1, 0)])
def test_pages_are_read_singly_where_rows_are_short_and_memory_is_little(
    memory: int, row: int, advised: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.store(tmp_path / "entry", [encoded(LENGTHS)])
    told: list[int] = []

    class Mapped(np.memmap):
        @property
        def _mmap(self) -> Any:
            return SimpleNamespace(madvise=told.append)

        @_mmap.setter
        def _mmap(self, value: Any) -> None:
            pass

    monkeypatch.setattr(np, "memmap", Mapped)
    monkeypatch.setattr(storage, "available", lambda: memory)
    monkeypatch.setattr(storage, "SHORT", row)
    found = storage.load(tmp_path / "entry", in_memory=0)
    assert set(told) == ({mmap.MADV_RANDOM} if advised else set())
    assert found.x["tokens"].values.tolist() == encoded(LENGTHS).x["tokens"].values.numpy().tolist()
