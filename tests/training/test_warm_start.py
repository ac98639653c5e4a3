"""Beginning with another run: the same vocabulary and weights, a new head for new labels, refusals by name."""

import dataclasses
import json

import numpy as np
import pytest

from pipelines import train
from pipelines.cli.parser import run as command
from pipelines.runs.load import load_run

LABELS = {"same": ["positive", "negative"], "other": ["fine", "awful", "mixed"]}


@pytest.fixture
def data(tmp_path):
    def write(labels):
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        for split in ("train", "validation", "test"):
            rows = [f"the {split} plot number {i} was good,{labels[i % len(labels)]}\n" for i in range(24)]
            (folder / f"{split}.csv").write_text("text,label\n" + "".join(rows))
        return str(folder)

    return write


def weights(run):
    return {weight.path: weight.numpy() for weight in load_run(run).model.weights}


def begin(monkeypatch, small_run, spec, tmp_path, **settings):
    """Start from the small run and stop before the first step, so that what was taken over can be seen."""
    seen, init = {}, small_run("sentiment")

    def fit(trainer, encoded):
        seen.update({weight.path: weight.numpy() for weight in trainer.model.weights})
        raise RuntimeError("seen")

    monkeypatch.setattr("pipelines.training.loop.Trainer.fit", fit)
    with pytest.raises(RuntimeError, match="seen"):
        train("sentiment", spec, tmp_path / "new", init=init, **settings)
    return seen


def test_everything_is_taken_over_when_labels_are_the_same(small_run, data, tmp_path, monkeypatch):
    seen = begin(monkeypatch, small_run, data(LABELS["same"]), tmp_path)
    for path, value in weights(small_run("sentiment")).items():
        np.testing.assert_array_equal(seen[path], value, err_msg=path)
    old, new = (folder / "vocabulary.txt" for folder in (small_run("sentiment"), tmp_path / "new"))
    assert old.read_bytes() == new.read_bytes()
    record = json.loads((tmp_path / "new" / "config.json").read_text())
    assert record["config"]["units"] == 8 and len(record["data"]["init"]) == 64


def test_vectors_and_a_run_are_not_both_the_beginning(small_run, tmp_path):
    (tmp_path / "vectors.txt").write_text("good 1 2\n")
    with pytest.raises(ValueError, match="--embeddings: the embedding begins as that of --init; leave one of the two"):
        train("sentiment", run=tmp_path / "new", init=small_run("sentiment"), embeddings=str(tmp_path / "vectors.txt"))


@pytest.mark.parametrize(
    ("task", "settings"), [("translation", {"max_tokens": 9, "lowercase": True}), ("captioning", {"picture_size": 48})]
)
def test_what_is_taken_over_works_by_the_new_settings(task, settings, small_run):
    other = load_run(small_run(task))
    config = dataclasses.replace(other.config, **settings)
    adopted = type(other.task).adopt(config, other.task, other.run.path, [])
    assert adopted.config == config != other.preprocessor.config


def test_new_labels_get_a_new_head(small_run, data, tmp_path, monkeypatch):
    seen = begin(monkeypatch, small_run, data(LABELS["other"]), tmp_path)
    for path, value in weights(small_run("sentiment")).items():
        if "logits" in path:
            assert seen[path].shape[-1] == 3
        else:
            np.testing.assert_array_equal(seen[path], value, err_msg=path)
    assert list(json.loads((tmp_path / "new" / "labels.json").read_text())) == ["awful", "fine", "mixed"]


@pytest.mark.slow
def test_training_goes_on_and_can_be_resumed(small_run, data, tmp_path):
    spec = data(LABELS["other"])
    run = train("sentiment", spec, tmp_path / "new", init=small_run("sentiment"), epochs=1)
    assert run == train("sentiment", spec, tmp_path / "new", init=small_run("sentiment"), epochs=1)
    load_run(run)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"embedding_size": 4},
            r"embedding.* is \(\d+, 8\) there, \(\d+, 4\) here.*embedding_size: 8 in the run, 4 now",
        ),
        ({"layers": 2}, r"does not fit: 9 weights there, 15 here; .*settings: layers: 1 in the run, 2 now$"),
        ({"cell": "gru"}, r"settings: .*cell: 'lstm' in the run, 'gru' now"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(small_run, data, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train("sentiment", data(LABELS["same"]), tmp_path / "new", init=small_run("sentiment"), **settings)
    assert not (tmp_path / "new" / "state.npz").exists(), "nothing was trained, so the name must stay free"


def test_wrong_runs_are_refused_at_once(small_run, tmp_path):
    with pytest.raises(ValueError, match="there is no such run folder"):
        command(["train", "sentiment", "--init", str(tmp_path / "nowhere")])
    with pytest.raises(ValueError, match="--epochs"):
        command(["train", "sentiment", "--init", str(small_run("sentiment")), "--epochs", "0"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is no run folder"):
        command(["train", "sentiment", "--init", str(tmp_path / "empty")])
