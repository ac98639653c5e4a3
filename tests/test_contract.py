"""One contract for every task: what is promised for one is tested for all."""

import dataclasses
import inspect
import json
import re
import shlex
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines import TASKS, Predictor, config, evaluate, load_settings, load_task, train
from pipelines.cli.arguments import read_settings
from pipelines.cli.parser import build_parser
from pipelines.data.batching import Encoded, batches
from pipelines.data.source import Source
from pipelines.export.saved_model import export, operations
from pipelines.runs.load import Loaded, load_run
from pipelines.training import decode as evaluation
from pipelines.training.encode import encode_split
from tests.conftest import run_here

every = pytest.mark.parametrize("name", list(TASKS))
one_by_default = pytest.mark.parametrize(
    "name", ["sentiment", *(pytest.param(name, marks=pytest.mark.slow) for name in TASKS if name != "sentiment")]
)

# So often the six examples come in an epoch: many epochs would decode, score and save as many times.
OFTEN = {"sentiment": 50, "translation": 120, "speech": 50, "captioning": 320}
# Sorted by length over many batches, each batch would hold one example six times.
EASY: dict[str, Any] = {
    "bucket_window": 1,
    "epochs": 2,
    "batch_size": 6,
    "learning_rate": 1e-2,
    "warmup": 0.05,
    "units": 32,
    "dropout": 0.0,
    "label_smoothing": 0.0,
}
"""Settings with which six examples are learned by heart, of those that a task has."""
WORDS_HIDDEN = {"sentiment": ("word_dropout",)}
"""Dropout of whole pieces that is part of the network; elsewhere it changes the batch."""
LONG = {"translation": "target", "captioning": "captions"}
"""The field whose length decides the width of a batch, where it is not the raw input."""
OVERFIT: dict[str, dict[str, Any]] = {
    "translation": {"max_tokens": 48, "embedding_size": 32, "decoder_units": 64},
    "speech": {"units": 48},
    "captioning": {"embedding_size": 48, "grid_units": 48, "units": 64},
}


def examples(name: str, count: int, split: str = "test") -> list[dict[str, Any]]:
    source = load_task(name).builtin_source()
    return [example for example, _ in zip(source.read(split), range(count), strict=False)]


