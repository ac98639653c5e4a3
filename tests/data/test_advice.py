"""What is missing is told with the lines to write, and those lines are read."""

from pathlib import Path

import pytest

from pipelines.data import tables as files
from pipelines.data.audio.layouts import open_recordings
from pipelines.data.images.layouts import open_pictures


def quoted(message: str) -> list[str]:
    """The example lines in a message."""
    return [part for part in message.split("the lines ")[1].split("'") if "," in part]


def test_a_folder_of_recordings_without_a_table(tmp_path: Path) -> None:
    for i in range(8):
        (tmp_path / f"{i}.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"expected a \.csv") as error:
        open_recordings(str(tmp_path))
    assert "found 0.wav, 1.wav, 2.wav, 3.wav, 4.wav, 5.wav and 2 more; for example train.csv with" in str(error.value)
    lines = quoted(str(error.value))
    assert lines == ["path,text", "0.wav,what is said in it"]
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    (example,) = open_recordings(str(tmp_path)).read("train")
    assert (example["audio"], example["text"]) == (str(tmp_path / "0.wav"), "what is said in it")


def test_one_recording_or_picture_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"such as one with the lines 'path,text' and 'clips/1\.wav,what is said"):
        open_recordings(str(tmp_path / "a.wav"))
    with pytest.raises(ValueError, match=r"'image,caption' and 'pictures/1\.jpg,A dog runs on the beach\.'"):
        open_pictures(str(tmp_path / "a.wav"))


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_a_table_without_the_columns_is_told_what_to_write(ending: str, tmp_path: Path) -> None:
    content = {".csv": "a,b\n1,2\n", ".tsv": "a\tb\n1\t2\n", ".jsonl": '{"a": 1}\n'}[ending]
    (tmp_path / f"train{ending}").write_text(content)
    columns = {"text": ("text",), "label": ("label",)}
    with pytest.raises(ValueError, match="no column for text") as error:
        list(files.open_tables(str(tmp_path), columns).read("train"))
    told = str(error.value).split("for example ")[1]
    lines = [told.removeprefix("the line ")] if ending == ".jsonl" else [
        part.encode().decode("unicode_escape") for part in told.split("'")[1::2]
    ]  # fmt: skip
    (tmp_path / f"train{ending}").write_text("\n".join(lines) + "\n")
    (example,) = files.open_tables(str(tmp_path), columns).read("train")
    assert (example["text"], example["label"]) == ("A wonderful film.", "positive")


def test_files_that_look_like_data_are_named_beside_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.csv").write_text("text\na\n")
    for name in ("test.parquet", "more.json", "README.txt", "a.jpg", "notes.md"):
        (tmp_path / name).write_text("")
    files.open_tables(str(tmp_path), {"text": ("text",)})
    assert "2 files passed over (more.json, test.parquet); expected .csv" in capsys.readouterr().err
