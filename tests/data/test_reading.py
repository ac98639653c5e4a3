"""One rule for text, one for files: UTF-8 or marked UTF-16, and nothing but regular files."""

import gzip
import os
import random
from pathlib import Path

import pytest

from pipelines.data import reading
from pipelines.data import tables as files
from pipelines.data.source import Problem
from pipelines.data.text.layouts import open_classes, open_parallel

COLUMNS = {"text": ("text",), "label": ("label",)}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le mark", "utf-16-be mark")


def encoded(text: str, encoding: str) -> bytes:
    name, _, mark = encoding.partition(" ")
    return (("\ufeff" if mark else "") + text).encode(name)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("packed", [False, True])
def test_tables_are_read_in_every_encoding_that_has_a_mark(encoding: str, packed: bool, tmp_path: Path) -> None:
    content = encoded('text,label\r\n"Größe, 很好\n😀",1\r\nfine,0\r\n', encoding)
    path = tmp_path / ("train.csv.gz" if packed else "train.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    read = list(files.open_tables(str(path), COLUMNS).read("train"))
    assert [(e["text"], e["where"]) for e in read] == [("Größe, 很好\n😀", f"{path}:2"), ("fine", f"{path}:4")]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_parallel_files_and_trees_are_read_likewise(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "train.en").write_bytes(encoded("a\x0bb\u2028c\r\nd\n", encoding))
    (tmp_path / "train.de").write_bytes(encoded("ä\nö", encoding))
    pairs = open_parallel(str(tmp_path), "en", "de")
    assert pairs
    assert [(e["source"], e["target"]) for e in pairs.read("train")] == [("a\x0bb\u2028c", "ä"), ("d", "ö")]
    for name in ("pos", "neg"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "0.txt").write_bytes(encoded(f"schön {name}\n", encoding))
    tree = open_classes(str(tmp_path / "tree"))
    assert tree and {e["text"] for e in tree.read("all")} == {"schön neg\n", "schön pos\n"}


def test_broken_utf_16_costs_its_line_alone(tmp_path: Path) -> None:
    good = "text,label\nfirst,1\nX,0\nlast,1\n".encode("utf-16-le")
    (tmp_path / "train.csv").write_bytes(b"\xff\xfe" + good.replace(b"X\0", b"\x00\xd8"))
    problems: list[Problem] = []
    read = [e["text"] for e in files.open_tables(str(tmp_path), COLUMNS).read("train", problems.append)]
    assert read == ["first", "last"] and [p.where.rsplit(":")[-1] for p in problems] == ["3"]


def test_bytes_that_are_cut_are_told_wherever_that_happens(tmp_path: Path) -> None:
    whole = ("text,label\n" + "größe,1\n" * 2000).encode("utf-16")
    for size in random.Random(0).sample(range(100, len(whole)), 20):
        (tmp_path / "a.csv").write_bytes(whole[:size])
        text = "".join(reading.lines(tmp_path / "a.csv"))
        assert bool(reading.broken(text)) == (size % 2 == 1)


def test_utf_16_without_a_mark_is_refused_by_name(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        (tmp_path / "a.txt").write_bytes("Good film\n".encode(encoding))
        with pytest.raises(ValueError, match=r"a\.txt: expected UTF-8, came zero bytes as UTF-16 without its mark"):
            list(reading.lines(tmp_path / "a.txt"))


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reading, "LONGEST_LINE", 1000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text\n" + b"a" * 10_000))
    with pytest.raises(ValueError, match=r"a\.csv\.gz:2: the line has more than 1,000 characters"):
        list(reading.lines(tmp_path / "a.csv.gz"))


def test_whole_texts_name_the_line_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo \xe4\n")
    with pytest.raises(ValueError, match=r"a\.txt:2: the text is not valid UTF-8"):
        reading.whole_text(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pipe", "expected a file, found a pipe"),
        ("device", "expected a file, found a device"),
        ("folder", "expected a file, found a folder"),
        ("dangling", "is a link to nowhere, which is not there"),
        ("missing", "there is no such file"),
        ("zero\0byte", "cannot be read: embedded null byte"),
        ("large", "has 11 bytes, at most 10 are read"),
    ],
)
def test_only_regular_files_are_read(name: str, message: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "large").write_bytes(b"12345678901")
    with pytest.raises(ValueError, match=message):
        reading.read_regular(str(tmp_path / name), 10)


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert reading.read_regular(tmp_path / "link", 10) == b"content"
