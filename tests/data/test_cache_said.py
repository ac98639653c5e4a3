"""A cache that cannot be written is said, with what to do about it; the code of what decides is in its names."""

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data import cache
from pipelines.data.batching import Encoded
from pipelines.data.images import features


def encoded(values: Any) -> Encoded:
    return Encoded({"x": tf.constant(values)}, {}, np.ones(2, np.int32), [{"id": "0"}, {"id": "1"}], [])


@pytest.fixture(params=["file", "long"])
def closed(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A folder in which nobody can write, not even an administrator, and why."""
    (tmp_path / "file").touch()
    folder, reason = {
        "file": (tmp_path / "file", "Not a directory"),
        "long": (tmp_path / ("x" * 300), "File name too long"),
    }[request.param]
    monkeypatch.setenv("PIPELINES_CACHE", str(folder))
    return folder, reason


def test_examples_that_cannot_be_kept_are_said_to_be_in_memory(closed: tuple[Path, str], capsys: Any) -> None:
    folder, reason = closed
    whole = encoded([1, 2])
    assert cache.cached("k", lambda: iter([encoded([1, 2])]), lambda: whole) is whole
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"{folder}/encoded: ") and f"({reason})" in said
    assert "in memory" in said and "PIPELINES_CACHE=FOLDER" in said


def test_examples_of_texts_are_said_to_be_in_memory_wherever_the_cache_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("PIPELINES_CACHE", str(tmp_path))
    cache.cached("k", lambda: iter([encoded(["a", "b"])]), lambda: encoded(["a", "b"]))
    (said,) = capsys.readouterr().err.splitlines()
    assert "x/x is not made of numbers" in said and "in memory" in said and "PIPELINES_CACHE" not in said


def test_a_full_disk_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parts() -> Any:
        yield encoded([1.0, 2.0])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("PIPELINES_CACHE", str(tmp_path))
    left = []
    assert (
        len(cache.cached("k", parts, lambda: left.append(list((tmp_path / "encoded").iterdir())) or encoded([1, 2])))
        == 2
    )
    assert left == [[]], "what was written is gone before all is read again"
    monkeypatch.setattr(cache, "available", lambda: 16)
    with pytest.raises(RuntimeError, match=r"\(No space left on device\), and are too large for memory: 0\.0 GiB are"):
        cache.cached("k", parts, lambda: pytest.fail("it would be read into memory"))
    assert list((tmp_path / "encoded").iterdir()) == []


def test_a_cache_that_works_or_is_off_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for place in (str(tmp_path), "off"):
        monkeypatch.setenv("PIPELINES_CACHE", place)
        cache.cached("k", lambda: iter([encoded([1, 2])]), lambda: encoded([1, 2]))
    assert not capsys.readouterr().err


def test_picture_features_that_cannot_be_kept_name_the_variable_that_helps(closed: tuple[Path, str]) -> None:
    folder, reason = closed
    network: Any = SimpleNamespace(network="N", size=8, layer="", sha256="0" * 64, record=dict, cells=1, features=1)
    with pytest.raises(RuntimeError, match=f"cannot be kept: {reason}; PIPELINES_CACHE=FOLDER .* PIPELINES_CACHE=off"):
        features.load(network, [b"picture"], folder)


@pytest.mark.parametrize("name", ["encode.py", "translation.py"])
def test_the_code_that_decides_what_is_left_out_or_cut_is_in_the_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, read = cache.key(split="train"), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: read(file) + b"#" * (file.name == name))
    assert cache.key(split="train") != before
