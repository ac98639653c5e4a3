"""What a job may continue: nothing that it did not write is lost."""

import csv
import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines import Predictor
from pipelines.cli import predict as batch


class Shouter:
    """Answers a text in capitals."""

    task = SimpleNamespace(raw="text", parse=lambda inputs: [{"text": one} for one in inputs])

    each = Predictor.each

    def __call__(self, inputs: list[str]) -> list[dict[str, Any]]:
        return [{"id": "0", "input": one, "answer": one.upper(), "score": 0.5} for one in inputs]


def work(file: Path, kind: batch.Kind, inputs: list[str]) -> bytes:
    with batch.opened(str(file), True, kind) as out:
        batch.run(Shouter(), inputs, out, kind)
    return file.read_bytes()


@pytest.fixture
def narrow() -> Iterator[None]:
    """Fields of CSV are as short as in a process that has read no data yet."""
    before = csv.field_size_limit(128 * 1024)
    yield
    csv.field_size_limit(before)


@pytest.mark.parametrize("kind", ["json", "lines", "csv"])
@pytest.mark.parametrize("content", ["my only copy", '{"id": "1"', "input,answer,scores", "ONE\t0.5001", "O\0"])
def test_a_file_of_one_line_without_an_end_is_refused_and_kept(tmp_path: Path, kind: Any, content: str) -> None:
    file = tmp_path / "notes"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"notes:1: is cut short, and is not the beginning .* name another file"):
        work(file, kind, ["one", "two"])
    assert file.read_text() == content


@pytest.mark.parametrize("kind", ["json", "lines", "csv"])
def test_an_own_file_is_continued_wherever_it_was_cut(tmp_path: Path, kind: Any) -> None:
    inputs = ["one", "two"]
    whole = work(tmp_path / "whole", kind, inputs)
    for cut in range(len(whole)):
        (tmp_path / "part").write_bytes(whole[:cut])
        assert work(tmp_path / "part", kind, inputs) == whole, cut


def test_a_refused_file_keeps_its_last_line_without_an_end(tmp_path: Path) -> None:
    file, content = tmp_path / "answers.tsv", "SEVEN\t0.5000\tseven\nthe rest of a table"
    file.write_text(content)
    for inputs in (["one", "two"], []):
        with pytest.raises(ValueError, match="--resume"):
            work(file, "lines", inputs)
        assert file.read_text() == content


def test_an_empty_file_is_begun(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    assert work(tmp_path / "new", "lines", ["one"]) == b"ONE\t0.5000\tone\n"


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("kind", ["json", "lines", "csv"])
def test_a_file_is_continued_behind_an_input_of_any_length(tmp_path: Path, kind: Any) -> None:
    inputs = ["one", "two " * 50_000, "three"]
    whole = work(tmp_path / "whole", kind, inputs)
    (tmp_path / "part").write_bytes(whole[:-3])
    assert work(tmp_path / "part", kind, inputs) == whole


@pytest.mark.parametrize("kind", ["json", "lines", "csv"])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, kind: Any) -> None:
    file = tmp_path / "answers"
    file.write_bytes(b"one\rONE,0.5,,\n")  # csv.Error, which is no ValueError
    with pytest.raises(ValueError, match=r"--resume: .*answers:1: expected .*, as this job writes"):
        work(file, kind, ["one"])
    assert file.read_bytes() == b"one\rONE,0.5,,\n"


def test_a_file_is_written_by_one_job_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "answers")
    with batch.opened(path, False, "lines"), pytest.raises(ValueError, match="is being written by another process"):
        with batch.opened(path, True, "lines"):
            pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_written_to(tmp_path: Path, monkeypatch: Any, number: int) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert work(tmp_path / "answers", "lines", ["one"]) == b"ONE\t0.5000\tone\n"
