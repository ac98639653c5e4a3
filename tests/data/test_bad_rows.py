"""Damaged tables and parallel files: every line that is lost is counted, every file that cannot be read named."""

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from pipelines.data import tables as files
from pipelines.data.images.layouts import open_pictures
from pipelines.data.source import Problem, Source
from pipelines.data.text.layouts import open_parallel
from pipelines.data.text.vectors import read_vectors
from pipelines.data.validate import usual_facets, validate
from pipelines.tasks.sentiment.task import Sentiment

COLUMNS = {"text": ("text", "review"), "label": ("label", "class")}
BAD_GZIP = gzip.compress(b"text,label\nfine,1\n")[:10] + b"\xff" * 20
"""Behind the head of the file stands a block of a kind that does not exist."""


def told(source: Source, split: str = "train") -> tuple[list[Any], dict[int, str]]:
    """Return the texts of a split, and the problems by line."""
    problems: list[Problem] = []
    texts = [example["text"] for example in source.read(split, problems.append)]
    return texts, {int(p.where.rsplit(":", 1)[1]): p.reason for p in problems}


def table(folder: Path, content: str, name: str = "train.csv") -> Source:
    (folder / name).write_text(content, "utf-8", newline="")
    return files.open_tables(str(folder / name), COLUMNS)


OPEN = "stands in a quoted text that begins in line 3 and is not closed properly"


@pytest.mark.parametrize(
    ("rest", "lost", "after"),
    [
        ('1,"Great film\n1,fine\n0,dull\n', {3, 4, 5}, []),
        ('1,"Great film\n1,fine\n0,"dull, long"\n1,good\n', {3, 4, 5}, ["good"]),
        ('1,"Great film\n"0","dull"\n"1","good"\n', {3, 4}, ["good"]),
    ],
    ids=["until the end", "until the next quote", "all quoted"],
)
def test_every_line_behind_a_quote_that_is_not_closed_is_told(
    rest: str, lost: set[int], after: list[str], tmp_path: Path
) -> None:
    texts, problems = told(table(tmp_path, "label,text\n1,first\n" + rest))
    assert texts == ["first", *after]
    assert problems == dict.fromkeys(lost, OPEN)


def test_a_field_beyond_the_limit_costs_what_it_took_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(files.csv, "field_size_limit", lambda size, real=files.csv.field_size_limit: real(50))
    rows = "".join(f"1,a text of some length {i}\n" for i in range(5))
    texts, problems = told(table(tmp_path, 'label,text\n1,first\n1,"open\n' + rows))
    assert set(problems.values()) == {OPEN} and len(texts) + len(problems) == 7
    assert texts[1:] == [f"a text of some length {i}" for i in range(5)][len(problems) - 1 :]
    long = table(tmp_path, f"label,text\n1,{'x' * 60}\n1,fine\n")
    assert told(long)[0] == ["fine"] and "cannot be parsed: field larger" in told(long)[1][2]


def test_training_would_refuse_what_an_open_quote_took(tmp_path: Path) -> None:
    good = "".join(f"{i % 2},text number {i}\n" for i in range(50))
    (tmp_path / "validation.csv").write_text("label,text\n" + good)
    (tmp_path / "train.csv").write_text("label,text\n" + good + '1,"Great film\n' + good * 20)
    source = files.open_tables(str(tmp_path), COLUMNS)
    (refusal,) = validate(source, usual_facets, lambda *_: None, 0.05)["refusals"]
    assert refusal.startswith("train: 1001 of 1051 examples cannot be used")


def test_quoted_line_breaks_and_quotes_are_read_as_before(tmp_path: Path) -> None:
    rows = 'label,text\n1,"two\nlines, and\r\nthree"\n0,"he said ""no"""\n1,it"s "so"\n\n0,""\n'
    texts, problems = told(table(tmp_path, rows))
    assert texts == ["two\nlines, and\r\nthree", 'he said "no"', 'it"s "so"', ""] and not problems
    texts, problems = told(table(tmp_path, 'label\ttext\n1\t"open\n0\t"a" b\n', "train.tsv"))
    assert texts == ['"open', '"a" b'] and not problems


def test_a_header_that_cannot_be_parsed_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train\.csv:1: the header cannot be parsed"):
        told(table(tmp_path, 'label,"text\n1,fine\n'))


