"""Of which recordings a language model knows: never of those that are scored with it."""

import dataclasses

import numpy as np
import pytest
import soundfile

from pipelines.runs.load import load_run
from pipelines.tasks.speech import decode as speech_fusion
from pipelines.tasks.speech.decode import Language
from pipelines.training.decode import prepared


@pytest.fixture
def loaded(small_run):
    return load_run(small_run("speech"), lm="train", lm_order=1)


@pytest.fixture
def asked(monkeypatch):
    """What the model is estimated from, and on which recordings its weights are tuned."""
    found = {"read": [], "tuned": []}
    estimate = speech_fusion.estimate

    def tune(network, encoded, model, *rest):
        found["tuned"] += [example["id"] for example in encoded.examples]
        return Language(model, 0.3, 0.0)

    def read(sentences, order):
        found["read"] += [" ".join(sentence) for sentence in sentences]
        return estimate([line.split() for line in found["read"]], order)

    monkeypatch.setattr(speech_fusion, "estimate", read)
    monkeypatch.setattr(speech_fusion, "tune", tune)
    return found


@pytest.fixture
def table(tmp_path):
    """Return ``table(splits)``: a manifest of 40 recordings that say what no training recording does."""
    sound = np.random.default_rng(0).normal(scale=0.1, size=8000)
    for number in range(40):
        soundfile.write(tmp_path / f"{number}.wav", sound, 16000)

    def make(*splits):
        head = "id,path,text" + (",split" if splits else "")
        rows = [f"r{n},{n}.wav,own {n}" + (f",{splits[n % len(splits)]}" if splits else "") for n in range(40)]
        (tmp_path / "recordings.csv").write_text("\n".join([head, *rows]) + "\n")
        return str(tmp_path / "recordings.csv")

    return make


def sentences(loaded, split):
    return [example["text"] for example in loaded.open_source().read(split)]


def ids(loaded, split):
    return [example["id"] for example in loaded.open_source().read(split)]


def test_other_data_without_splits_teaches_nothing_of_itself(loaded, asked, table):
    """All of it is scored: train and validation are cut from the same file."""
    prepared(loaded, loaded.open_source(table()))
    assert asked["read"] == sentences(loaded, "train") and not any("own" in line for line in asked["read"])
    assert asked["tuned"] == ids(loaded, "validation")


def test_official_splits_of_other_data_tune_but_do_not_teach(loaded, asked, table):
    prepared(loaded, loaded.open_source(table("train", "validation", "test")))
    assert asked["read"] == sentences(loaded, "train")
    assert asked["tuned"] == [f"r{n}" for n in range(1, 40, 3)]


def test_other_data_with_a_test_split_alone_is_tuned_on_the_run_s_own(loaded, asked, table):
    prepared(loaded, loaded.open_source(table("test")))
    assert (asked["read"], asked["tuned"]) == (sentences(loaded, "train"), ids(loaded, "validation"))


def test_data_that_the_run_was_trained_on_is_taken_from_where_it_lies_now(loaded, asked, table):
    source = loaded.open_source(table())
    moved = {"spec": "gone.csv", "fingerprint": f"{source.fingerprint}-limit-9"}
    prepared(dataclasses.replace(loaded, data=moved), source)
    assert sorted(asked["read"]) == sorted(f"own {e['id'][1:]}" for e in source.read("train"))
    assert asked["tuned"] == [example["id"] for example in source.read("validation")]


def test_weights_are_tuned_on_some_of_a_long_split(loaded, asked, monkeypatch, capsys):
    monkeypatch.setattr(speech_fusion, "TUNED_ON", 12)
    every = ids(loaded, "validation")
    prepared(loaded, loaded.open_source())
    places = [every.index(name) for name in asked["tuned"]]
    assert len(places) == 12 and places == sorted(places) and 20 < np.mean(places) < len(every) - 20, "spread over it"
    assert "tuning on 12 recordings (at most 12) of validation in synthetic" in capsys.readouterr().err


def test_data_that_is_gone_is_named_with_the_way_out(loaded, table):
    gone = dataclasses.replace(loaded, data={"spec": "gone.csv", "fingerprint": "x"})
    expected = r"^--lm train: needs the data that the run was trained on: --data gone\.csv: .*--lm-weight needs none$"
    with pytest.raises(ValueError, match=expected):
        prepared(gone, loaded.open_source(table()))
