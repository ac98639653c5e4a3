"""Where the inputs of a job come from: tables by their columns, text by one rule, and no name of a file as a text."""

import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pipelines import Predictor, load_settings, load_task
from pipelines.__main__ import main
from pipelines.cli import predict as batch
from pipelines.cli.predict_inputs import Given, in_file, inputs, need_texts, usual

COLUMNS = ("body", "text")


class Reverser:
    """Answers a text with its mirror image."""

    task = SimpleNamespace(
        raw="text", columns={"text": ("text", "review")}, parse=lambda given: [{"text": one} for one in given]
    )
    loaded = None
    each = Predictor.each
    failed = staticmethod(Predictor.failed)

    def __call__(self, given: list[str]) -> list[dict[str, Any]]:
        return [{"id": str(i), "input": one, "answer": one[::-1], "score": 0.5} for i, one in enumerate(given)]


def written(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def job(given: Any, kind: batch.Kind = "json") -> list[Any]:
    out = io.BytesIO()
    try:
        batch.run(Reverser(), given, out, kind)
    except RuntimeError as error:
        assert "inputs failed" in str(error)
    text = out.getvalue().decode()
    return [json.loads(line) for line in text.splitlines()] if kind == "json" else text.splitlines()


CSV = 'label,text,source\n1,"Great, really",web\n0,"two\nlines",shop\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV),
        ("a.tsv", "label\ttext\tsource\n1\tGreat, really\tweb\n0\ttwo\\nlines\tshop\n"),
        ("a.csv.gz", gzip.compress(CSV.encode("utf-16"))),
        ("a.jsonl", '{"label": "1", "text": "Great, really", "source": "web"}\n'
         '{"label": "0", "text": "two\\nlines", "source": "shop"}\n'),
    ],
)  # fmt: skip
def test_a_table_is_read_by_its_columns_and_keeps_the_others(name: str, content: Any, tmp_path: Path) -> None:
    answers = job(in_file(written(tmp_path / name, content), "text", COLUMNS))
    assert [a["input"].replace("\\n", "\n") for a in answers] == ["Great, really", "two\nlines"]
    assert [a["columns"] for a in answers] == [{"label": "1", "source": "web"}, {"label": "0", "source": "shop"}]


