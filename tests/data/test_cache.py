"""The cache of encoded examples gives back what was put in, and never something else."""

import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data import cache
from pipelines.data.audio import layouts as recordings
from pipelines.data.batching import Encoded, Rows
from pipelines.data.images import layouts as pictures
from pipelines.data.source import Source
from pipelines.data.text import layouts as folders


def encoded(texts: bool = False) -> Encoded:
    tokens = tf.RaggedTensor.from_row_lengths(tf.range(6, dtype=tf.int32), [1, 3, 2])
    frames = tf.RaggedTensor.from_row_lengths(tf.reshape(tf.range(12, dtype=tf.float32), [6, 2]), [1, 3, 2])
    x = {"tokens": tokens, "frames": frames, "lengths": tf.constant([1, 3, 2])}
    x |= {"path": tf.constant(["a", "b", "c"])} if texts else {}
    y = {"label": tf.constant([0, 1, 0]), "weight": tf.constant([0.5, 1.5, 0.5])}
    examples = [{"id": str(i), "where": f"ü.csv:{i}"} for i in range(3)]
    return Encoded(x, y, np.array([1, 3, 2], np.int32), examples, ["ü.csv:9: empty"])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIPELINES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "encoded"


def kept(name: str, make: Callable[[], Encoded] = encoded) -> Encoded:
    return cache.cached(name, lambda: iter([make()]), never)


def never() -> Any:
    raise AssertionError("was made")


def assert_equal(one: Encoded, two: Encoded) -> None:
    assert (list(one.examples), one.dropped) == (list(two.examples), two.dropped)
    np.testing.assert_array_equal(one.lengths, two.lengths)
    for a, b in ((one.x, two.x), (one.y, two.y)):
        assert list(a) == list(b)
        for name in a:
            for left, right in zip(arrays(a[name]), arrays(b[name]), strict=True):
                assert left.dtype == right.dtype
                np.testing.assert_array_equal(left, right)


def arrays(feature: Any) -> list[np.ndarray]:
    ragged = isinstance(feature, tf.RaggedTensor | Rows)
    return [np.asarray(feature.values), np.asarray(feature.row_splits)] if ragged else [np.asarray(feature)]


def test_what_is_kept_comes_back(home: Path) -> None:
    assert_equal(kept("k"), encoded())
    assert_equal(kept("k", never), encoded())
    assert [entry.name for entry in home.iterdir()] == ["k"]


@pytest.mark.parametrize("file", ["index.json", "x.tokens", "x.tokens.counts", "examples", "lengths", "y.label"])
def test_a_damaged_entry_is_made_again(home: Path, file: str) -> None:
    kept("k")
    content = (home / "k" / file).read_bytes()
    for damaged in (b"", b"null", content[:-1], content + b"1", None):
        (home / "k" / file).unlink() if damaged is None else (home / "k" / file).write_bytes(damaged)
        with pytest.raises(AssertionError, match="was made"):
            cache.cached("k", never, never)
        assert_equal(kept("k"), encoded())
    assert_equal(kept("k", never), encoded())


def test_what_cannot_be_kept_is_made_in_memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = encoded(texts=True)
    assert cache.cached("texts", lambda: iter([texts]), lambda: texts) is texts
    assert not list(home.iterdir())
    monkeypatch.setenv("PIPELINES_CACHE", "off")
    assert cache.cached("k", never, lambda: texts) is texts
    assert not list(home.iterdir())


def test_a_refusal_in_the_middle_leaves_nothing(home: Path) -> None:
    def parts() -> Iterator[Encoded]:
        yield encoded()
        raise ValueError("too many bad rows")

    with pytest.raises(ValueError, match="too many"):
        cache.cached("k", parts, never)
    assert not list(home.iterdir())


def test_the_longest_unused_go_first_and_never_the_newest(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept("old")
    os.utime(home / "old", (0, 0))
    (home / ".1.killed").mkdir()
    os.utime(home / ".1.killed", (0, 0))
    (home / ".2.busy").mkdir()
    size = sum(file.stat().st_size for file in (home / "old").iterdir())
    monkeypatch.setattr(cache, "LARGEST", int(2.5 * size))
    kept("b")
    assert sorted(entry.name for entry in home.iterdir()) == [".2.busy", "b", "old"]
    kept("c")
    assert sorted(entry.name for entry in home.iterdir()) == [".2.busy", "b", "c"]
    monkeypatch.setattr(cache, "LARGEST", size // 2)
    kept("d")
    assert sorted(entry.name for entry in home.iterdir()) == [".2.busy", "d"]


@pytest.mark.parametrize("other", [{"split": "test"}, {"settings": {"lowercase": False}}, {"files": ["0"]}])
def test_everything_that_shapes_the_content_is_in_the_name(other: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"split": "train", "settings": {"lowercase": True}, "files": ["1"]}
    assert cache.key(**parts) == cache.key(**parts)
    assert cache.key(**parts) != cache.key(**(parts | other))


def test_code_that_encodes_is_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before, read = cache.key(split="train"), Path.read_bytes
    for name in ("task.py", "vocabulary.py", "layouts.py", "captions.py"):
        monkeypatch.setattr(Path, "read_bytes", lambda file, name=name: read(file) + b"#" * (file.name == name))
        assert cache.key(split="train") != before, name


def test_a_library_of_another_version_makes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.key(split="train")
    monkeypatch.setattr(cache, "version", lambda name: "2.0" if name == "soxr" else version(name))
    assert cache.key(split="train") != before


def trees(root: Path) -> tuple[Source | None, Path]:
    for label in ("good", "bad"):
        (root / "train" / label).mkdir(parents=True)
        (root / "train" / label / "0.txt").write_text(label)
    return folders.open_classes(str(root)), root / "train" / "bad" / "0.txt"


def recorded(root: Path) -> tuple[Source, Path]:
    (root / "train.csv").write_text("path,text\na.wav,one\nnowhere.wav,two\n")
    (root / "a.wav").write_bytes(b"sound")
    return recordings.open_recordings(str(root)), root / "a.wav"


def pictured(root: Path) -> tuple[Source, Path]:
    (root / "train.csv").write_text("image,caption\na.png,a dog\n")
    (root / "a.png").write_bytes(b"picture")
    return pictures.open_pictures(str(root)), root / "a.png"


@pytest.mark.parametrize("made", [trees, recorded, pictured])
def test_a_file_changed_to_the_same_size_is_noticed(made: Any, tmp_path: Path) -> None:
    source, file = made(tmp_path)
    before, content = cache.stamp(source.files()), file.read_bytes()
    assert cache.stamp(source.files()) == before
    file.write_bytes(content[::-1])
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    assert cache.stamp(source.files()) != before
    file.unlink()
    assert cache.stamp(source.files()) != before


def test_what_another_process_keeps_meanwhile_is_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow() -> Iterator[Encoded]:
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)
            kept("k")  # the other process is sooner
        yield encoded()

    assert_equal(cache.cached("k", slow, never), encoded())
    assert [entry.name for entry in home.iterdir()] == ["k"]


def test_an_entry_that_has_just_been_put_there_is_not_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = cache.load

    def too_early(entry: Path) -> Encoded:
        monkeypatch.setattr(cache, "load", honest)
        kept("k")  # the other process puts it there after it was looked for
        raise FileNotFoundError

    monkeypatch.setattr(cache, "load", too_early)
    before = []

    def parts() -> Iterator[Encoded]:
        before.append((home / "k" / "index.json").exists())
        yield encoded()

    assert_equal(cache.cached("k", parts, never), encoded())
    assert before == [True]
