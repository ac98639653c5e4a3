"""How splits are cut that recordings do not have: by speaker where that can be, by recording where it cannot."""

import json
import random

import pytest

from pipelines.data.source import fraction
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.data import open_source

SPLITS = ("train", "validation", "test")


def opened(folder, speakers, name="all"):
    """A table with one recording for each speaker that is given; None names nobody."""
    rows = [{"id": f"r{n}", "path": f"{n}.wav", "text": "yes", "speaker": who} for n, who in enumerate(speakers)]
    (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return open_source(str(folder / f"{name}.jsonl"), Config())


def parts(source):
    return {name: {e["id"]: e.get("speaker") for e in source.read(name)} for name in SPLITS if source.has(name)}


@pytest.mark.parametrize("name", ["all", "train"])
def test_speakers_stay_together_where_there_are_enough(tmp_path, name):
    """Speaker 0 among them, who is nobody's absence."""
    source = opened(tmp_path, [n % 100 for n in range(300)], name)
    found = parts(source)
    lower = {"all": {"test": 0.1, "validation": 0.2, "train": 1.0}, "train": {"validation": 0.1, "train": 1.0}}[name]
    for who in range(100):
        expected = next(split for split, end in lower.items() if fraction(str(who)) < end)
        assert [split for split in found if who in found[split].values()] == [expected]
    assert sum(map(len, found.values())) == 300 and all(found.values())
    assert all(note.endswith("by a hash of each example's group: its speaker") for note in source.cuts.values())


@pytest.mark.parametrize(
    "speakers",
    [
        ["ann"] * 200,
        [number % 2 for number in range(200)],
        ["ann"] * 400 + [f"s{number}" for number in range(30)],  # whose part would be a twelfth of what is due
        [None, ""] * 100,
    ],
)
@pytest.mark.parametrize("name", ["all", "train"])
def test_recordings_are_shared_out_where_speakers_are_too_few(tmp_path, speakers, name):
    source = opened(tmp_path, speakers, name)
    found = parts(source)
    assert len(set().union(*found.values())) == sum(map(len, found.values())) == len(speakers)
    for split, rows in found.items():
        due = 0.1 if split != "train" else 0.8 if name == "all" else 0.9
        assert len(rows) > due * len(speakers) / 2, split
    because = ", because too few speakers" if any(who or who == 0 for who in speakers) else ""
    assert all(f"the recording itself{because}" in note for note in source.cuts.values())
    assert because or not any("speakers" in note for note in source.cuts.values())


@pytest.mark.parametrize("speakers", [["ann"] * 60, [f"s{n}" for n in range(60)]])
def test_a_cut_is_the_same_in_any_order(tmp_path, speakers):
    source = opened(tmp_path, speakers)
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    random.Random(3).shuffle(lines)
    (tmp_path / "other.jsonl").write_text("\n".join(lines))
    assert parts(open_source(str(tmp_path / "other.jsonl"), Config())) == parts(source)


def test_official_splits_are_read_as_they_are(tmp_path):
    rows = "".join(f"{n}.wav,yes,ann,{split}\n" for split in ("train", "dev") for n in range(3))
    (tmp_path / "all.csv").write_text("path,text,speaker,split\n" + rows)
    source = open_source(str(tmp_path / "all.csv"), Config())
    assert not source.cuts and [len(list(source.read(split))) for split in ("train", "validation")] == [3, 3]


def table(folder, names, extra=""):
    """Which split has which recordings of a table without ids and speakers."""
    (folder / "all.csv").write_text("path,text\n" + extra + "".join(f"{name}.wav,yes\n" for name in names))
    source = open_source(str(folder / "all.csv"), Config())
    return {split: [example["audio"] for example in source.read(split)] for split in SPLITS}


def test_a_row_more_moves_no_recording(tmp_path):
    names = [f"r{number}" for number in range(300)]
    before, after = table(tmp_path, names), table(tmp_path, names, "first.wav,no\n")
    for split in SPLITS:
        assert [path for path in after[split] if not path.endswith("first.wav")] == before[split]
        assert len(before[split]) > 15


def test_a_recording_with_two_rows_is_in_one_split(tmp_path):
    found = table(tmp_path, [f"r{number}" for number in range(300)] * 2)
    assert sum(map(len, found.values())) == 600
    assert not any(set(found[one]) & set(found[two]) for one in SPLITS for two in SPLITS if one != two)


def test_a_recording_nobody_is_said_to_have_spoken_stays_whole(tmp_path):
    """Among others whose speakers are known, and enough to be shared out."""
    rows = [{"path": f"{n}.wav", "text": "yes", "speaker": f"s{n}" if n < 200 else ""} for n in range(250)]
    (tmp_path / "all.jsonl").write_text("\n".join(json.dumps(row) for row in rows + rows[200:]))
    source = open_source(str(tmp_path / "all.jsonl"), Config())
    assert all(note.endswith("its speaker") for note in source.cuts.values())
    found = {split: {example["recording"] for example in source.read(split)} for split in SPLITS}
    assert sum(map(len, found.values())) == 250
