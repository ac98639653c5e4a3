"""The command line as a user meets it: statuses, sentences, and no traceback for a mistake."""

import io
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines import load_settings
from pipelines.__main__ import main
from pipelines.cli import commands
from pipelines.config import resolve
from pipelines.runs.folder import STATE, create
from pipelines.runs.load import load_run
from pipelines.serve import server as serve
from pipelines.tasks.sentiment.config import Config

ROOT = Path(__file__).parents[2]
SENTIMENT, TRANSLATION = (str(ROOT / "pretrained" / task) for task in ("sentiment", "translation"))


def call(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


WRONG = [
    (["tain"], "invalid choice: 'tain'"),
    (["train"], "required: task"),
    (["train", "sentimental"], "no task 'sentimental'; the tasks are: sentiment, translation, speech, captioning (did"),
    (["train", "speach"], "(did you mean speech?)"),
    (["train", "sentiment", "--epoch", "3"], "--epoch (did you mean --epochs?)"),
    (["train", "sentiment", "--epochs"], "expected one argument"),
    (["train", "sentiment", "--epochs", "-1"], "--epochs: input should be greater than or equal to 1, came '-1'"),
    (["train", "sentiment", "--truncate", "middle"], "--truncate: input should be 'head', 'tail' or 'both'"),
    (["train", "sentiment", "--preset", "big"], "--preset big: expected one of default, tiny, small, base"),
    (["train", "sentiment", "--preset", "smal"], "(did you mean small?)"),
    (["train", "sentiment", "--config", "nowhere.json"], "--config nowhere.json: cannot be read"),
    (["train", "sentiment", "--limit", "-5"], "--limit: expected a positive number"),
    (["train", "sentiment", "--data", "nowhere"], "--data nowhere: there is no such file or folder"),
    (["train", "sentiment", "--init", "nowhere"], "nowhere: there is no such run folder"),
    (["train", "sentiment", "--run", str(ROOT / "models")], "models: exists and is no run folder; name a new one"),
    (["train", "sentiment", "--run", __file__], "test_command_line.py: exists and is no run folder"),
    (["validate", "speech", "--data", "nowhere"], "--data nowhere: there is no such file or folder"),
    (["evaluate", "nowhere"], "nowhere: there is no such folder"),
    (["evaluate", "."], "is no run folder"),
    (["export", "."], "is no run folder"),
    (["explain", ".", "text", "--out", "why.png"], "is no run folder"),
    (["predict", "."], "expected an input, - for standard input, or --file FILE"),
    (["predict", ".", "text"], "is no run folder"),
    (["predict", ".", "--file", "nowhere"], "--file nowhere: there is no such file"),
    (["export", ".", "--format", "coreml"], "invalid choice: 'coreml'"),
    (["export", ".", "--format", "run"], "expected --out"),
    (["demo", "--task", "sentimnt"], "expected one of"),
    (
        ["train", "sentiment", "--cell", "lstmm"],
        "input should be 'lstm', 'gru', 'simple', 'mingru', 'minlstm' or 'rglru', came 'lstmm' (did you mean lstm",
    ),
    (["train", "sentiment", "--config", str(ROOT / "tests")], "cannot be read as JSON"),
    (["train", "translation", "--min-tokens", "80"], "--min-tokens 80: expected fewer than --max-tokens, which is 80"),
    (["train", "captioning", "--max-tokens=9", "--min-tokens=9"], "9: expected fewer than --max-tokens, which is 9"),
    (["train", "translation", "--scst-epochs", "11"], "--scst-epochs 11: there are 10 epochs in all"),
    (["train", "translation", "--scst-kept", "5"], "--scst-kept 5: expected 0, or 2 to --scst-samples, which is"),
    (["train", "sentiment", "--embeddings", "nowhere"], "--embeddings nowhere: there is no such file"),
    (["train", "sentiment", "--data", ""], "--data: expected synthetic, tfds:NAME, a file or a folder, came nothing"),
    (["predict", TRANSLATION, "text", "--min-tokens", "80"], "--min-tokens 80: expected fewer than --max-tokens"),
    (["validate", "sentiment", "--max-tokens", "abc"], "--max-tokens: input should be a valid integer"),
    (["validate", "sentiment", "--config", "nowhere.json"], "--config nowhere.json: cannot be read"),
    (["explain", SENTIMENT, "text", "--out", "no/such/x.png"], "--out no/such/x.png: there is no folder no/such"),
    (["explain", SENTIMENT, "text", "--out", str(ROOT)], "is a folder, expected a file to write"),
    (["explain", SENTIMENT, "--out", "x.png", "two", "texts"], "expected one input, came 2: two, texts"),
    (["export", SENTIMENT, "--out", SENTIMENT], "sentiment: exists and is no SavedModel; name another folder"),
    (["export", SENTIMENT, "--out", __file__], "exists and is no SavedModel; name another folder"),
    (["export", SENTIMENT, "--out", SENTIMENT, "--format", "onnx"], "exists and is no ONNX export"),
    (["export", SENTIMENT, "--out", SENTIMENT, "--format", "litert"], "exists and is no LiteRT export"),
    (["export", SENTIMENT, "--out", SENTIMENT, "--format", "run"], "exists; name a new folder"),
    (["export", SENTIMENT, "--warmup", "text"], "unknown argument text"),
    (["predict", SENTIMENT, "--json", "text", "--jsn"], "unknown argument --jsn (did you mean --json?)"),
    (["predict", SENTIMENT, "--beam-width", "1", "text"], "unknown argument --beam-width"),
    (
        ["predict", TRANSLATION, "--beam-widht", "1", "text"],
        "unknown argument --beam-widht (did you mean --beam-width?)",
    ),
    (["serve", SENTIMENT, "--prot", "1", TRANSLATION], "unknown argument --prot (did you mean --port?)"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG, ids=lambda value: " ".join(value)[:40])
def test_a_wrong_request_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = call(capsys, *arguments)
    assert status == 2
    assert sentence in err
    assert err.count("\n") == 1
    assert "Traceback" not in err + out
    assert not list(tmp_path.iterdir()), "a refused request left something behind"


def test_a_wrong_request_is_answered_without_tensorflow(tmp_path: Path) -> None:
    code = (
        "import json, sys\nfrom pipelines.__main__ import main\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    assert main(arguments) == 2, arguments\n"
        "    heavy = {'tensorflow', 'keras', 'matplotlib', 'sklearn', 'librosa'} & set(sys.modules)\n"
        "    assert not heavy, (arguments, heavy)"
    )
    begun = create(tmp_path / "begun", "sentiment", Config(), {})
    begun.write_json(STATE, "begun")
    wrong = [["train", task, "--run", "begun", "--epochs", "3"] for task in ("sentiment", "speech")]
    command = [sys.executable, "-c", code, json.dumps([*wrong, *(arguments for arguments, _ in WRONG)])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


MORE = [
    (["predict", TRANSLATION, "--json", "a"], "input", ["a"]),
    (["predict", TRANSLATION, "--beam-width", "1", "a"], "input", ["a"]),
    (["predict", TRANSLATION, "a", "--csv", "b", "-", "--beam-width=1", "- c d"], "input", ["a", "b", "-", "- c d"]),
    (["predict", TRANSLATION, "--json", "a", "--", "-b", "--c"], "input", ["a", "-b", "--c"]),
    (["predict", "--json", TRANSLATION, "a"], "input", ["a"]),
    (["explain", TRANSLATION, "--out", "why.png", "a"], "input", ["a"]),
    (["serve", TRANSLATION, "--port", "1", SENTIMENT], "source", [TRANSLATION, SENTIMENT]),
    (["web", TRANSLATION, "--port", "1", SENTIMENT, "--host=x"], "runs", [TRANSLATION, SENTIMENT]),
]


@pytest.mark.parametrize(("arguments", "name", "expected"), MORE, ids=lambda value: " ".join(value)[-40:])
def test_inputs_may_stand_behind_options(
    arguments: list[str], name: str, expected: list[str], monkeypatch: Any
) -> None:
    seen: list[Any] = []
    owner = serve if arguments[0] == "serve" else commands
    monkeypatch.setattr(owner, "run" if owner is serve else arguments[0], lambda known: seen.append(known) or 0)
    assert main(arguments) == 0
    assert getattr(seen[0], name) == expected
    beam = any(word.startswith("--beam-width") for word in arguments)
    assert getattr(seen[0], "decoding", {}) == ({"beam_width": "1"} if beam else {})


@pytest.mark.parametrize("content", ['{"config": 3}', '{"config": [1]}', '{"config": null}', "[1]", "3"])
def test_a_file_of_settings_that_holds_none_is_one_sentence(content: str, capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(content)
    status, _, err = call(capsys, "train", "sentiment", "--config", tmp_path / "settings.json")
    assert status == 2 and err.count("\n") == 1
    assert "settings.json: expected a JSON object of settings, came " in err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"epochs": "many"}', "settings.json: epochs: input should be a valid integer"),
        ('{"epoch": 3}', "settings.json: there is no setting 'epoch' (did you mean epochs?)"),
        ('{"epochs": ' + "1" * 5000 + "}", "settings.json: cannot be read as JSON: Exceeds the limit"),
        ('{"epochs": ' + "[" * 100_000, "settings.json: cannot be read as JSON: maximum recursion"),
    ],
    ids=["value", "name", "digits", "brackets"],
)
def test_a_wrong_setting_of_a_file_is_told_with_the_file(content: str, told: str, capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(content)
    status, _, err = call(capsys, "train", "sentiment", "--config", tmp_path / "settings.json")
    assert (status, err.count("\n")) == (2, 1) and told in err


def test_settings_of_a_file_need_only_agree_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"min_tokens": 50}')
    module = load_settings("captioning")
    read = partial(resolve, module.Config, module.PRESETS, "default", tmp_path / "settings.json")
    assert read({"max_tokens": "51"}).min_tokens == 50
    with pytest.raises(ValueError, match="--min-tokens 50: expected fewer than --max-tokens, which is 40"):
        read()


def test_help_of_a_task_lists_its_presets_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "speech", "--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0 and out.startswith("usage: pipelines train")
    assert "--preset base: Learn real recordings.\n    layers 3, epochs 60, " in out
    assert "--cell 'lstm'" in out and "(lstm, gru, simple, mingru, minlstm, rglru)" in " ".join(out.split())
    status, out, err = call(capsys, "train", "speach", "--help")
    assert status == 2 and "no task 'speach'" in err and not out


def test_answers_are_tab_separated_or_json(small_run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run("sentiment")
    status, out, _ = call(capsys, "predict", run, "A fine film.", "tab\there")
    assert status == 0
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[2] for row in rows] == ["A fine film.", "tab here"]
    assert all(row[0] in ("negative", "positive") and 0.5 <= float(row[1]) <= 1 for row in rows)
    _, out, _ = call(capsys, "predict", run, "A fine film.", "tab\there", "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert [a["input"] for a in answers] == ["A fine film.", "tab\there"]
    assert [a["answer"] for a in answers] == [row[0] for row in rows]


def test_lines_come_from_files_and_standard_input(
    small_run: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b"\xef\xbb\xbf" + "first\n\nÜber \xff\n".encode("latin-1")  # as Windows begins a file
    (tmp_path / "in.txt").write_bytes(lines)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    run = small_run("sentiment")
    status, from_file, _ = call(capsys, "predict", run, "--file", tmp_path / "in.txt")
    _, from_stdin, _ = call(capsys, "predict", run, "-")
    assert status == 1 and from_file.replace(f"{tmp_path}/in.txt", "standard input") == from_stdin
    assert [line.split("\t")[2] for line in from_file.splitlines()] == ["first", "", r"\xdcber \xff"]
    assert from_file.splitlines()[2].startswith("\t\t") and from_file.endswith("in.txt:3: is not valid UTF-8\n")


def test_evaluate_prints_a_table_and_compares_two_runs(
    small_run: Any, first: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = small_run("sentiment")
    first(16)
    status, out, _ = call(capsys, "evaluate", run, "--split", "validation", "--out", tmp_path, "--against", run)
    assert status == 0
    assert "accuracy" in out and "reference \\ answer" in out and "p = 1.000" in out
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert record["against"]["differences"]["accuracy"]["difference"] == 0
    status, _, err = call(capsys, "evaluate", run, "--split", "tset")
    assert status == 2 and "there are: train, validation, test" in err


def test_the_search_can_be_changed_and_what_was_trained_cannot(
    small_run: Any, first: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = small_run("translation")
    first(6)
    decoded = []
    for flags in (["--beam-width", "1"], ["--beam-width=3", "--length-penalty", "0.5"]):
        assert call(capsys, "evaluate", run, "--split", "validation", "--out", tmp_path, *flags)[0] == 0
        decoded.append(json.loads((tmp_path / "metrics.json").read_text())["decode"])
    assert load_run(run).config.beam_width == 2 and decoded == ["greedy", "beam 3, alpha 0.5"]
    assert call(capsys, "predict", run, "The dog.", "--beam-width", "1")[0] == 0
    status, _, err = call(capsys, "evaluate", run, "--units", "3")
    assert status == 2 and "unknown argument --units" in err
    status, _, err = call(capsys, "evaluate", run, "--beam-width", "none")
    assert status == 2 and "--beam-width: input should be a valid integer" in err
    with pytest.raises(ValueError, match="units: was fixed when"):
        load_run(run, units=3)


def test_bad_data_is_skipped_up_to_a_share_and_then_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [{"text": f"text number {i}", "label": i % 2} for i in range(400)]
    rows[7]["text"] = " "
    rows[9]["text"] = None
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    small = ["--epochs", 1, "--units", 4, "--embedding-size", 4, "--vocabulary-size", 300]
    status, _, err = call(capsys, "train", "sentiment", "--data", data, "--run", tmp_path / "run", *small)
    assert status == 0
    assert err.count(f"{data}:8: the text is empty") == err.count(f"{data}:401: is no JSON") == 1
    for row in rows[:60]:
        row["text"] = ""
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, _, err = call(capsys, "train", "sentiment", "--data", data, "--run", tmp_path / "run2", *small)
    assert status == 2
    assert "cannot be used, more than 5%" in err


def test_a_refused_training_leaves_the_name_free(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data, run = tmp_path / "reviews.csv", tmp_path / "run"
    data.write_text("text,label\n" + "".join(f"text number {i},1\n" for i in range(60)))
    command = ["train", "sentiment", "--data", data, "--run", run, "--epochs", 1, "--units", 4]
    status, _, err = call(capsys, *command)
    assert status == 2 and "expected at least two" in err
    data.write_text("text,label\n" + "".join(f"text number {i},{i % 2}\n" for i in range(60)))
    assert call(capsys, *command, "--vocabulary-size", 300)[0] == 0
    status, _, err = call(capsys, *command, "--vocabulary-size", 310)
    assert status == 2 and "vocabulary_size: 300 in the run, 310 now" in err


def test_a_slim_copy_answers_as_the_run(
    small_run: Any, first: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = small_run("sentiment")
    first(16)
    assert call(capsys, "export", run, "--format", "run", "--out", tmp_path / "slim")[0] == 0
    files = {path.name for path in (tmp_path / "slim").iterdir()}
    assert "state.npz" not in files
    shares = []
    for folder in (run, tmp_path / "slim"):
        assert call(capsys, "evaluate", folder, "--out", tmp_path / "out")[0] == 0
        lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
        shares.append([json.loads(line)["probabilities"]["positive"] for line in lines])
    assert shares[0] == pytest.approx(shares[1], abs=1e-3) and len(shares[0]) == 16
    status, _, err = call(capsys, "export", run, "--format", "run", "--out", tmp_path / "slim")
    assert status == 2 and "exists; name a new folder" in err
