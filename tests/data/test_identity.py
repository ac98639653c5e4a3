"""What is there twice: equal sound and pixels, whatever the files are called; equal texts are counted beside them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipelines.cli.parser import run
from pipelines.cli.validate import table
from pipelines.data.identity import digest_of, look
from pipelines.data.source import Source, told
from pipelines.data.validate import Facets, usual_facets, validate

RATE = 8000


def sound(seed: int) -> Any:
    return (np.random.default_rng(seed).normal(scale=0.1, size=4000) * 32767).astype(np.int16)


def report_on(**splits: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    def reader(name: str, rows: list[dict[str, Any]]) -> Any:
        return lambda _: ({"id": str(i), "where": f"{name}:{i}", **row} for i, row in enumerate(rows))

    notes: list[str] = []
    source = Source("x", {name: reader(name, rows) for name, rows in splits.items()}, "")
    found = validate(source, usual_facets, lambda *_: None, 0.05, lambda split, note: notes.append(note.reason))
    return found, notes


def test_digits_that_are_spoken_again_are_no_duplicates(tmp_path: Path) -> None:
    """Every recording is another one, although all of them say one of two words."""
    for i in range(6):
        soundfile.write(tmp_path / f"{i}.wav", sound(i), RATE)
    rows = [{"audio": str(tmp_path / f"{i}.wav"), "text": ("one", "two")[i % 2]} for i in range(6)]
    found = report_on(train=rows[:4], validation=rows[4:])[0]["splits"]
    assert found["train"]["duplicates"]["count"] == 0 and found["validation"]["also_in"]["train"]["count"] == 0
    assert found["train"]["equal_texts"]["within"] == {"count": 2, "at": ["train:2", "train:3"]}
    assert found["validation"]["equal_texts"]["train"]["count"] == 2


def test_equal_sound_under_other_names_and_in_other_formats_is_a_duplicate(tmp_path: Path) -> None:
    for name, seed in (("a.wav", 0), ("b.flac", 0), ("c.wav", 1), ("d.aiff", 0)):
        soundfile.write(tmp_path / name, sound(seed), RATE, subtype="PCM_16")
    rows = [{"audio": str(tmp_path / name), "text": f"text {i}"} for i, name in enumerate(["a.wav", "b.flac", "c.wav"])]
    rows += [{"audio": sound(1), "rate": RATE, "text": "array"}, {"audio": sound(1), "rate": RATE, "text": "again"}]
    found = report_on(train=rows, test=[{"audio": str(tmp_path / "d.aiff"), "text": "other"}])[0]["splits"]
    assert found["train"]["duplicates"] == {"count": 3, "at": ["train:1", "train:3", "train:4"]}
    assert found["test"]["also_in"]["train"] == {"count": 1, "at": ["test:0"]}
    assert found["train"]["equal_texts"]["within"]["count"] == 0
    assert found["train"]["compared"] == "sound"


def test_equal_pixels_are_duplicates_and_equal_captions_are_not(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.webp", lossless=True)
    Image.fromarray(255 - pixels).save(tmp_path / "c.png")
    rows = [{"image": str(tmp_path / name), "captions": ["a dog"]} for name in ("a.png", "b.webp", "c.png")]
    found = report_on(train=rows)[0]
    train = found["splits"]["train"]
    assert train["duplicates"] == {"count": 1, "at": ["train:1"]} and train["compared"] == "picture"
    assert train["equal_texts"]["within"]["count"] == 2
    text = table(found)
    assert "duplicates (equal picture): 1 (train:1)" in text and "equal captions: 2 (train:1, train:2)" in text


def test_files_that_cannot_be_decoded_are_told_apart_by_name() -> None:
    assert look({"audio": "/gone/a.wav"}).digest == look({"audio": "/gone/a.wav"}).digest
    assert look({"audio": "/gone/a.wav"}).digest != look({"audio": "/gone/b.wav"}).digest
    assert look({"text": "a"}).digest is None


def test_texts_are_compared_as_before() -> None:
    found = report_on(train=[{"text": "A  film", "label": "a"}, {"text": "a film", "label": "b"}])[0]["splits"]["train"]
    assert found["duplicates"]["count"] == 1 and found["compared"] == "text" and found["equal_texts"] is None
    assert digest_of("caf\u00e9") == digest_of("cafe\u0301 ") != digest_of("cafe")


def test_recordings_whose_channels_cancel_are_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([sound(0), -sound(0)], 1), RATE)
    soundfile.write(tmp_path / "b.wav", np.stack([sound(0), sound(0)], 1), RATE)
    found, notes = report_on(train=[{"audio": str(tmp_path / name), "text": name} for name in ("a.wav", "b.wav")])
    assert notes == ["its channels cancel each other: the loudest is heard instead of their mean"]
    assert found["splits"]["train"]["unusual"] == {"count": 1, "at": ["train:0"]}


def test_each_language_has_lengths_and_words_of_its_own() -> None:
    train = [{"source": "a dog", "target": "ein großer brauner Hund"}] * 3
    test = [{"source": "a Hund", "target": "ein Hund"}]
    found = report_on(train=train, test=test)[0]
    fields = found["splits"]["train"]["fields"]
    assert (fields["source"]["words"]["max"], fields["target"]["words"]["max"]) == (2, 4)
    assert found["splits"]["test"]["fields"]["source"]["unseen_words"] == 0.5, "Hund is no word of the source"
    assert found["splits"]["test"]["fields"]["target"]["unseen_words"] == 0
    text = table(found, {"source": "en", "target": "de"})
    assert "words, source (en): min 2, 50 % 2" in text and "words, target (de): min 4, 50 % 4" in text
    assert "unseen words in train, source (en): 50.00% of all words" in text


def test_the_command_has_a_line_for_each_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"word {i},ein langer Satz {i}\n" for i in range(40))
    (tmp_path / "train.csv").write_text("en,fr\n" + rows)
    assert run(["validate", "translation", "--data", str(tmp_path / "train.csv"), "--source=en", "--target=fr"]) == 0
    out = capsys.readouterr().out
    assert "characters, source (en): min " in out and "characters, target (fr): min " in out


def test_a_sentence_about_several_cuts_is_said_once() -> None:
    cuts = {name: f"{name} is cut from the only file" for name in ("train", "validation", "test")}
    assert told(cuts) == ["train, validation and test are cut from the only file"]
    assert told({"validation": "validation is cut from train: its speaker"}) == [
        "validation is cut from train: its speaker"
    ]
    assert told(cuts | {"test": "something else"})[-1] == "something else"


@pytest.mark.parametrize("bad", range(3))
def test_what_cannot_be_used_does_not_shift_the_places(bad: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sound(0), RATE)
    rows = [{"audio": str(tmp_path / "a.wav"), "text": str(i)} for i in range(5)]

    def view(example: dict[str, Any]) -> Facets:
        return Facets({"text": example["text"]}, problem="is bad" if example["text"] == str(bad) else "")

    reader = lambda _: ({"id": str(i), "where": f"x:{i}", **row} for i, row in enumerate(rows))  # noqa: E731
    found = validate(Source("x", {"train": reader}, ""), view, lambda *_: None, 0.5)["splits"]["train"]
    assert found["duplicates"]["at"] == [f"x:{i}" for i in range(5) if i != bad][1:]
