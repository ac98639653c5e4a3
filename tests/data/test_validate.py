"""Validation against counts made by hand, on data with every fault that it should name."""

import itertools
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli.validate import table
from pipelines.data.labels import need_classes
from pipelines.data.source import Source
from pipelines.data.tables import open_tables
from pipelines.data.validate import Facets, WordTable, percentiles, usual_facets, validate

COLUMNS = {"text": ("text",), "label": ("label",)}
TRAIN = """text,label
a good film,up
A  good FILM,up
bad,down
,down
cafe\u0301 here,down
one,two,three
"""
VALIDATION = """text,label
bad,down
a zebra film,up
other,sideways
a good film,up
"""


@pytest.fixture
def found(tmp_path):
    (tmp_path / "train.csv").write_text(TRAIN, "utf-8")
    (tmp_path / "validation.csv").write_text(VALIDATION, "utf-8")
    problems = []
    source = open_tables(str(tmp_path), COLUMNS)
    report = validate(source, usual_facets, lambda split, problem: problems.append((split, problem)), 0.5)
    return tmp_path, report, problems


def test_counts(found):
    _, report, _ = found
    train, validation = report["splits"]["train"], report["splits"]["validation"]
    assert list(report["splits"]) == ["train", "validation"]
    assert (train["examples"], train["bad"]) == (4, 2) and (validation["examples"], validation["bad"]) == (3, 1)
    assert train["labels"] == {"down": 2, "up": 2}
    assert train["words"] == {"min": 1, "50": 2, "95": 3, "99": 3, "max": 3}
    assert train["unseen_words"] is None
    assert validation["unseen_words"] == pytest.approx(1 / 7, abs=1e-6)  # zebra, of seven words


def test_every_bad_example_is_named(found):
    folder, _, problems = found
    assert [(split, problem.where, problem.reason) for split, problem in problems] == [
        ("train", f"{folder}/train.csv:5", "the text is empty or no text ('')"),
        ("train", f"{folder}/train.csv:7", "has 3 columns, the header has 2"),
        ("validation", f"{folder}/validation.csv:4", "unknown label 'sideways'; train has down, up"),
    ]


def test_duplicates_and_normal_form_are_named(found):
    folder, report, _ = found
    train, validation = report["splits"]["train"], report["splits"]["validation"]
    assert train["duplicates"] == {"count": 1, "at": [f"{folder}/train.csv:3"]}
    assert train["not_nfc"] == {"count": 1, "at": [f"{folder}/train.csv:6"]}
    shared = {"count": 2, "at": [f"{folder}/validation.csv:2", f"{folder}/validation.csv:5"]}
    assert validation["also_in"] == {"train": shared} and validation["duplicates"]["count"] == 0


def test_table_shows_what_was_found(found):
    folder, report, _ = found
    text = table(report)
    assert "train: 4 examples, 2 unusable" in text and "unseen words in train: 14.29% of all words" in text
    assert f"also in train: 2 ({folder}/validation.csv:2, {folder}/validation.csv:5)" in text
    assert "refuse" not in text


def test_what_is_unusual_but_used_is_named_and_counted():
    rows = [{"id": str(i), "where": f"f:{i}", "text": f"text {i}"} for i in range(8)]

    def view(example):
        notes = ("is loud", "is long") if example["id"] in "246" else ()
        return Facets({"text": example["text"]}, problem="is bad" if example["id"] == "6" else "", notes=notes)

    told = []
    source = Source("x", {"train": lambda _: iter(rows), "validation": lambda _: iter(rows)}, "")
    report = validate(
        source, view, lambda *_: None, 0.5, lambda split, note: told.append((split, note.where, note.reason))
    )
    assert told[:3] == [("train", "f:2", "is loud"), ("train", "f:2", "is long"), ("train", "f:4", "is loud")]
    assert len(told) == 8
    assert report["splits"]["train"]["unusual"] == {"count": 2, "at": ["f:2", "f:4"]}
    assert "unusual but used: 2 (f:2, f:4)" in table(report)


def _rows(rows):
    return (row | {"id": str(i), "where": f"x:{i}"} for i, row in enumerate(rows))


def test_what_training_skips_is_unusable_in_train_and_scored_elsewhere():
    def view(example):
        return Facets({"text": example["text"]}, unlearned="is too long" if "long" in example["text"] else "")

    rows, told, noted = [{"text": "a"}, {"text": "long"}], [], []
    source = Source("x", {"train": lambda _: _rows(rows), "validation": lambda _: _rows(rows[1:])}, "")
    tell = [lambda split, problem, into=into: into.append((split, problem.reason)) for into in (told, noted)]
    report = validate(source, view, tell[0], 0.6, tell[1])
    assert told == [("train", "is too long")]
    assert noted == [("validation", "is too long: scored, though training would skip it")]
    assert report["refusals"] == [] and report["splits"]["validation"]["examples"] == 1
    assert report["splits"]["validation"]["unusual"] == {"count": 1, "at": ["x:0"]}


def report_on(splits, most_bad=0.05):
    def reader(rows):
        return lambda on_problem: _rows(rows)

    source = Source("x", {name: reader(rows) for name, rows in splits.items()}, "")
    return validate(source, usual_facets, lambda *_: None, most_bad)


GOOD = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]


