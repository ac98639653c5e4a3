"""Pairs that training leaves out, pairs that evaluation scores nevertheless, and sides that were exchanged."""

import json
import random

import pytest

from pipelines import evaluate
from pipelines.cli import validate as validation
from pipelines.data.source import Source
from pipelines.runs.load import Loaded
from pipelines.tasks.translation.data import Languages, refused
from pipelines.tasks.translation.synthetic import examples
from pipelines.training.encode import encode_split

ODD = [
    ("", "eine Zeile", "the source is empty"),
    ("a line", " ", "the target is empty"),
    ("a b c d", "a b c d", "the target is a copy of the source"),
    ("dog", "Hund " * 40, "the sides cannot belong together: 3 and 199 characters"),
]
COPY = "一只棕色的狗在雪地里追着一个红色的球跑，两个穿着蓝色外套的孩子站在旁边看。"  # more than 30 characters
FINE = [
    ("Anna 37", "Anna 37"),
    ("北京大学", "北京大学"),
    ("x" * 30, "x" * 30),
    ("好 " * 30, "a good sentence of many more letters " * 4),
    ("dog", "Hund"),
]


def made(pairs):
    return [{"id": str(i), "where": f"x:{i}", "source": s, "target": t} for i, (s, t) in enumerate(pairs)]


def test_what_teaches_nothing_is_refused_with_its_reason():
    assert [refused(e) for e in made(pair[:2] for pair in ODD)] == [reason for *_, reason in ODD]
    assert not any(refused(e) for e in made(FINE))
    assert refused(made([(COPY, COPY)])[0]) == "the target is a copy of the source"
    assert refused(made([(None, "x")])[0]) == "the source is no text (None)"


@pytest.fixture
def odd(small_run, monkeypatch):
    """A run whose splits hold odd pairs among a hundred usual ones."""
    usual = [(e["source"], e["target"]) for e in examples("train", 100, 5)]
    rows = made([*usual, *(pair[:2] for pair in ODD)])
    source = Source("odd", {name: lambda _: iter(rows) for name in ("train", "validation", "test")}, "x")
    monkeypatch.setattr(Loaded, "open_source", lambda self, spec=None: source)
    return small_run("translation"), source


def test_training_leaves_them_out_and_a_score_is_that_of_all(odd, small_predictor, capsys):
    _, source = odd
    loaded = small_predictor("translation").loaded
    training = encode_split(loaded.task, source, "train", "train")
    assert [line.split(": ")[0] for line in training.dropped] == [f"x:{i}" for i in range(100, 104)]
    assert len(training) == 100 and set(training.examples[0]) == {"id", "where"}
    assert "train: 4 of 104 examples skipped: x:100: the source is empty; " in capsys.readouterr().err
    scored = encode_split(loaded.task, source, "test")
    assert [e["id"] for e in scored.examples] == [str(i) for i in range(104)] and not scored.dropped
    said = capsys.readouterr().err
    assert "test: 4 of 104 examples are scored although training would skip them: x:100: the source is empty; " in said


@pytest.mark.slow
def test_odd_pairs_are_answered_and_scored(odd, tmp_path):
    record = evaluate(odd[0], out=tmp_path, beam_width=1)
    assert record["examples"] == 104 and record["skipped"] == 0
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [str(i) for i in range(104)]
    assert lines[100]["answer"] == "" and lines[100]["references"] == ["eine Zeile"]
    assert lines[101]["references"] == [" "]


def test_sides_that_were_exchanged_are_told_from_those_that_were_not():
    pairs = [(e["source"], e["target"]) for e in examples("train", 400, 1)]
    wrong = set(random.Random(0).sample(range(400), 12))
    mixed = [pair[::-1] if i in wrong else pair for i, pair in enumerate(pairs)]
    languages = Languages(mixed)
    assert {i for i, pair in enumerate(mixed) if languages.exchanged(*pair)} == wrong
    assert not Languages([]).exchanged("one", "eins")
    same = Languages([(target, target) for _, target in pairs])
    assert not any(same.exchanged(target, target) for _, target in pairs)


def test_validation_names_bad_and_exchanged_pairs(tmp_path, capsys):
    pairs = [(e["source"], e["target"]) for e in examples("train", 200, 2)]
    lines = [*pairs[:150], pairs[150][::-1], *(pair[:2] for pair in ODD), *pairs[151:]]
    for name, side in (("en", 0), ("de", 1)):
        (tmp_path / f"train.{name}").write_text("".join(pair[side] + "\n" for pair in lines))
    settings = {"source": "en", "target": "de", "validation_share": 0.3}
    assert validation.run("translation", str(tmp_path), settings) == 0
    out = capsys.readouterr().out
    assert out.count("train.en:151: note: source and target seem to be exchanged") == 1
    assert out.count("exchanged") == 1 and "unusual but used: 1 (" in out
    for line, (*_, reason) in enumerate(ODD, start=152):
        scored = f"train.en:{line}: note: {reason}: scored, though training would skip it"  # those cut for validation
        assert f"train.en:{line}: {reason}\n" in out or scored in out
    assert validation.run("translation", str(tmp_path), settings, as_json=True) == 0
    notes = [one for one in map(json.loads, capsys.readouterr().out.splitlines()) if "note" in one]
    assert all(set(one) == {"split", "where", "note"} for one in notes)
    assert sum("exchanged" in one["note"] for one in notes) == 1