def test_a_csv_file_has_the_other_columns_behind_its_own(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,answer,n\nbad row\ngood,given,1\n")
    lines = job(in_file(path, "text", COLUMNS), "csv")
    table = pd.read_csv(io.StringIO("\n".join(lines)), keep_default_na=False, dtype=str)
    assert list(table.columns) == ["input", "answer", "score", "error", "given answer", "n"]
    assert list(table.iloc[1]) == ["good", "doog", "0.5", "", "given", "1"]
    assert table["score"][0] == "" and "has 1 columns, the header has 3" in table["error"][0]


@pytest.mark.parametrize("kind", ["json", "csv", "lines"])
@pytest.mark.parametrize("cut", [0, 20, 60, 90, 10_000])
def test_a_job_over_a_table_is_continued_to_the_same_file(kind: Any, cut: int, tmp_path: Path) -> None:
    rows = "".join(f"text {i},{i}\n" if i % 4 else "broken\n" for i in range(20))
    path = written(tmp_path / "a.csv", "text,n\n" + rows)

    def work(name: str) -> bytes:
        with pytest.raises(RuntimeError, match="5 of 20"), batch.opened(str(tmp_path / name), True, kind) as out:
            batch.run(Reverser(), in_file(path, "text", COLUMNS), out, kind)
        return (tmp_path / name).read_bytes()

    whole = work("whole")
    (tmp_path / "part").write_bytes(whole[:cut])
    assert work("part") == whole


def test_a_file_with_other_columns_is_not_continued(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,n\nx,1\n")
    written(tmp_path / "out.csv", "input,answer,score,error\nx,x,0.5,\n")
    with pytest.raises(ValueError, match=r"out\.csv:1: has the columns 'input,answer,score,error', this job has .*,n'"):
        with batch.opened(str(tmp_path / "out.csv"), True, "csv") as out:
            batch.run(Reverser(), in_file(path, "text", COLUMNS), out, "csv")


def test_rows_that_cannot_be_used_fail_in_their_place(tmp_path: Path) -> None:
    content = '{"text": "a"}\nno JSON\n{"text": null}\n{"other": 1}\n{"text": {"en": "x"}}\n{"text": "b"}\n'
    answers = job(in_file(written(tmp_path / "a.jsonl", content), "text", COLUMNS))
    assert [a["answer"] for a in answers] == ["a", "", "", "", "", "b"]
    errors = [a.get("error", "") for a in answers]
    for number, words in enumerate(("is no JSON", "is no text", "has no column for text", "is a dictionary"), start=2):
        assert f"a.jsonl:{number}: " in errors[number - 1] and words in errors[number - 1]
    assert [a["score"] for a in answers] == [0.5, None, None, None, None, 0.5]


def test_a_table_without_the_column_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "said,label\na,1\n")
    with pytest.raises(ValueError, match=r"a\.csv: no column for text .*there are: said, label; name yours with --col"):
        list(in_file(path, "text", COLUMNS))
    assert [str(given) for given in in_file(path, "text", ("said",))] == ["a"]


def test_texts_that_are_files_are_read_and_names_of_recordings_are_found(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    written(tmp_path / "clips" / "1.wav", b"RIFF")
    written(tmp_path / "1.txt", "what it says\n")
    path = written(tmp_path / "a.csv", "path,text\n1.wav,1.txt\n")
    assert [given.raw for given in in_file(path, "audio", ("path",))] == [str(tmp_path / "clips" / "1.wav")]
    assert [given.raw for given in in_file(path, "text", ("text",))] == ["what it says"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_are_read_in_every_encoding_that_has_a_mark(encoding: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "größe, a\r\n\n很好\u2028b".encode(encoding))
    assert list(in_file(path, "text", COLUMNS)) == ["größe, a", "", "很好\u2028b"]


def test_a_folder_stands_for_its_texts(tmp_path: Path) -> None:
    written(tmp_path / "b.txt", "größe\nzwei".encode("utf-16"))
    written(tmp_path / "a.txt", b"\xe4")
    (tmp_path / "c.txt").symlink_to("nowhere")
    answers = job(in_file(str(tmp_path), "text", COLUMNS))
    assert [(a["columns"]["file"], a["answer"]) for a in answers] == [
        ("a.txt", ""),
        ("b.txt", "iewz\neßörg"),
        ("c.txt", ""),
    ]
    assert "a.txt:1: the text is not valid UTF-8" in answers[0]["error"]
    assert list(in_file(str(tmp_path), "audio", ("path",))) == [str(tmp_path)]


def test_a_line_that_is_no_text_fails_alone_and_nothing_is_replaced(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", b"one\nfl\xf6te\nthree\n")
    answers = job(in_file(path, "text", COLUMNS))
    assert [a["answer"] for a in answers] == ["eno", "", "eerht"]
    assert f"{path}:2: is not valid UTF-8" in answers[1]["error"] and "\ufffd" not in json.dumps(answers)


@pytest.mark.parametrize("content", ["größe\n很好\n".encode(), "größe\n很好\n".encode("utf-16")])
def test_standard_input_is_read_likewise(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=raw))
    assert list(inputs(Reverser(), ["first", "-"], None, None)) == ["first", "größe", "很好"]
    assert not raw.closed


def test_a_text_that_is_the_name_of_a_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "reviews.csv", CSV)
    with pytest.raises(ValueError, match=r"reviews\.csv: names a file, .* read it with --file .*reviews\.csv"):
        inputs(Reverser(), ["good", path], None, None)
    with pytest.raises(ValueError, match="names a folder"):
        need_texts([str(tmp_path)], "text")
    need_texts([path, str(tmp_path)], "audio")
    need_texts(["good", "a/b.csv", "x" * 5000, "a\0b", "-"], "text")


def test_the_usual_names_begin_with_that_of_the_training() -> None:
    predictor = Reverser()
    assert usual(predictor) == ("text", "review")
    predictor.loaded = SimpleNamespace(config=load_settings("sentiment").Config(text_column="body"))  # type: ignore[attr-defined]
    assert usual(predictor) == ("body", "text", "review")
    spoken = SimpleNamespace(task=load_task("speech"), loaded=None)
    assert usual(spoken)[:2] == ("path", "file")


def test_inputs_that_stand_for_several_keep_their_columns() -> None:
    task = SimpleNamespace(raw="image", parse=lambda given: [{"image": part} for part in given[0].split("|")])
    found = list(batch.expanded(task, [Given("a|b", {"n": 1}), "c"]))
    assert [(str(one), getattr(one, "columns", {})) for one in found] == [("a", {"n": 1}), ("b", {"n": 1}), ("c", {})]


def test_the_command_reads_a_table(small_run: Any, tmp_path: Path, capfd: Any) -> None:
    run = str(small_run("sentiment"))
    path = written(tmp_path / "reviews.csv", "id,body,stars\n7,a good film,5\n8,a bad film,1\n")
    assert main(["predict", run, "--file", path]) == 2
    assert "no column for text" in capfd.readouterr().err
    assert main(["predict", run, "--file", path, "--text-column", "body", "--csv"]) == 0
    table = pd.read_csv(io.StringIO(capfd.readouterr().out), dtype=str)
    assert list(table["input"]) == ["a good film", "a bad film"] and list(table["stars"]) == ["5", "1"]
    assert main(["predict", run, path]) == 2
    assert "read it with --file" in capfd.readouterr().err
    written(tmp_path / "one.txt", "a good\nfilm")
    assert main(["predict", run, "--file", str(tmp_path), "--csv"]) == 0
    out, errors = capfd.readouterr()
    assert list(pd.read_csv(io.StringIO(out))["file"]) == ["one.txt"]
    assert "1 file passed over (reviews.csv); expected files called .txt" in errors
