"""The cache of encoded examples gives back what was put in, and never something else."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data import cache
from pipelines.data.inputs import Encoded
from pipelines.data.sources import folders, pictures, recordings
from pipelines.data.sources.source import Source


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
    return tmp_path / "cache"


def never() -> Encoded:
    raise AssertionError("the entry was not found")


def assert_equal(one: Encoded, two: Encoded) -> None:
    assert (one.examples, one.dropped) == (two.examples, two.dropped)
    np.testing.assert_array_equal(one.lengths, two.lengths)
    for a, b in ((one.x, two.x), (one.y, two.y)):
        assert list(a) == list(b)
        for name in a:
            assert type(a[name]) is type(b[name]) and a[name].dtype == b[name].dtype
            first, second = (
                (t.to_tensor(), t.row_splits) if isinstance(t, tf.RaggedTensor) else (t,) for t in (a[name], b[name])
            )
            for left, right in zip(first, second, strict=True):
                np.testing.assert_array_equal(left, right)


def test_what_is_kept_comes_back(home: Path) -> None:
    assert_equal(cache.cached("k", encoded), encoded())
    assert_equal(cache.cached("k", never), encoded())
    assert [file.name for file in home.iterdir()] == ["k.npz"]


def test_a_damaged_entry_is_made_again(home: Path) -> None:
    cache.cached("k", encoded)
    file = home / "k.npz"
    for content in (b"", b"PK broken", file.read_bytes()[:-200]):
        file.write_bytes(content)
        assert_equal(cache.cached("k", encoded), encoded())
    assert_equal(cache.cached("k", never), encoded())


def test_strings_are_not_kept_and_off_is_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.cached("texts", lambda: encoded(texts=True))
    monkeypatch.setenv("PIPELINES_CACHE", "off")
    cache.cached("k", encoded)
    assert not home.exists() or not list(home.iterdir())


def test_the_longest_unused_go_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.cached("old", encoded)
    size = (home / "old.npz").stat().st_size
    monkeypatch.setattr(cache, "LARGEST", int(2.5 * size))
    for name in ("b", "c"):
        cache.cached(name, encoded)
    assert sorted(file.stem for file in home.iterdir()) == ["b", "c"]


@pytest.mark.parametrize("other", [{"split": "test"}, {"settings": {"lowercase": False}}, {"files": ["0"]}])
def test_everything_that_shapes_the_content_is_in_the_name(other: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"split": "train", "settings": {"lowercase": True}, "files": ["1"]}
    assert cache.key(**parts) == cache.key(**parts)
    assert cache.key(**parts) != cache.key(**(parts | other))


def test_code_that_encodes_is_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before, read = cache.key(split="train"), Path.read_bytes
    for name in ("sentiment_text.py", "text.py", "recordings.py", "caption_metrics.py"):
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
