"""Sources: files of every kind give the same examples; bad rows are named; splits are found or cut."""

import csv
import gzip
import json
import lzma
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.data import tables as files
from pipelines.data.labels import label_name
from pipelines.data.source import Problem, Source, fraction, limited, with_cuts
from pipelines.data.text import layouts as folders
from pipelines.tasks.sentiment.config import Config

COLUMNS = {"text": ("text", "review"), "label": ("label", "class")}
ROWS = [("A fine, fine film.", "positive"), ('He said "no".', "negative"), ("Sehr schön\tgut", "positive")]


def write_csv(path: Path, rows: list[tuple[str, str]] = ROWS) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def write_jsonl(path: Path, rows: list[tuple[str, str]] = ROWS) -> None:
    path.write_text("".join(json.dumps({"text": t, "label": c}) + "\n" for t, c in rows), "utf-8")


def packed(module: Any, writer: Callable[[Path], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        plain = path.with_name("plain")
        writer(plain)
        with module.open(path, "wb") as file:
            file.write(plain.read_bytes())
        plain.unlink()

    return write


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        ("train.csv", write_csv),
        ("train.jsonl", write_jsonl),
        ("train.csv.gz", packed(gzip, write_csv)),
        ("train.jsonl.xz", packed(lzma, write_jsonl)),
    ],
)
def test_every_format_gives_the_same_examples(name: str, writer: Callable[[Path], None], tmp_path: Path) -> None:
    writer(tmp_path / name)
    for spec in (tmp_path, tmp_path / name):
        examples = list(files.open_tables(str(spec), COLUMNS).read("train"))
        assert [(e["text"], e["label"]) for e in examples] == ROWS
        assert len({e["id"] for e in examples}) == 3


