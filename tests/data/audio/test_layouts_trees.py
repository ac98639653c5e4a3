"""Tables that lie in a folder as those of LJSpeech or Common Voice do, and rows that name a part of a recording."""

import json

import pytest

from pipelines.data.audio.layouts import open_recordings


def opened(path, columns=None):
    """All splits with what their examples hold, and what was wrong."""
    source, problems = open_recordings(str(path), columns), []
    found = {split: list(source.read(split, problems.append)) for split in source.readers}
    return found, [f"{problem.where}: {problem.reason}" for problem in problems]


def audio(found):
    return {split: [row["audio"] for row in rows] for split, rows in found.items()}


@pytest.fixture
def clips(tmp_path):
    (tmp_path / "clips").mkdir()
    return tmp_path


def voice(folder, name, header="client_id\tpath\tsentence"):
    (folder / f"{name}.tsv").write_text(f"{header}\nc1\t{name}.mp3\tMerhaba\n")


@pytest.mark.parametrize("header", ["file_name,transcription", "transcription,file_name"])
def test_an_audio_folder_beside_wavs_is_no_ljspeech(tmp_path, header):
    (tmp_path / "wavs").mkdir()
    row = {"file_name": "wavs/a.wav", "transcription": "one"}
    (tmp_path / "metadata.csv").write_text(f"{header}\n{','.join(row[name] for name in header.split(','))}\n")
    found, problems = opened(tmp_path)
    (example,) = found["all"]
    assert (example["audio"], example["text"]) == (str(tmp_path / "wavs/a.wav"), "one") and not problems


@pytest.mark.parametrize("folder", ["wavs", "clips"])
def test_files_of_a_table_are_also_found_in_the_folder_beside_it(tmp_path, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "a.wav").touch()
    (tmp_path / folder / "b.wav").touch()
    (tmp_path / "b.wav").touch()
    (tmp_path / "metadata.csv").write_text("file_name,text\na.wav,one\nb.wav,two\nc.wav,three\n")
    found, _ = opened(tmp_path)
    assert audio(found)["all"] == [str(tmp_path / name) for name in (f"{folder}/a.wav", "b.wav", "c.wav")]
    assert [row["recording"] for row in found["all"]] == ["a.wav", "b.wav", "c.wav"], "whatever lies where"


def test_another_table_beside_clips_is_no_common_voice(clips):
    (clips / "train.tsv").write_text("filename\ttext\tother\nclips/a.mp3\tone\tb.mp3\n")
    found, problems = opened(clips)
    assert audio(found) == {"train": [str(clips / "clips/a.mp3")]} and not problems
    assert audio(opened(clips, {"audio": ("other",)})[0]) == {"train": [str(clips / "b.mp3")]}


def test_columns_of_common_voice_can_be_named(clips):
    """Of its other tables, such as reported.tsv, none is a split all the same."""
    header = "client_id\tpath\tsentence\taccent"
    (clips / "train.tsv").write_text(f"{header}\nc1\ta.mp3\tMerhaba\tclean/a.wav\n")
    (clips / "reported.tsv").write_text("sentence\treason\nMerhaba\tboring\n")
    for columns, path in (({"speaker": ("accent",)}, "clips/a.mp3"), ({"audio": ("accent",)}, "clean/a.wav")):
        found, problems = opened(clips, columns)
        assert audio(found) == {"train": [str(clips / path)]} and not problems
    assert opened(clips, {"speaker": ("accent",)})[0]["train"][0]["speaker"] == "clean/a.wav"


def test_validated_recordings_of_common_voice_are_those_of_its_splits(clips):
    for name in ("train", "dev", "test", "validated", "invalidated", "other"):
        voice(clips, name)
    assert set(open_recordings(str(clips)).readers) == {"train", "dev", "test"}
    (clips / "train.tsv").unlink()
    assert set(open_recordings(str(clips)).readers) == {"dev", "test", "validated"}


@pytest.mark.parametrize("name", ["offset", "start", "start_time"])
def test_a_part_of_a_recording_is_a_bad_row(tmp_path, name):
    parts = [0, 0.0, "0", "0.000", None, "", "00:00:00", "2021-03-04", 3, 2.5, "12.50", "1e1", "00:01:30"]
    rows = [{"audio_filepath": f"{n}.wav", "text": "one", name: part} for n, part in enumerate(parts)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found, problems = opened(tmp_path)
    assert [row["recording"] for row in found["train"]] == [f"{n}.wav" for n in range(8)]
    assert not any({"offset", name} & set(row) for row in found["train"])
    assert [problem.split(": ")[0].rsplit(":")[-1] for problem in problems] == ["9", "10", "11", "12", "13"]
    words = "names a part of a recording, from 2.5 on; cut it into files of their own"
    assert problems[1] == f"{tmp_path}/train.jsonl:10: {words}"


def test_a_recording_is_called_as_the_table_calls_it(tmp_path):
    (tmp_path / "all.csv").write_text(f"path,text\n ./a/../b.wav ,one\n{tmp_path}/b.wav,two\n")
    found, _ = opened(tmp_path)
    assert [row["recording"] for row in found["all"]] == ["b.wav", f"{tmp_path}/b.wav"]