@pytest.mark.parametrize("name", ["all.csv", "all.jsonl"])
def test_a_row_of_no_split_is_told_once(name: str, tmp_path: Path) -> None:
    rows = [("a", "train"), ("b", ""), ("c", "dev"), ("d", " "), ("e", "train ")]
    if name.endswith("csv"):
        content = "text,label,split\n" + "".join(f"{text},1,{split}\n" for text, split in rows)
    else:
        content = "\n" + "".join(json.dumps({"text": t, "label": 1, "split": s or None}) + "\n" for t, s in rows)
    source = table(tmp_path, content, name)
    assert told(source) == (["a", "e"], dict.fromkeys((3, 5), "the split is empty, or no text"))
    assert told(source, "validation") == (["c"], {})
    assert set(source.readers) == {"train", "dev"}


def test_a_row_without_a_column_is_skipped_and_a_table_without_it_refused(tmp_path: Path) -> None:
    rows = [{"text": "a"}, {"text": "b", "label": 1}, {"label": 1}, {}, {"review": "c", "class": 0}]
    source = table(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "train.jsonl")
    texts, problems = told(source)
    assert texts == ["b", "c"]
    assert problems == {
        1: "no column for label (one of: label, class); there are: text",
        3: "no column for text (one of: text, review); there are: label",
        4: "no column for text (one of: text, review); there are: none",
    }
    source = table(tmp_path, '{"text": "a", "labels": 1}\n' * 3, "train.jsonl")
    with pytest.raises(ValueError, match=r"train\.jsonl:1: no column for label .* \(did you mean labels\?\)"):
        told(source)


@pytest.mark.parametrize("field", ["text", "label", "id"])
def test_half_a_surrogate_pair_costs_its_row(field: str, tmp_path: Path) -> None:
    whole, half = {"text": "fine \U0001f600", "label": "1"}, {"text": "b", "label": "0", field: "\ud83d"}
    source = table(tmp_path, f"{json.dumps(whole)}\n{json.dumps(half)}\n", "train.jsonl")
    reason = "the text holds half of a surrogate pair, which is no character"
    assert told(source) == ([whole["text"]], {2: reason})
    (tmp_path / "train.jsonl").rename(tmp_path / "all.jsonl")  # of a text that is cut by, the hash is taken
    source = Sentiment.open_source(str(tmp_path / "all.jsonl"), Sentiment.config_class())
    assert sum(len(told(source, split)[0]) for split in source.readers) == 1


def test_half_a_surrogate_pair_costs_its_caption(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    captions = [{"image_id": 1, "caption": caption} for caption in ("a dog", "a \ud83d")]
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": captions}
    (tmp_path / "captions_train.json").write_text(json.dumps(content))
    problems: list[Problem] = []
    (example,) = open_pictures(str(tmp_path)).read("train", problems.append)
    assert example["captions"] == ["a dog"]
    assert [p.reason for p in problems] == ["the caption holds half of a surrogate pair, which is no character"]


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".gz", BAD_GZIP),
        (".gz", b"no gzip"),
        (".gz", gzip.compress(b"text,label\n" + b"fine,1\n" * 99)[:-20]),
        (".xz", b"no xz"),
        (".xz", lzma.compress(b"text,label\n" + b"fine,1\n" * 99)[:-20]),
        (".bz2", b"no bz2"),
    ],
    ids=["bad gzip", "no gzip", "cut gzip", "no xz", "cut xz", "no bz2"],
)
def test_a_damaged_file_is_named(ending: str, content: bytes, tmp_path: Path) -> None:
    for name in ("train.csv", "train.jsonl", "train.en"):
        (tmp_path / (name + ending)).write_bytes(content)
    (tmp_path / "train.de").write_text("x\n")
    for name in ("train.csv", "train.jsonl"):
        with pytest.raises(ValueError, match=rf"{name}{ending}: cannot be read: "):
            told(files.open_tables(str(tmp_path / (name + ending)), COLUMNS))
    with pytest.raises(ValueError, match=rf"train\.en{ending}: cannot be read: "):
        list(open_parallel(str(tmp_path), "en", "de").read("train"))


@pytest.mark.parametrize(("ending", "content"), [("gz", BAD_GZIP), ("xz", b"no xz")], ids=["gz", "xz"])
def test_a_damaged_file_is_named_wherever_lines_are_read(ending: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"lines.txt.{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"lines\.txt\.{ending}: cannot be read: "):
        read_vectors(path, {"fine": [1]}, 3)
    with pytest.raises(ValueError, match=rf"lines\.txt\.{ending}: cannot be read: "):
        list(files.lines(path))


def test_a_reader_that_has_left_is_no_damage(tmp_path: Path) -> None:
    """What the callback raises passes as it is: a pipe that was closed is not the table's fault."""

    def leave(problem: Problem) -> None:
        raise BrokenPipeError

    source = table(tmp_path, "text,label\na,1,2\n")
    with pytest.raises(BrokenPipeError):
        list(source.read("train", leave))