def test_tsv_has_no_quoting(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text('review\tclass\n"Stop"\t1\nit\'s "fine\t0\n')
    examples = list(files.open_tables(str(tmp_path), COLUMNS).read("test"))
    assert [(e["text"], e["label"]) for e in examples] == [('"Stop"', "1"), ("it's \"fine", "0")]


@pytest.mark.parametrize(
    ("name", "head", "line"), [("a.csv", "text,label\n", "x,1\n"), ("a.jsonl", "", '{"text": 1}\n')]
)
def test_a_file_is_read_as_it_comes(name: str, head: str, line: str, tmp_path: Path) -> None:
    """A line that is added while the file is read comes too: it was not in memory as a whole."""
    (tmp_path / name).write_text(head + line * 100_000)
    rows = files.rows(tmp_path / name, lambda problem: None)
    next(rows)
    with open(tmp_path / name, "a") as file:
        file.write(line)
    assert sum(1 for _ in rows) == 100_000


def test_lines_are_counted_through_quoted_line_breaks(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [("two\nlines", "a"), ("next", "b")])
    where = [e["where"] for e in files.open_tables(str(tmp_path), COLUMNS).read("train")]
    assert [w.rsplit(":", 1)[1] for w in where] == ["2", "4"]


def test_a_file_with_a_split_column(tmp_path: Path) -> None:
    lines = [{"text": t, "label": 1, "split": s} for t, s in (("a", "train"), ("b", "dev"), ("c", "train"))]
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = files.open_tables(str(tmp_path), COLUMNS)
    assert [e["text"] for e in source.read("train")] == ["a", "c"]
    assert [e["text"] for e in source.read("validation")] == ["b"]


@pytest.mark.parametrize(
    ("name", "content", "line", "reason"),
    [
        ("train.jsonl", b'{"text": "a", "label": 1}\n{"text": \n', 2, "is no JSON"),
        ("train.jsonl", b'[1, 2]\n{"text": "a", "label": 1}\n', 1, "expected a JSON object, came list"),
        ("train.csv", b"text,label\na,1\nb,1,2\n", 3, "has 3 columns, the header has 2"),
        ("train.csv", b"text,label\nb\xff\xfe,1\n", 2, "not valid UTF-8"),
        ("train.jsonl", b'{"text": "b\xff", "label": 1}\n', 1, "not valid UTF-8"),
        ("train.jsonl", b'{"text": "a", "label": ' + b"1" * 5000 + b"}\n", 1, "is no JSON that can be read: Exceeds"),
        ("train.jsonl", b'{"text": ' + b"[" * 100_000 + b"\n", 1, "is no JSON that can be read: maximum recursion"),
    ],
)
def test_bad_rows_are_named_and_the_rest_is_read(
    name: str, content: bytes, line: int, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    source = files.open_tables(str(tmp_path), COLUMNS)
    problems: list[Problem] = []
    good = list(source.read("train", problems.append))
    assert len(problems) == 1
    assert problems[0].where == f"{tmp_path / name}:{line}"
    assert reason in problems[0].reason
    assert len(good) == content.count(b"\n") - 1 - (name == "train.csv")
    with pytest.raises(ValueError, match=f":{line}: "):
        list(source.read("train"))


def test_a_replacement_character_is_text_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "caf\\ufffd", "label": 1}\n{"text": "caf\ufffd", "label": 1}\n')
    assert [e["text"] for e in files.open_tables(str(tmp_path), COLUMNS).read("train")] == ["caf\ufffd"] * 2


def test_missing_things_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        files.open_tables(str(tmp_path / "nowhere"), COLUMNS)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"expected a .csv.* found notes.txt"):
        files.open_tables(str(tmp_path), COLUMNS)
    (tmp_path / "train.csv").write_text("texts,label\na,1\n")
    with pytest.raises(ValueError, match=r"no column for text .*there are: texts, label \(did you mean texts\?\)"):
        list(files.open_tables(str(tmp_path), COLUMNS).read("train"))
    (tmp_path / "train.csv").write_text("comment,label\na,1\n")
    with pytest.raises(ValueError, match=r"there are: comment, label; .* name yours with --text-column; for example"):
        list(files.open_tables(str(tmp_path), {"text": ("text", "review"), "label": ("label",)}).read("train"))
    for separator, name in {";": "semicolons", "\t": "tabs, which belong into a .tsv"}.items():
        (tmp_path / "train.csv").write_text(f"text{separator}label\na, b{separator}1\n")
        with pytest.raises(ValueError, match=rf"train.csv:1: expected columns separated by commas, came {name}$"):
            list(files.open_tables(str(tmp_path), COLUMNS).read("train"))
    (tmp_path / "train.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="two files hold the same split"):
        files.open_tables(str(tmp_path), COLUMNS)
    with pytest.raises(ValueError, match="cannot be read"):
        list(files.open_tables(str(tmp_path / "train.csv.gz"), COLUMNS).read("train"))


def test_class_folders_are_read_as_the_movie_reviews_are_laid_out(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in ("pos", "neg", "unsup"):
            (tmp_path / split / label).mkdir(parents=True)
            (tmp_path / split / label / "0_1.txt").write_text(f"{split} {label}", "utf-8-sig")
    source = folders.open_classes(str(tmp_path))
    assert source is not None
    assert {(e["text"], e["label"]) for e in source.read("test")} == {
        ("test neg", "negative"),
        ("test pos", "positive"),
    }
    assert folders.open_classes(str(tmp_path / "train" / "pos")) is None


def make_source(**splits: list[str]) -> Source:
    def reader(texts: list[str]) -> Any:
        return lambda on_problem: ({"id": str(i), "text": text} for i, text in enumerate(texts))

    return Source("made", {name: reader(texts) for name, texts in splits.items()}, "0")


def test_split_names() -> None:
    source = make_source(train=[], val=[], test_2016=[], test_2017=[])
    assert source.find("validation") == "val"
    assert source.find("test_2016") == "test_2016"
    with pytest.raises(ValueError, match="several splits begin with test: test_2016, test_2017"):
        source.find("test")
    with pytest.raises(ValueError, match="made: there is no split dev2; there are: train, val"):
        source.find("dev2")


def test_validation_is_cut_by_group_and_only_when_missing() -> None:
    texts = [f"text {i % 500}" for i in range(1000)]  # every text twice
    source = with_cuts(make_source(train=texts, test=["t"]), lambda e: e["text"], 0.1)
    train, validation = ({e["text"] for e in source.read(split)} for split in ("train", "validation"))
    assert not train & validation
    assert train | validation == set(texts)
    assert validation == {text for text in texts if fraction(text) < 0.1}
    assert 25 <= len(validation) <= 75
    whole = make_source(train=texts, dev=["d"])
    assert with_cuts(whole, lambda e: e["text"], 0.1) is whole
    with pytest.raises(ValueError, match="begin with validation: validation_a, validation_b; name one"):
        with_cuts(make_source(train=texts, validation_a=["a"], validation_b=["b"]), lambda e: e["text"], 0.1)


def test_one_unsplit_file_gets_all_three_splits() -> None:
    texts = [f"text {i}" for i in range(1000)]
    source = with_cuts(make_source(all=texts), lambda e: e["text"], 0.1)
    parts = [{e["text"] for e in source.read(split)} for split in ("train", "validation", "test")]
    assert set.union(*parts) == set(texts)
    assert sum(map(len, parts)) == 1000
    assert set(source.cuts) == {"train", "validation", "test"}


def test_a_limit_reaches_into_the_whole_split() -> None:
    source = limited(make_source(train=[f"{i}" for i in range(1000)]), 100)
    kept = [int(e["text"]) for e in source.read("train")]
    assert len(kept) == 100
    assert kept == sorted(kept)
    assert 300 < sum(kept) / 100 < 700


def test_a_limit_holds_no_more_examples_than_it_keeps() -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0

    class Recording:
        """Stands for what is large in an example."""

    def read(on_problem: Any) -> Iterator[dict[str, Any]]:
        nonlocal most
        for number in range(500):
            example = {"id": str(number), "audio": Recording()}
            alive.add(example["audio"])
            most = max(most, len(alive))
            yield example

    kept = list(limited(Source("made", {"train": read}, "0"), 10).read("train"))
    expected = sorted(range(500), key=lambda i: fraction(f"limit {i} {i}"))[:10]
    assert [int(example["id"]) for example in kept] == sorted(expected)
    assert most < 20


@pytest.mark.parametrize(
    ("label", "names", "expected"),
    [
        (0, (), "negative"),
        ("1", (), "positive"),
        (True, (), "positive"),
        (1.0, (), "positive"),
        (2, (), "2"),
        ("pos", (), "pos"),
        (2, ("bad", "middling", "good"), "good"),
        (" good ", ("bad", "good"), "good"),
        ("1.0", (), "positive"),
        (" 0.00", (), "negative"),
        ("2.0", ("bad", "middling", "good"), "good"),
        ("2.5", ("bad", "middling", "good"), "2.5"),
        ("v1.0", (), "v1.0"),
        (-1, (), "-1"),
        ("+1", (), "+1"),
        ("02", (), "02"),
        (None, (), ""),
        (float("nan"), (), ""),
        (np.float32("nan"), ("bad", "good"), ""),
        (np.int64(1), ("bad", "good"), "good"),
        (2, ("bad", "good"), ""),
        ("2.0", ("bad", "good"), ""),
        (-1, ("bad", "good"), ""),
        ("+1", ("bad", "good"), ""),
        ("mixed", ("bad", "good"), "mixed"),
    ],
)
def test_label_names(label: Any, names: tuple[str, ...], expected: str) -> None:
    assert label_name(label, names) == expected
    assert Config(labels=names).labels == names
