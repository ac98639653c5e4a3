"""Splits of the tree of LibriSpeech: its parts under their own names and under the usual ones, each counted once."""

import pytest

from pipelines.data.audio.layouts import open_recordings
from pipelines.data.source import Joined, distinct
from pipelines.data.validate import usual_facets, validate
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.task import Speech

PARTS = ("train-clean-100", "train-other-500", "dev-clean", "test-clean")


def tree(folder, parts=PARTS, speakers=40):
    """Two recordings of each speaker, no text twice."""
    for part in parts:
        for number in range(speakers):
            name = f"{parts.index(part)}{number:03d}-1"
            chapter = folder / part / name.replace("-", "/")
            chapter.mkdir(parents=True)
            lines = [f"{name}-{i:04d} THE {part} {number} {i}\n" for i in range(2)]
            (chapter / f"{name}.trans.txt").write_text("".join(lines))
            for i in range(2):
                (chapter / f"{name}-{i:04d}.flac").touch()
    return str(folder)


def report_on(source):
    report = validate(source, usual_facets, lambda *_: None, 0.05)
    shared = {name: [s["count"] for s in split["also_in"].values()] for name, split in report["splits"].items()}
    return {name: split["examples"] for name, split in report["splits"].items()}, shared, report["refusals"]


def test_a_report_counts_what_has_two_names_once(tmp_path):
    source = Speech.open_source(tree(tmp_path), Config())
    counts, shared, refusals = report_on(source)
    assert counts == {"train": 160, "validation": 80, "test-clean": 80}
    assert not any(map(any, shared.values())) and not refusals
    for name, count in {"train-clean-100": 80, "train-other-500": 80, "dev-clean": 80, "train": 160}.items():
        assert len(list(source.read(name))) == count, "every name can be asked for"


def test_what_is_cut_from_train_is_in_no_other_split(tmp_path):
    source = Speech.open_source(tree(tmp_path, ("train-clean-100", "test-clean"), 60), Config())
    counts, shared, _ = report_on(source)
    assert set(counts) == {"train", "validation", "test-clean"}
    assert counts["train"] + counts["validation"] == counts["test-clean"] == 120 and counts["validation"]
    assert not any(map(any, shared.values()))
    assert not source.has("train-clean-100"), "it would score what is learned from, and learn what is scored"


def test_a_tree_without_training_data_has_no_train_split(tmp_path):
    source = Speech.open_source(tree(tmp_path, ("test-clean",), 2), Config())
    assert set(source.readers) == {"test-clean"} and not source.cuts
    assert report_on(source)[2][0].startswith("there is no train split")


def test_files_of_a_tree_are_listed_once(tmp_path):
    files = list(open_recordings(tree(tmp_path, speakers=2)).files())
    assert len(files) == len(set(files)) == 16 and all(file.is_file() for file in files)


@pytest.mark.parametrize("alias", [True, False])
def test_readers_under_several_names_are_known_by_the_last(alias):
    one, two, other = (lambda problem, n=n: iter([{"id": n}]) for n in "abc")
    readers = {"part1": one, "part2": two, "dev": other} | ({"validation": other} if alias else {})
    readers["train"] = Joined((one, two))
    assert list(distinct(readers)) == ["validation" if alias else "dev", "train"]
    assert [example["id"] for example in readers["train"](print)] == ["a", "b"]


def test_a_file_may_begin_as_a_home_does(tmp_path):
    (tmp_path / "train.csv").write_text("path,text\n~nobody-of-this-name.wav,one\n")
    (example,) = open_recordings(str(tmp_path)).read("train")
    assert example["audio"] == str(tmp_path / "~nobody-of-this-name.wav")
