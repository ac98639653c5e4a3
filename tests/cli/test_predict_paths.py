"""Names that no file can have, and files of unusual names: each is one input among others."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipelines import Predictor, load_task
from pipelines.cli import predict as batch
from pipelines.data.audio.files import read as read_sound
from pipelines.data.images.files import pictures_in
from pipelines.data.images.files import read as read_picture

IMPOSSIBLE = ["x" * 300, "a\0b", "~no such user/gone"]


class Reader:
    """Answers a file with what its name ends with; one that cannot be read fails the whole list, as a graph does."""

    def __init__(self, name: str) -> None:
        self.task = load_task(name)

    each = Predictor.each

    def __call__(self, inputs: list[str]) -> list[dict[str, Any]]:
        for one in inputs:
            read_sound(one, 16000) if self.task.raw == "audio" else read_picture(one)
        return [{"id": "0", "input": one, "answer": Path(one).name, "score": 0.5} for one in inputs]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with a sound and a picture whose names begin like a home."""
    soundfile.write(tmp_path / "~tmp.wav", np.zeros(100, np.float32), 16000)
    Image.new("RGB", (9, 9)).save(tmp_path / "~tmp.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("task", "good"), [("speech", "~tmp.wav"), ("captioning", "~tmp.png")])
def test_a_name_that_no_file_can_have_fails_alone(here: Path, task: str, good: str) -> None:
    out, inputs = io.BytesIO(), [good, *IMPOSSIBLE, good]
    with pytest.raises(RuntimeError, match=r"3 of 5 inputs failed: number 2, 3, 4;"):
        batch.run(Reader(task), inputs, out, "json")
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [answer["input"] for answer in answers] == inputs
    assert [answer["answer"] for answer in answers] == [good, "", "", "", good]
    assert "File name too long" in answers[1]["error"]


def test_a_folder_of_recordings_stands_for_them(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(here / "b.flac", np.zeros(100, np.float32), 16000)
    raw = load_task("speech").parse([str(here), b"bytes", "~tmp.wav"])
    assert [(e["id"], Path(e["audio"]).name if isinstance(e["audio"], str) else e["audio"]) for e in raw] == [
        ("0", "b.flac"),
        ("1", "~tmp.wav"),
        ("2", b"bytes"),
        ("3", "~tmp.wav"),
    ]
    assert "1 file passed over (~tmp.png)" in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_fails_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    out = io.BytesIO()
    with pytest.raises(RuntimeError, match=r"1 of 2 inputs failed: number 1;"):
        batch.run(Reader("captioning"), [str(here), "~tmp.png"], out, "json")
    with pytest.raises(ValueError, match="cannot be read: Permission denied"):
        pictures_in(here)


def test_a_file_that_cannot_be_read_is_no_picture_unless_its_name_says_so(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "notes").write_text("secret")
    opened = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> Any:
        if Path(path).name == "notes":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert [Path(found).name for found in pictures_in(here)] == ["~tmp.png"]
