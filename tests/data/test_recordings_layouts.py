"""Tables that lie in a folder as those of LJSpeech or Common Voice do, and rows that name a part of a recording."""

from pipelines.data.sources.recordings import open_recordings


def opened(path, columns=None):
    """All splits with what their examples hold, and what was wrong."""
    source, problems = open_recordings(str(path), columns), []
    found = {split: list(source.read(split, problems.append)) for split in source.readers}
    return found, [f"{problem.where}: {problem.reason}" for problem in problems]


def test_a_recording_is_called_as_the_table_calls_it(tmp_path):
    (tmp_path / "all.csv").write_text(f"path,text\n ./a/../b.wav ,one\n{tmp_path}/b.wav,two\n")
    found, _ = opened(tmp_path)
    assert [row["recording"] for row in found["all"]] == ["b.wav", f"{tmp_path}/b.wav"]
