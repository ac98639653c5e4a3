"""Batch jobs: every input answered once and in order, whatever fails, wherever the job was stopped."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pipelines import Predictor
from pipelines.__main__ import main
from pipelines.cli import predict as batch

ROOT = Path(__file__).parents[2]


class Reverser:
    """Answers a text with its mirror image; a list that holds ``bad`` fails as a whole, as a graph does."""

    task = SimpleNamespace(
        raw="text", parse=lambda inputs: [{"text": part} for given in inputs for part in given.split("|")]
    )

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    each = Predictor.each
    failed = staticmethod(Predictor.failed)

    def __call__(self, inputs: list[str]) -> list[dict[str, Any]]:
        self.asked.append(inputs)
        if "bad" in inputs:
            raise RuntimeError("the graph\nbroke")
        rows = [{"id": str(i), "input": one, "answer": one[::-1], "score": 0.5} for i, one in enumerate(inputs)]
        return [row | {"cut": len(one) > 100} for row, one in zip(rows, inputs, strict=True)]


def job(inputs: list[str], kind: batch.Kind = "json", out: Any = None) -> list[Any]:
    out = out or io.BytesIO()
    batch.run(Reverser(), inputs, out, kind)
    lines = out.getvalue().decode().splitlines()
    return [json.loads(line) for line in lines] if kind == "json" else lines


def test_every_input_is_answered_once_in_order_with_ids_that_count_through() -> None:
    inputs = [f"text {i}" for i in range(2 * batch.MOST + 3)]
    answers = job(inputs)
    assert [a["answer"] for a in answers] == [one[::-1] for one in inputs]
    assert [a["id"] for a in answers] == [str(i) for i in range(len(inputs))]


def test_an_input_that_stands_for_several_is_answered_by_several() -> None:
    assert [a["input"] for a in job(["a|b", "c"])] == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["json", "lines"])
def test_a_failing_input_fails_alone_and_is_named(kind: batch.Kind, capsys: Any) -> None:
    inputs = [f"t{i}" for i in range(20)]
    inputs[3] = inputs[11] = "bad"
    out = io.BytesIO()
    with pytest.raises(RuntimeError, match="2 of 20 inputs failed: number 4, 12;"):
        job(inputs, kind, out)
    lines = out.getvalue().decode().splitlines()
    assert len(lines) == 20
    if kind == "json":
        answers = [json.loads(one) for one in lines]
        assert [i for i, a in enumerate(answers) if "error" in a] == [3, 11]
        assert answers[3]["error"] == "the graph broke" and answers[3]["answer"] == ""
        assert answers[3]["score"] is None
        assert [a["answer"] for i, a in enumerate(answers) if i not in (3, 11)] == [
            one[::-1] for one in inputs if one != "bad"
        ]
    else:
        assert [len(one.split("\t")) for one in lines] == [4 if i in (3, 11) else 3 for i in range(20)]
    assert "input 4: the graph broke" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["json", "lines", "csv"])
def test_inputs_that_are_cut_are_named_and_many_are_counted(kind: batch.Kind, capsys: Any) -> None:
    job(["short", "long" * 50, "short"], kind)
    said = "longer than the model reads; only its beginning was answered\n"
    assert capsys.readouterr().err == f"input 2: {said}"
    job(["short", *["long" * 50] * 900], kind)
    named = "".join(f"input {number}: {said}" for number in range(2, 7))
    assert capsys.readouterr().err == f"{named}895 more inputs: {said}"


def test_the_closing_sentence_stays_short_when_much_fails() -> None:
    with pytest.raises(RuntimeError, match=r"200 of 200 inputs failed: number 1, .* 50 and 150 more;"):
        job(["bad"] * 200)


def test_chunks_are_cut_by_number_and_by_padded_size(tmp_path: Path) -> None:
    assert [len(part) for part in batch.chunks(["x"] * 1100)] == [512, 512, 76]
    parts = list(batch.chunks(["a" * 10, "b" * 10, "c" * 50, "d", "e" * 300, "f"], padded=120))
    assert [[len(one) for one in part] for part in parts] == [[10, 10], [50, 1], [300], [1]]
    file = tmp_path / "large"
    file.write_bytes(bytes(1000))
    assert [len(part) for part in batch.chunks([str(file)] * 4, padded=2500)] == [2, 2]
    assert [len(part) for part in batch.chunks([bytes(1000)] * 4, padded=2500)] == [2, 2]


def test_lines_can_be_written_whatever_the_text_holds() -> None:
    prediction = {"answer": "a\tb\nc", "score": 0.25, "input": "\ud800 ü"}
    assert batch.line(prediction, "lines") == b"a b c\t0.2500\t\\ud800 \xc3\xbc\n"
    assert json.loads(batch.line(prediction, "json")) == prediction


def test_a_csv_file_is_read_back_by_others(capsys: Any) -> None:
    inputs, out = ['a "quoted", text', "bad", "two\nlines", "ü"], io.BytesIO()
    with pytest.raises(RuntimeError, match="1 of 4 inputs failed: number 2;"):
        job(inputs, "csv", out)
    table = pd.read_csv(io.BytesIO(out.getvalue()), keep_default_na=False)
    assert list(table.columns) == list(batch.COLUMNS)
    assert list(table["input"]) == ['a "quoted", text', "bad", "two lines", "ü"]
    assert list(table["answer"]) == ['txet ,"detouq" a', "", "senil owt", "ü"]
    assert list(table["error"]) == ["", "the graph broke", "", ""] and list(table["score"]) == ["0.5", "", "0.5", "0.5"]


@pytest.mark.parametrize("kind", ["json", "lines", "csv"])
@pytest.mark.parametrize("cut", [0, 1, 7, 30, 60, 200, 10_000])
def test_a_job_that_was_stopped_anywhere_is_continued_to_the_same_file(tmp_path: Path, cut: int, kind: Any) -> None:
    inputs = [f"tab\there {i} \ud800" if i % 5 else "bad" for i in range(30)]

    def work(name: str) -> bytes:
        with (
            pytest.raises(RuntimeError, match="6 of 30 inputs failed"),
            batch.opened(str(tmp_path / name), True, kind) as out,
        ):
            batch.run(Reverser(), inputs, out, kind)
        return (tmp_path / name).read_bytes()

    whole = work("whole")
    (tmp_path / "part").write_bytes(whole[:cut])
    assert work("part") == whole
    assert work("part") == whole, "a finished job is not done again"


def test_a_continued_job_passes_over_what_is_done(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    inputs = ["one", "two", "three"]
    for _ in range(2):
        predictor = Reverser()
        with batch.opened(str(file), True, "json") as out:
            batch.run(predictor, inputs, out, "json")
        file.write_bytes(file.read_bytes()[:-5])
    assert predictor.asked == [["three"]]


def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "out.tsv"
    text = "eno\t0.5000\tone\nowt\t0.5000\ttwo\n"
    file.write_text(text)

    def work(inputs: list[str], resume: bool = True, kind: batch.Kind = "lines") -> None:
        with batch.opened(str(file), resume, kind) as out:
            batch.run(Reverser(), inputs, out, kind)

    with pytest.raises(ValueError, match="exists; continue it with --resume"):
        work(["one"], resume=False)
    with pytest.raises(ValueError, match="line 2 answers 'two', the input of this number is 'other'"):
        work(["one", "other", "three"])
    with pytest.raises(ValueError, match="holds 2 answers, there are fewer inputs"):
        work(["one"])
    with pytest.raises(ValueError, match=r"out\.tsv:1: expected a JSON object"):
        work(["one", "two"], kind="json")
    with pytest.raises(ValueError, match=r"out\.tsv:1: expected input,answer,score,error"):
        work(["one", "two"], kind="csv")
    assert file.read_text() == text
    file.write_text("# notes\n")
    with pytest.raises(ValueError, match=r"out\.tsv:1: expected ANSWER, tab, score, tab, input"):
        work(["one", "two"])
    with batch.opened(str(tmp_path / "new"), False, "json"), pytest.raises(ValueError, match="by another process"):
        with batch.opened(str(tmp_path / "new"), True, "json"):
            pass


def test_a_job_that_never_began_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run"), batch.opened(str(tmp_path / "new"), False, "json"):
        raise ValueError("no run")
    assert not list(tmp_path.iterdir())
    with batch.opened(str(tmp_path / "new"), False, "json") as out:
        batch.run(Reverser(), [], out, "json")
    assert (tmp_path / "new").read_bytes() == b""


def test_lines_of_a_file_are_counted(tmp_path: Path) -> None:
    for content, count in ((b"", 0), (b"a", 1), (b"a\n", 1), (b"a\n\nb", 3), (b"x\n" * 800_000, 800_000)):
        (tmp_path / "file").write_bytes(content)
        assert batch.lines_in(str(tmp_path / "file")) == count


def test_the_command_writes_a_file_that_it_continues(small_run: Any, tmp_path: Path, capfd: Any) -> None:
    run, texts, out = small_run("sentiment"), tmp_path / "texts.txt", tmp_path / "out.jsonl"
    texts.write_text("".join(f"a film number {i}\n" for i in range(9)))
    command = ["predict", str(run), "--file", str(texts), "--json", "--out", str(out)]
    assert main(command) == 0
    whole = out.read_bytes()
    assert [json.loads(one)["input"] for one in whole.splitlines()] == texts.read_text().splitlines()
    assert main(command) == 2 and "--resume" in capfd.readouterr().err
    out.write_bytes(whole[: len(whole) // 2])
    assert main([*command, "--resume"]) == 0
    assert [json.loads(one)["answer"] for one in out.read_bytes().splitlines()] == [
        json.loads(one)["answer"] for one in whole.splitlines()
    ]
    assert main(["predict", str(run), "text", "--resume"]) == 2
    assert "expected --out" in capfd.readouterr().err


@pytest.mark.slow
def test_a_recording_that_cannot_be_read_makes_the_command_fail_at_the_end(
    small_run: Any, tmp_path: Path, capfd: Any
) -> None:
    (tmp_path / "words.wav").write_text("no sound at all")
    assert main(["predict", str(small_run("speech")), str(tmp_path / "words.wav"), "--json"]) == 1
    out, err = capfd.readouterr()
    assert "not a readable recording" in json.loads(out)["error"]
    assert err.splitlines()[-1].startswith("pipelines: 1 of 1 inputs failed: number 1;")


@pytest.mark.slow
def test_memory_is_bounded_and_a_killed_job_is_continued(small_run: Any, tmp_path: Path) -> None:
    texts, out, lines = tmp_path / "texts.txt", tmp_path / "out.tsv", 120_000
    with open(texts, "w") as file:
        file.writelines(f"a film number {i} that is {'not ' * (i % 7)}good\n" for i in range(lines))
    command = [sys.executable, "-m", "pipelines", "predict", str(small_run("sentiment")), "--file", str(texts)]
    command += ["--out", str(out), "--resume"]

    def at(count: int, process: subprocess.Popen) -> int:
        while process.poll() is None and (not out.exists() or out.read_bytes().count(b"\n") < count):
            time.sleep(0.2)
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    process = subprocess.Popen(command, cwd=ROOT)
    early, late = at(10_000, process), at(60_000, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert late - early < 100_000, f"{early} kB grew to {late} kB"
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    with open(texts) as asked, open(out) as answered:
        assert all(a.strip() == b.rstrip("\n").split("\t")[2] for a, b in zip(asked, answered, strict=True))
