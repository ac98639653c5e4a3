"""Files that are none, and headers that lie, among good ones: each is one bad row by name, its neighbours stay."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipelines import load_task
from pipelines.cli.parser import run

BAD = {
    "gone": "is a link to nowhere, which is not there",
    "pipe": "expected a file, found a pipe",
    "zero": "expected a file, found a device",
}
GOOD = 97


def special(folder: Path, ending: str) -> None:
    (folder / f"gone{ending}").symlink_to("nowhere")
    (folder / f"zero{ending}").symlink_to("/dev/zero")
    os.mkfifo(folder / f"pipe{ending}")


def recordings(folder: Path) -> Path:
    """97 good recordings, the special files, and a FLAC that claims 2^36 samples."""
    special(folder, ".wav")
    for i in range(GOOD):
        sound = np.random.default_rng(i).normal(scale=0.1, size=8000)
        soundfile.write(folder / f"{i}.wav", sound, 16000)
    soundfile.write(folder / "claims.flac", np.zeros(1000) + 0.1, 16000)
    content = bytearray((folder / "claims.flac").read_bytes())
    content[21:26] = bytes([content[21] | 0x0F, 255, 255, 255, 255])
    (folder / "claims.flac").write_bytes(bytes(content))
    names = [*(f"{name}.wav" for name in (*range(GOOD), *BAD)), "claims.flac"]
    (folder / "train.csv").write_text("path,text\n" + "".join(f"{name},word {name[:2]}\n" for name in names))
    return folder / "train.csv"


def pictures(folder: Path) -> Path:
    special(folder, ".png")
    for i in range(GOOD):
        Image.new("RGB", (16, 16), (i, 2 * i, 0)).save(folder / f"{i}.png")
    large = Image.new("1", (9000, 9000))
    large.save(folder / "large.png")
    names = [f"{name}.png" for name in (*range(GOOD), *BAD, "large")]
    (folder / "train.csv").write_text("image,caption\n" + "".join(f"{name},a picture\n" for name in names))
    return folder / "train.csv"


def test_validate_speech_names_each_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "speech", "--data", str(recordings(tmp_path))]) in (0, 1)
    out = capsys.readouterr().out
    for name, words in BAD.items():
        assert f"{name}.wav: {words}" in out
    assert "claims.flac: claims 68,719,476,735 samples, at most" in out
    assert sum(int(line.split()[1]) for line in out.splitlines() if "examples," in line) == GOOD


def test_validate_captioning_names_each_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "captioning", "--data", str(pictures(tmp_path))]) in (0, 1)
    out = capsys.readouterr().out
    for name in BAD:
        assert f"there is no picture {name}.png in" in out
    assert "large.png has 9000 x 9000 pixels, more than 40,000,000 are refused; shrink it" in out
    assert sum(int(line.split()[1]) for line in out.splitlines() if "examples," in line) == GOOD


@pytest.mark.parametrize(("name", "made"), [("speech", recordings), ("captioning", pictures)])
def test_training_drops_each_and_keeps_the_others(name: str, made: Any, tmp_path: Path) -> None:
    task = load_task(name)
    config = task.config_class(validation_share=0.1)
    source = task.open_source(str(made(tmp_path)), config)
    problems: list[Any] = []
    examples = [*source.read("train", problems.append), *source.read("validation", problems.append)]
    encoded = task(config, task.fit(config, examples)).encode(examples)
    assert len(encoded) == GOOD and len(problems) + len(encoded.dropped) == len(BAD) + 1


def test_a_tree_of_texts_names_each_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in ("good", "bad"):
        (tmp_path / label).mkdir()
        for i in range(GOOD):
            (tmp_path / label / f"{i}.txt").write_text(f"{label} film number {i}")
    special(tmp_path / "good", ".txt")
    assert run(["validate", "sentiment", "--data", str(tmp_path)]) in (0, 1)
    out = capsys.readouterr().out
    assert sum(int(line.split()[1]) for line in out.splitlines() if "examples," in line) == 2 * GOOD
    for name, words in BAD.items():
        assert f"{name}.txt:1: {words}" in out
