"""Tables that lie in a folder as those of LJSpeech or Common Voice do, and rows that name a part of a recording."""

import json

import pytest

from pipelines.data.sources.recordings import open_recordings


def opened(path, columns=None):
    """All splits with what their examples hold, and what was wrong."""
    source, problems = open_recordings(str(path), columns), []
    found = {split: list(source.read(split, problems.append)) for split in source.readers}
    return found, [f"{problem.where}: {problem.reason}" for problem in problems]


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