@pytest.mark.parametrize(
    ("splits", "refusal"),
    [
        ({"train": GOOD, "validation": GOOD}, []),
        ({"train": GOOD}, ["there is no validation split; there are: train"]),
        ({"dev": GOOD}, ["there is no train split; there are: dev"]),
        (
            {"train": GOOD[:1], "val": GOOD[:1]},
            ["train: the training data has the labels ['x']: expected at least two"],
        ),
        ({"train": GOOD * 9 + [{"text": ""}], "dev": GOOD}, ["train: 1 of 19 examples cannot be used, more than 5%"]),
        ({"train": GOOD * 10 + [{"text": ""}], "dev": GOOD}, []),
        ({"train": GOOD, "dev": [{"text": 3}]}, ["dev: no usable example"]),
        ({"train": [{"source": "a", "target": "b"}], "dev": [{"source": "a", "target": "b"}]}, []),
    ],
)
def test_refusals(splits, refusal):
    assert report_on(splits)["refusals"] == refusal


def test_more_labels_than_classes_can_be_are_refused_and_not_all_listed():
    rows = [{"text": f"text {i}", "label": f"{i:05d}"} for i in range(5001)]
    report = report_on({"train": rows, "val": [{"text": "c", "label": "new"}]}, most_bad=1.0)
    assert report["refusals"][0] == (
        "train: the training data has 5001 different labels (00000, 00001, 00002 and 4998 more): expected at most 5000 "
        "classes; --label-column names another column"
    )
    assert len(table(report).splitlines()) < 60
    assert "  and 4961 labels that are not as frequent" in table(report)
    need_classes({row["label"] for row in rows[:5000]})


def test_an_unknown_label_lists_ten_of_those_there_are():
    rows = [{"text": f"text {i}", "label": f"{i}"} for i in range(10, 30)]
    told = []
    strange = [rows[0] | {"label": "?"}]
    source = Source("x", {"train": lambda _: _rows(rows), "validation": lambda _: _rows(strange)}, "")
    validate(source, usual_facets, lambda split, problem: told.append(problem.reason), 1.0)
    listed = ", ".join(str(label) for label in range(10, 20))
    assert told == [f"unknown label '?'; train has {listed} and 10 more"]


def test_a_split_that_training_does_not_need_may_be_unreadable(tmp_path):
    for name, lines in {"train": "text,label\na,x\nb,y", "val": "text,label\nc,x", "test": "text\nd"}.items():
        (tmp_path / f"{name}.csv").write_text(lines + "\n")
    source = open_tables(str(tmp_path), {"text": ("text",), "label": ("label",)})
    report = validate(source, usual_facets, lambda *_: None, 0.05)
    assert report["refusals"] == []
    assert set(report["splits"]) == {"train", "val"}
    assert "test.csv:2: no column for label" in report["unreadable"]["test"]
    assert "test: cannot be read, and training does not need it: " in table(report)
    (tmp_path / "val.csv").write_text("text\nc\n")
    with pytest.raises(ValueError, match=r"val\.csv:2: no column for label"):
        validate(source, usual_facets, lambda *_: None, 0.05)


@pytest.mark.parametrize("field", ["text", "audio"])
def test_every_example_is_looked_at_once_and_named_in_its_order(field):
    viewed, told = [], []

    def view(example):
        viewed.append(example["id"])
        return Facets({"text": example["text"]}, problem="is bad" if example["text"] == "bad" else "")

    texts = [f"text {i}" for i in range(150)]
    texts[3] = texts[77] = "bad"
    texts[100] = "text 99"
    rows = [{"text": text, field: text} for text in texts]
    source = Source("x", {"train": lambda _: _rows(rows)}, "")
    report = validate(source, view, lambda split, problem: told.append(problem.where), 0.5)
    assert told == ["x:3", "x:77"]
    assert report["splits"]["train"]["duplicates"] == {"count": 1, "at": ["x:100"]}
    assert sorted(map(int, viewed)) == list(range(150))


def test_usual_facets(tmp_path):
    (tmp_path / "a.wav").touch()
    example = {"id": "1", "where": "x", "audio": str(tmp_path / "a.wav"), "text": "hello", "speaker": "s"}
    assert usual_facets(example) == Facets({"text": "hello"})
    assert "there is no file" in usual_facets(example | {"audio": "/nowhere.wav"}).problem
    assert usual_facets({"captions": ["a b", "c"]}).texts == {"captions": "a b c"}
    assert usual_facets({"captions": []}).problem


@given(st.lists(st.integers(0, 50), min_size=1))
def test_percentiles_are_nearest_rank(lengths):
    found = percentiles(Counter(lengths))
    for rank in (50, 95, 99):
        assert found[str(rank)] == np.percentile(lengths, rank, method="inverted_cdf")
    assert (found["min"], found["max"]) == (min(lengths), max(lengths))


def test_word_table_forgets_nothing_and_confuses_little():
    words = WordTable()
    for number in range(20000):
        words.add(f"w{number}")
    assert all(f"w{number}" in words for number in range(20000))
    assert sum(f"v{number}" in words for number in range(20000)) < 40


def test_memory_does_not_grow_with_the_texts():
    def reader(on_problem):
        return ({"text": f"{i} " + "long" * 250, "where": "x", "id": "x"} for i in range(5000))  # 5 MB

    tracemalloc.start()
    validate(Source("x", {"train": reader}, ""), usual_facets, lambda *_: None, 0.05)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24 + 2**20


def test_endless_problems_are_streamed():
    count = itertools.count()
    rows = ({"text": "", "where": f"x:{i}", "id": "x"} for i in range(1000))
    report = validate(Source("x", {"train": lambda _: rows}, ""), usual_facets, lambda *_: next(count), 0.05)
    assert next(count) == 1000 and report["splits"]["train"]["bad"] == 1000