def has(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Those of the settings that the task has."""
    known = {field.name for field in dataclasses.fields(load_settings(name).Config)}
    return {field: value for field, value in settings.items() if field in known}


@every
def test_every_setting_survives_the_command_line_and_the_file(name: str, tmp_path: Path) -> None:
    settings = load_settings(name)
    for preset in ["default", *settings.PRESETS]:
        chosen = config.resolve(settings.Config, settings.PRESETS, preset)
        values = config.to_dict(chosen)
        flags: list[str] = []
        for key, value in values.items():
            text = ",".join(value) if isinstance(value, list) else str(value)
            flags += [f"--{key.replace('_', '-')}={text}"]
        assert config.resolve(settings.Config, {}, overrides=read_settings(name, flags, "train")) == chosen
        file = tmp_path / "settings.json"
        file.write_text(json.dumps(values))
        assert config.resolve(settings.Config, {}, file=file) == chosen


@every
def test_a_preset_states_command_data_score_and_time(name: str) -> None:
    settings = load_settings(name)
    assert {"tiny", "small"} <= set(settings.PRESETS)
    for preset, values in settings.PRESETS.items():
        stated = dict(re.findall(r"^- (\w+): (.+)$", inspect.getdoc(values) or "", re.MULTILINE))
        assert list(stated) == ["Command", "Data", "Score", "Time"], preset
        program, *arguments = shlex.split(stated["Command"].strip("`"))
        known, rest = build_parser().parse_known_args(arguments)
        assert (program, known.command, known.task, known.preset) == ("pipelines", "train", name, preset)
        config.resolve(settings.Config, settings.PRESETS, preset, overrides=read_settings(name, rest, "train"))


@every
def test_every_setting_has_a_description(name: str) -> None:
    for field in dataclasses.fields(load_settings(name).Config):
        assert getattr(field.default, "description", None), field.name


@every
def test_wrong_settings_are_refused_by_name(name: str) -> None:
    settings = load_settings(name)
    with pytest.raises(ValueError, match=r"unknown argument --epoch \(did you mean --epochs\?\)"):
        read_settings(name, ["--epoch", "3"], "train")
    with pytest.raises(ValueError, match=r"--epochs: .*'many'"):
        config.resolve(settings.Config, settings.PRESETS, overrides={"epochs": "many"})
    with pytest.raises(ValueError, match=r"--epochs: .*0"):
        config.resolve(settings.Config, settings.PRESETS, overrides={"epochs": 0})
    with pytest.raises(ValueError, match="--preset huge"):
        config.resolve(settings.Config, settings.PRESETS, "huge")


def alike(name: str, count: int) -> Source:
    """Built-in examples of about one length, for one width to compile, as training and as validation."""
    rows = examples(name, 60, "train")
    rows = [row | {"captions": row["captions"][:1]} if "captions" in row else row for row in rows]
    rows.sort(key=lambda row: length(row[LONG.get(name, load_task(name).raw)]))
    rows = rows[30 - count // 2 :][:count]
    readers = {"train": lambda problem: iter(rows * OFTEN.get(name, 400)), "validation": lambda problem: iter(rows)}
    return Source("synthetic", readers, f"{count} of {name}")


def length(value: Any) -> int:
    return len(value) if hasattr(value, "__array__") else len(str(value))


@one_by_default
def test_what_is_learned_by_heart_is_answered_exactly(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    task, source = load_task(name), alike(name, 6)
    monkeypatch.setattr(task, "open_source", staticmethod(lambda spec, config: source))
    settings = has(name, EASY | OVERFIT.get(name, {}))
    loaded = load_run(train(name, run=tmp_path / "run", preset="tiny", **settings))
    predictions = evaluation.Decoder(loaded)(encode_split(loaded.task, source, "validation"))
    assert [p["answer"] for p in predictions] == [p["references"][0] for p in predictions]
    assert len({p["answer"] for p in predictions}) > 1, "one answer serves for all"


@every
def test_predictions_agree_alone_in_a_batch_and_exported(name: str, small_predictor: Any, small_export: Any) -> None:
    task, predictor = load_task(name), small_predictor(name)
    hard = task.hard_cases()
    inputs = [example[task.raw] for example in hard + examples(name, 6)]
    together = predictor(inputs)
    some = range(0, len(hard) + 1, 2)  # every second hard one, and one that is not, stand for all
    alone = [predictor([inputs[i]])[0] for i in some]
    exported = Predictor(small_export(name))(inputs)
    assert [p["id"] for p in together] == [str(i) for i in range(len(inputs))]
    assert_agree(alone, [together[i] for i in some])
    assert_agree(exported, together)


def assert_agree(others: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [p["answer"] for p in others] == [p["answer"] for p in expected]
    np.testing.assert_allclose([p["score"] for p in others], [p["score"] for p in expected], atol=2e-5)


@one_by_default
def test_many_are_answered_as_few(name: str, small_predictor: Any) -> None:
    predictor, task = small_predictor(name), load_task(name)
    inputs = [example[task.raw] for example in task.hard_cases() + examples(name, 6)]
    assert_agree(predictor(inputs * 4)[: len(inputs)], predictor(inputs))  # so many that layers are compiled


@every
def test_evaluation_writes_what_the_interface_promises_and_prediction_answers(
    name: str, small_run: Any, small_predictor: Any, first: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    first(16)
    run, task = small_run(name), load_task(name)
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "EVALUATION_BATCH", 6)  # several batches, whose order is not that of the data
        evaluate(run, split="validation", out=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert all(set(line) >= {"id", "input", "references", "answer", "score"} for line in lines)
    given = examples(name, 16, "validation")
    assert [line["id"] for line in lines] == [example["id"] for example in given]
    answers = small_predictor(name)([example[task.raw] for example in given])
    assert [p["answer"] for p in answers] == [line["answer"] for line in lines]
    record = json.loads((tmp_path / "metrics.json").read_text())
    keys = {"task", "split", "data", "examples", "parameters", "decode", "metrics", "signatures"}
    assert set(record) >= keys and record["examples"] == 16
    assert task.metric in record["metrics"]
    assert set(record["signatures"]) == set(record["metrics"])
    for score in record["metrics"].values():
        assert score["low"] <= score["value"] <= score["high"] or np.isnan(score["value"])


def built(name: str, loaded: Loaded, **changes: float) -> tuple[Loaded, Encoded, Callable[..., np.ndarray]]:
    """A run whose network is built with other settings, three encoded examples, and its training loss of a batch."""
    task = type(loaded.task)(dataclasses.replace(loaded.config, **changes), loaded.preprocessor)
    model = task.network()
    model.set_weights(loaded.model.get_weights())
    loaded = dataclasses.replace(loaded, task=task, model=model)
    return loaded, task.encode(examples(name, 3)), lambda x, y: np.asarray(task.loss(model, x, y)[0])


def settings_of(name: str, *fields: str) -> list[str]:
    """Those of the fields that the task has."""
    return list(has(name, dict.fromkeys(fields)))


@every
def test_batches_hold_the_fields_that_the_task_declares(name: str, small_predictor: Any) -> None:
    task = small_predictor(name).loaded.task
    for mode in ("train", "score", "predict"):
        encoded = task.encode(examples(name, 3), mode)
        (x, y), *_ = batches(encoded, [np.arange(len(encoded))])
        assert_declared(x, task.x_fields)
        assert_declared(y, task.y_fields if mode != "predict" else {})


def assert_declared(part: dict[str, Any], fields: Any) -> None:
    assert {name for name, field in fields.items() if not field.optional} <= set(part) <= set(fields)
    for name, value in part.items():
        assert value.dtype.name in fields[name].dtype
        axes = fields[name].axes
        assert "..." in axes or len(axes) == value.shape.rank, name


@every
def test_loss_does_not_depend_on_padding(name: str, small_predictor: Any) -> None:
    off = dict.fromkeys(settings_of(name, "dropout", "word_dropout"), 0.0)
    off |= dict.fromkeys(settings_of(name, "adversarial"), 0.5)
    _, encoded, loss = built(name, small_predictor(name).loaded, **off)
    (x, y), *_ = batches(encoded, [np.arange(len(encoded))])
    together = loss(x, y)
    for i in (np.argmin(encoded.lengths), np.argmax(encoded.lengths)):
        (alone, *_) = batches(encoded, [np.array([i])])
        np.testing.assert_allclose(together[i], loss(*alone)[0], rtol=2e-5)
    wider = [_padded_more(part, encoded_part) for part, encoded_part in ((x, encoded.x), (y, encoded.y))]
    assert any(one[k].shape != part[k].shape for one, part in zip(wider, (x, y), strict=True) for k in part)
    np.testing.assert_allclose(loss(*wider), together, rtol=2e-5)


@every
def test_dropout_acts_in_training_and_never_in_an_answer(name: str, small_predictor: Any) -> None:
    off = dict.fromkeys(settings_of(name, "dropout", "word_dropout", "adversarial"), 0.0)
    for field in settings_of(name, "dropout", *WORDS_HIDDEN.get(name, ())):
        loaded, encoded, loss = built(name, small_predictor(name).loaded, **off | {field: 0.5})
        (x, y), *_ = batches(encoded, [np.argsort(encoded.lengths)[:1]])  # the shortest: loops run in Python
        with portable():  # what is dropped goes in and out of the recurrent layers, which need not be compiled
            assert (loss(x, y) != loss(x, y)).all(), f"{field} does nothing"
            brief = dataclasses.replace(loaded.config, **dict.fromkeys(settings_of(name, "max_tokens"), 8))
            task = type(loaded.task)(brief, loaded.preprocessor)
            answers = [task.outputs(loaded.model, x) for _ in range(2)]
        for output, again in zip(*(tf.nest.flatten(answer) for answer in answers), strict=True):
            np.testing.assert_array_equal(output, again)


def _padded_more(part: dict[str, Any], encoded: Any) -> dict[str, Any]:
    """Pad what is padded by eight steps more, or by a quarter of a second of sound."""

    def more(value: Any) -> Any:
        missing = 4000 if value.dtype.is_floating else 8
        return tf.pad(value, [[0, 0], [0, missing]] + [[0, 0]] * (value.shape.rank - 2))

    return {name: more(v) if isinstance(encoded[name], tf.RaggedTensor) else v for name, v in part.items()}


@every
def test_a_moved_run_works_and_a_changed_one_is_refused(name: str, small_run: Any, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(small_run(name), copy)
    load_run(copy)
    for file in ("config.json", "model.weights.h5", *load_task(name).preprocessor_class.FILES):
        original = (copy / file).read_bytes()
        (copy / file).write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        with pytest.raises(ValueError, match=f"{file}.*changed"):
            load_run(copy)
        (copy / file).write_bytes(original)
    (copy / "model.weights.h5").unlink()
    with pytest.raises(ValueError, match=r"model\.weights\.h5"):
        load_run(copy)


@every
def test_export_holds_no_operation_that_a_server_lacks(name: str, small_export: Any) -> None:
    found = operations(small_export(name))
    assert "MatMul" in found
    assert not [op for op in found if op.startswith(("Cudnn", "PyFunc", "EagerPyFunc", "Xla"))]


@pytest.mark.slow
@every
def test_an_export_is_proven_in_a_fresh_process(name: str, small_run: Any, tmp_path: Path) -> None:
    assert (export(small_run(name), tmp_path / "export") / "saved_model.pb").exists()


@one_by_default
def test_an_export_that_differs_is_not_delivered(
    name: str, small_run: Any, small_export: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    shutil.copytree(small_export(name), tmp_path / "export")
    before = (tmp_path / "export" / "saved_model.pb").read_bytes()
    task = load_task(name)
    honest = task.outputs
    monkeypatch.setattr("pipelines.export.saved_model.fresh", lambda: nullcontext(run_here))
    monkeypatch.setattr(task, "outputs", lambda *a: tf.nest.map_structure(_disturbed, honest(*a)))
    with pytest.raises(RuntimeError, match="differs"):
        export(small_run(name), tmp_path / "export")
    assert (tmp_path / "export" / "saved_model.pb").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def _disturbed(tensor: Any) -> Any:
    """Change float outputs in a traced graph only: the export is traced, the run's answer is eager."""
    return tensor if tf.executing_eagerly() or not tensor.dtype.is_floating else tensor * 0.9 + 0.01


@every
def test_a_run_is_not_resumed_with_other_settings(name: str, small_run: Any) -> None:
    with pytest.raises(ValueError, match=r"learning_rate: .* in the run, 0.5 now"):
        train(name, run=small_run(name), preset="tiny", limit=32, learning_rate=0.5)
