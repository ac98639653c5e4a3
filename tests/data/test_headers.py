"""What strangers' tables and folders look like: column names, separators, parts of splits, folders without splits."""

import json
from pathlib import Path

import pytest

from pipelines.data import tables as files
from pipelines.data.source import with_cuts
from pipelines.data.text import layouts as folders

COLUMNS = {"text": ("text",), "label": ("label",)}


def test_class_folders_without_splits_are_cut(tmp_path: Path) -> None:
    for label in ("pos", "neg"):
        (tmp_path / "reviews" / label).mkdir(parents=True)
        (tmp_path / "reviews" / label / "0.txt").write_text(label)
    for spec in (tmp_path / "reviews", tmp_path):  # also below a folder that is no split
        source = folders.open_classes(str(spec))
        assert source is not None
        assert [(e["text"], e["label"]) for e in source.read("all")] == [("neg", "negative"), ("pos", "positive")]
        assert set(with_cuts(source, lambda e: e["text"], 0.1).readers) == {"train", "validation", "test"}
    (tmp_path / "reviews" / "all.csv").write_text("text,label\na,1\n")
    assert folders.open_classes(str(tmp_path / "reviews")) is None, "folders beside a table are something else"


def test_texts_of_two_splits_without_classes_are_no_classes(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "0.txt").write_text("a")
    assert folders.open_classes(str(tmp_path)) is None


def test_parts_of_a_split_are_joined_in_order(tmp_path: Path) -> None:
    for part, text in enumerate(["a", "b"]):
        (tmp_path / f"train-0000{part}-of-00002.jsonl").write_text(json.dumps({"text": text, "label": 1}) + "\n")
    (tmp_path / "test-00000-of-00001.jsonl").write_text('{"text": "c", "label": 1}\n')
    source = files.open_tables(str(tmp_path), COLUMNS)
    assert {split: [e["text"] for e in source.read(split)] for split in source.readers} == {
        "train": ["a", "b"],
        "test": ["c"],
    }
    (tmp_path / "train-00001-of-00002.jsonl").unlink()
    with pytest.raises(ValueError, match=r"expected 2 parts of train, found train-00000-of-00002$"):
        files.open_tables(str(tmp_path), COLUMNS)


def test_columns_are_found_in_another_case(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Text,LABEL\na,1\n")
    assert [(e["text"], e["label"]) for e in files.open_tables(str(tmp_path), COLUMNS).read("train")] == [("a", "1")]
    (tmp_path / "train.csv").write_text("Text,label,text\nno,1,a\n")
    assert [e["text"] for e in files.open_tables(str(tmp_path), COLUMNS).read("train")] == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.csv", b"text,label,text\na,1,b\n", r"train.csv:1: two columns are called 'text'; the first line must"),
        ("train.csv", b"1," + b"x" * 999 + b"\n2,y\n", r"there are: 1, \.\.\.; the first line must name the columns"),
        ("train.csv", b"text|label\na|1\n", "expected columns separated by commas, came vertical bars"),
        (
            "train.tsv",
            b"text,label\na,1\n",
            "separated by tabs, came commas, which belong into a .csv",
        ),
        (
            "train.csv",
            "text,label\na,1\n".encode("utf-16-le"),
            "train.csv: expected UTF-8, came zero bytes as UTF-16 without its mark has; save it as UTF-8",
        ),
    ],
)
def test_what_is_wrong_with_a_header_is_said(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    columns = {"text": ("text", "review"), "label": ("label", "class")}
    with pytest.raises(ValueError, match=message):
        list(files.open_tables(str(tmp_path), columns).read("train"))


def test_json_that_is_no_jsonl_is_told_its_name(tmp_path: Path) -> None:
    (tmp_path / "review.json").write_text("{}\n")
    with pytest.raises(ValueError, match=r"JSON lines are called \.jsonl$"):
        files.open_tables(str(tmp_path / "review.json"), COLUMNS)
