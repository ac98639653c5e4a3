"""ONNX: what is refused, that the file answers as the run does, and that the clients of docs/exports.md work."""

import dataclasses
import functools
import hashlib
import json
import re
import shutil
import subprocess
import sys
import wave
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import Predictor, load_task, train
from pipelines.__main__ import main
from pipelines.data.batching import batches
from pipelines.export import formats, numeric
from pipelines.runs.load import load_run

ROOT = Path(__file__).parents[2]
TEXTS = ["", " \t ", "ÇOK İyi, 很好", "<br />&amp;", "A good, good film&#039;s end — ΟΔΥΣΣΕΥΣ", "x" * 250, "good " * 90]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, small_run: Any) -> Any:
    """Return ``exported(task) -> folder`` of the small run's ONNX export, written once."""
    pytest.importorskip("tf2onnx")
    from pipelines.export.onnx import export

    made: dict[str, Path] = {}

    def folder(task: str) -> Path:
        if task not in made:
            made[task] = export(small_run(task), tmp_path_factory.mktemp("onnx") / task)
        return made[task]

    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and "Traceback" not in err + out
    return err


def bare_run(folder: Path, task: str) -> None:
    """Write just enough to be taken for a run of ``task``."""
    content = json.dumps({"task": task, "config": {}, "data": {}})
    (folder / "config.json").write_text(content)
    files = {"config.json": hashlib.sha256(content.encode()).hexdigest()}
    (folder / "MANIFEST.json").write_text(json.dumps({"files": files, "format": 1, "pending": {}}))


@pytest.mark.parametrize("form", ["onnx", "litert"])
@pytest.mark.parametrize("task", ["translation", "captioning"])
def test_what_needs_a_search_is_refused_with_what_to_use(
    task: str, form: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bare_run(tmp_path, task)
    message = refused(capsys, "export", tmp_path, "--format", form)
    assert f"--format {form}: a {task} answer" in message
    assert "beam search" in message and "--format saved_model" in message and "sentiment, speech" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MANIFEST.json", "config.json"]


def test_a_search_is_refused_where_the_network_would_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bare_run(tmp_path, "speech")
    message = refused(capsys, "export", tmp_path, "--format", "onnx", "--beam-width", "4")
    assert "--beam-width: --format onnx holds a network alone" in message and "log-probabilities" in message


def test_a_missing_package_is_named(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"task": "speech"}))
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if name == "ai_edge_litert" else True)
    with pytest.raises(ValueError, match="--format litert: needs ai-edge-litert>=2: pip install 'ai-edge-litert>=2'"):
        formats.check(str(tmp_path), "litert", {})


def test_the_largest_error_is_relative_above_one() -> None:
    expected = {"a": np.float32([0.5, -20.0]), "n": np.int32([1, 2])}
    assert numeric.largest_error(expected, expected) == 0
    assert numeric.largest_error(expected, expected | {"a": np.float32([0.75, -20.0])}) == 0.25
    assert numeric.largest_error(expected, expected | {"a": np.float32([0.5, -25.0])}) == 0.25
    assert numeric.largest_error(expected, expected | {"a": np.float32([0.5, np.nan])}) == np.inf
    for wrong in ({"n": np.int32([1, 3])}, {"a": np.float32([0.5])}, {"n": np.int64([1, 2])}):
        with pytest.raises(RuntimeError, match=f"the export's {next(iter(wrong))} (is|differs)"):
            numeric.largest_error(expected, expected | wrong)
    with pytest.raises(RuntimeError, match=r"answers \['a'\], the run \['a', 'n'\]"):
        numeric.largest_error(expected, {"a": expected["a"]})


def test_moved_probability_is_a_mean_over_the_real_steps() -> None:
    def outputs(*rows: list[float]) -> dict[str, Any]:
        return {numeric.SCORES: np.log(np.float32([rows])), "steps": np.int32([2])}

    one = outputs([0.5, 0.5], [0.9, 0.1], [0.9, 0.1])
    two = outputs([0.5, 0.5], [0.6, 0.4], [0.1, 0.9])
    assert numeric.moved(one, two) == pytest.approx(0.15)  # 0.3 of the second step, none of the first
    assert numeric.moved(one, outputs([np.nan, 0.5], [0.9, 0.1], [0.9, 0.1])) == 0.5
    label = {numeric.SCORES: np.log(np.float32([[0.8, 0.2]]))}
    assert numeric.moved(label, {numeric.SCORES: np.log(np.float32([[0.7, 0.3]]))}) == pytest.approx(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["sentiment", "speech"])
