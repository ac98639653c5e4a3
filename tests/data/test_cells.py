"""Cells that are no texts: dictionaries, lists of labels, names of files; and columns inside columns."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.data import tables as files
from pipelines.data.audio.layouts import open_recordings
from pipelines.data.cells import inside, nested, unfit
from pipelines.data.images.layouts import open_pictures
from pipelines.data.source import Problem, Source

PAIR = {"source": ("translation.en", "source"), "target": ("translation.de", "target", "translation")}
LABELLED = {"text": ("text",), "label": ("label",)}


def read(source: Source, split: str = "train") -> tuple[list[dict[str, Any]], list[str]]:
    problems: list[Problem] = []
    return list(source.read(split, problems.append)), [problem.reason for problem in problems]


def jsonl(folder: Path, *rows: Any) -> str:
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "train.jsonl")


def test_what_lies_inside_a_column_can_be_named(tmp_path: Path) -> None:
    rows = [{"translation": {"en": f"a {i}", "de": f"ein {i}"}} for i in range(3)]
    examples, problems = read(files.open_tables(jsonl(tmp_path, *rows), PAIR))
    assert [(e["source"], e["target"]) for e in examples] == [(f"a {i}", f"ein {i}") for i in range(3)]
    assert not problems


def test_a_language_is_found_inside_the_only_column_that_has_it(tmp_path: Path) -> None:
    columns = {"source": ("en", "source"), "target": ("de", "target", "translation")}
    spec = jsonl(tmp_path, {"translation": {"en": "a dog", "de": "ein Hund"}})
    examples, _ = read(files.open_tables(spec, columns))
    assert (examples[0]["source"], examples[0]["target"]) == ("a dog", "ein Hund")


@pytest.mark.parametrize("printed", [json.dumps, str], ids=["JSON", "Python"])
def test_a_printed_dictionary_can_be_named_and_is_never_a_sentence(printed: Any, tmp_path: Path) -> None:
    cell = printed({"en": 'the "dog"', "de": "der Hund"}).replace('"', '""')
    (tmp_path / "train.csv").write_text(f'id,translation\n1,"{cell}"\n')
    examples, problems = read(files.open_tables(str(tmp_path), PAIR))
    assert (examples[0]["source"], examples[0]["target"]) == ('the "dog"', "der Hund") and not problems
    reason = "the text is a dictionary with the keys en, de; name what is inside it, such as COLUMN.en"
    with pytest.raises(ValueError, match=rf"train\.csv:2: {reason}; no row has anything else$"):
        read(files.open_tables(str(tmp_path), {"text": ("translation",)}))
    with open(tmp_path / "train.csv", "a") as file:
        file.write("2,a text\n")
    examples, problems = read(files.open_tables(str(tmp_path), {"text": ("translation",)}))
    assert [e["text"] for e in examples] == ["a text"] and problems == [reason]


def test_texts_in_braces_stay_texts() -> None:
    for text in ("{happy}", "{a: b}", "{}", "{'quoted'}", "{'a': 'b'} is a dictionary", "a {'b': 1}"):
        assert not unfit("text", text)


def test_text_that_looks_like_a_dictionary_for_long_is_no_work() -> None:
    for text in ("{'" + "':" * 30_000, "{'" + "':" * 30_000 + "}", "{" * 60_000 + "}"):
        begin = time.process_time()
        assert not unfit("text", text)
        assert time.process_time() - begin < 2


def test_names_that_are_not_there_are_told_with_what_is_inside(tmp_path: Path) -> None:
    spec = jsonl(tmp_path, {"translation": {"en": "a", "fr": "un"}})
    with pytest.raises(ValueError, match=r"no column for target .*there are: translation, translation\.en,"):
        read(files.open_tables(spec, {"source": ("translation.en",), "target": ("translation.de",)}))


@pytest.mark.parametrize("label", [[0, 3], [3], "[0, 3]", "['joy', 'anger']", '["joy"]', "[0 3]"])
def test_lists_of_labels_are_refused_as_multi_label_data(label: Any, tmp_path: Path) -> None:
    rows = [{"text": "a", "label": label}] * 3
    with pytest.raises(ValueError, match=r"train\.jsonl:1: the label is a list .* this is multi-label data, and one"):
        read(files.open_tables(jsonl(tmp_path, *rows), LABELLED))
    examples, problems = read(files.open_tables(jsonl(tmp_path, *rows, {"text": "b", "label": 1}), LABELLED))
    assert len(examples) == 1 and len(problems) == 3 and "this is multi-label data" in problems[0]


def test_labels_in_brackets_stay_labels() -> None:
    assert not unfit("label", "[unknown]") and not unfit("label", "3") and not unfit("text", "[0, 3]")


def test_captions_that_are_dictionaries_are_no_captions(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    spec = jsonl(tmp_path, {"image": "a.jpg", "caption": [{"raw": "a dog"}]}, {"image": "a.jpg", "caption": ["a cat"]})
    examples, problems = read(open_pictures(spec))
    assert [e["captions"] for e in examples] == [["a cat"]] and "dictionary with the keys raw" in problems[0]


def test_inside_prefers_a_column_of_the_very_name() -> None:
    row = {"a.b": 1, "a": {"b": 2, "c": {"d": 3}}}
    assert inside(row, "a.b") == 1 and inside(row, "a.c.d") == 3
    assert nested(row) == ["a.b", "a", "a.b", "a.c", "a.c.d"]
    with pytest.raises(KeyError):
        inside(row, "a.c.e")


# ------------------------------------------------------------------------------------------- names of files


@pytest.mark.parametrize("beside", ["", "txt"])
def test_transcripts_that_are_files_are_read_as_those(beside: str, tmp_path: Path) -> None:
    (tmp_path / beside).mkdir(exist_ok=True)
    for i in range(3):
        (tmp_path / f"{i}.wav").write_bytes(b"RIFF")
        (tmp_path / beside / f"{i}.txt").write_bytes(f"größe {i}\n".encode("utf-16" if i else "utf-8"))
    (tmp_path / "train.csv").write_text("path,text\n" + "".join(f"{i}.wav,{i}.txt\n" for i in range(3)))
    source = open_recordings(str(tmp_path / "train.csv"))
    assert [e["text"] for e in read(source)[0]] == [f"größe {i}" for i in range(3)]
    (tmp_path / beside / "1.txt").write_text("other")
    assert open_recordings(str(tmp_path / "train.csv")).fingerprint != source.fingerprint
    (tmp_path / beside / "1.txt").write_bytes(b"\xe4\xf6")
    examples, problems = read(open_recordings(str(tmp_path / "train.csv")))
    assert len(examples) == 2 and "names the file 1.txt, which cannot be read as text" in problems[0]


@pytest.mark.parametrize("field", ["text", "label", "caption"])
def test_a_column_of_files_that_are_no_texts_is_refused(field: str, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.wav").write_bytes(b"RIFF\0\0\xff\xff")
    (tmp_path / "train.csv").write_text(f"{field}\n" + "".join(f"{i}.wav\n" for i in range(3)))
    with pytest.raises(
        ValueError, match=rf"every cell of the column for {field} names a file.* is no text .*--{field}-c"
    ):
        read(files.open_tables(str(tmp_path), {field: (field,)}))


def test_captions_in_a_table_with_bars_are_guarded_too(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(b"\xff\xd8\xff\0")
    (tmp_path / "0.txt").write_text("a dog runs")
    (tmp_path / "results.csv").write_text("image|caption\n0.jpg|0.txt\n")
    assert read(open_pictures(str(tmp_path)), "all")[0][0]["captions"] == ["a dog runs"]
    (tmp_path / "results.csv").write_text("image|caption\n0.jpg|0.jpg\n")
    with pytest.raises(ValueError, match=r"every cell of the column for caption names a file, such as 0\.jpg"):
        open_pictures(str(tmp_path))


def test_one_cell_that_names_no_file_makes_a_column_of_texts(tmp_path: Path) -> None:
    (tmp_path / "yes").write_text("file")
    (tmp_path / "train.csv").write_text("text,label\nyes,1\nno,0\n")
    assert [e["text"] for e in read(files.open_tables(str(tmp_path), LABELLED))[0]] == ["yes", "no"]


def test_columns_of_recordings_and_pictures_stay_names(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "train.csv").write_text("path,text\na.wav,hello\n")
    examples, _ = read(open_recordings(str(tmp_path / "train.csv")))
    assert examples[0]["audio"] == str(tmp_path / "a.wav") and examples[0]["text"] == "hello"