def test_the_export_answers_a_padded_batch_as_the_compiled_run(task: str, small_run: Any, exported: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    loaded = load_run(small_run(task))
    source = loaded.open_source("synthetic")
    examples = list(islice(source.read("train"), 5))
    ((x, _),) = batches(loaded.task.encode(examples, "predict"), [np.arange(5)])
    session = onnxruntime.InferenceSession(str(exported(task) / "model.onnx"))
    inputs = {port.name: np.asarray(x[port.name]) for port in session.get_inputs()}
    answers = dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))
    outputs = loaded.model(x, training=False)  # the fast path: other kernels than those the export was compared with
    logits = np.float64(outputs["logits"])
    expected = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(answers[numeric.SCORES], expected, atol=5e-5)
    if task == "speech":
        np.testing.assert_array_equal(answers["steps"], outputs["steps"])


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"cell": "gru"}, {"cell": "simple", "layers": 2}, {"bidirectional": False}])
@pytest.mark.parametrize("pooling", ["attention", "last"])
def test_every_kind_of_network_converts(settings: dict[str, Any], pooling: str, small_run: Any, tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx")
    from pipelines.export import onnx as export_onnx
    from pipelines.tasks.sentiment.model import numeric as alone

    loaded = load_run(small_run("sentiment"))
    config = dataclasses.replace(loaded.config, pooling=pooling, **settings)
    task = type(loaded.task)(config, loaded.preprocessor)
    model = task.network()
    network = alone(model, loaded.preprocessor, config)
    export_onnx._convert(network, tmp_path / "model.onnx")
    tried = numeric.cases(dataclasses.replace(loaded, task=task, model=model), network, 2)
    assert export_onnx._prove(tmp_path / "model.onnx", [*tried, numeric.batch(network, (x for x, _ in tried))]) < 1e-5


@pytest.mark.slow
def test_an_lstm_becomes_one_operation_a_direction(exported: Any) -> None:
    onnx = pytest.importorskip("onnx")
    kinds = [node.op_type for node in onnx.load(exported("sentiment") / "model.onnx").graph.node]
    assert kinds.count("LSTM") == 2 and not {"Loop", "Scan", "If"} & set(kinds)


@pytest.mark.slow
def test_an_export_that_differs_is_not_delivered(
    small_run: Any, exported: Any, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run, target = tmp_path / "run", tmp_path / "run" / "onnx"
    shutil.copytree(small_run("sentiment"), run)
    shutil.copytree(exported("sentiment"), target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    honest = numeric.Numeric.traced

    def traced(self: Any, *a: Any, **k: Any) -> Any:
        @functools.wraps(self.function)
        def off(*x: Any, **y: Any) -> Any:
            return {name: value + 1e-3 for name, value in self.function(*x, **y).items()}

        # only what is converted, not what it is compared with
        return honest(dataclasses.replace(self, function=off) if k.get("unmasked") else self, *a, **k)

    monkeypatch.setattr(numeric.Numeric, "traced", traced)
    assert main(["export", str(run), "--format", "onnx"]) == 1
    err = capsys.readouterr().err
    assert "the export differs from the run by 0.001, allowed is 0.0001" in err and err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_another_folder_is_not_overwritten(small_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tf2onnx")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    assert main(["export", str(small_run("sentiment")), "--format", "onnx", "--out", str(tmp_path / "mine")]) == 2
    assert "exists and is no ONNX export" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["diary.txt"]


def client(name: str, folder: Path) -> Path:
    """Write a program of docs/exports.md to a file."""
    page = (ROOT / "docs" / "exports.md").read_text("utf-8")
    (body,) = re.findall(rf"^```python\n# {re.escape(name)}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    path = folder / name
    path.write_text(body + "assert not {'tensorflow', 'keras', 'pipelines', 'models'} & set(sys.modules)\n", "utf-8")
    return path


def answers(program: Path, *arguments: Any) -> list[list[str]]:
    command = [sys.executable, "-I", str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("truncate", ["both", "head", "tail"])
def test_the_sentiment_client_of_the_documentation(
    truncate: str, small_run: Any, exported: Any, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported("sentiment"), tmp_path / "export")
    card = json.loads((folder / "model.json").read_text())
    card["preprocessing"]["truncate"] = truncate  # a setting that no trained weight depends on
    (folder / "model.json").write_text(json.dumps(card))
    predictor = Predictor(small_run("sentiment"))
    predictor.loaded.preprocessor.config = dataclasses.replace(predictor.loaded.config, truncate=truncate)
    task = load_task("sentiment")
    texts = TEXTS + [e["text"] for e in islice(task.builtin_source().read("test"), 8)]
    got = answers(client("sentiment_client.py", tmp_path), folder, *texts)
    expected = predictor(texts)
    assert [label for label, *_ in got] == [p["answer"] for p in expected]
    np.testing.assert_allclose([float(score) for _, score, _ in got], [p["score"] for p in expected], atol=1.1e-4)


@pytest.mark.slow
def test_the_speech_client_of_the_documentation(tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx")
    from pipelines.export.onnx import export

    learned = {"epochs": 30, "batch_size": 4, "units": 48, "learning_rate": 1e-2}  # so that there are words to compare
    run = train("speech", run=tmp_path / "run", preset="tiny", limit=12, **learned)
    task = load_task("speech")
    paths = []
    for number, example in enumerate(islice(task.builtin_source().read("train"), 4)):
        paths.append(tmp_path / f"{number}.wav")
        with wave.open(str(paths[-1]), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes((np.asarray(example["audio"]) * 32767).astype("<i2").tobytes())
    got = answers(client("speech_client.py", tmp_path), export(run), *paths)
    assert [text for text, _ in got] == [p["answer"] for p in Predictor(run)(paths)]
    assert any(text for text, _ in got), "nothing was recognised, so nothing was compared"
