"""What training says about its data."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pipelines.data.source import Source
from pipelines.runs.load import load_run
from pipelines.tasks.sentiment.config import PRESETS, Config
from pipelines.training import evaluate as evaluation
from pipelines.training.train import _prepare, _training_examples, advice


def test_what_is_skipped_is_named_out_of_the_cache_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINES_CACHE", str(tmp_path / "cache"))
    rows = [f"{'good' if n % 2 else 'bad'} film {n},{n % 2}\n" for n in range(40)]
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(rows) + ",1\n")
    config = Config(**PRESETS["tiny"]())
    loaded, source = _prepare("sentiment", config, str(tmp_path), tmp_path / "run", 0, None)
    told = []
    for _ in range(2):
        capsys.readouterr()
        assert len(_training_examples(loaded, source)) > 30
        told.append([line for line in capsys.readouterr().err.splitlines() if "skipped" in line])
    assert told[0] == told[1]
    assert "train.csv:42: the text is empty" in told[0][0]


def test_other_data_without_splits_is_scored_as_a_whole(small_run: Any, tmp_path: Path) -> None:
    run, table = small_run("sentiment"), tmp_path / "more.csv"
    rows = [f"a film number {n},{'positive' if n % 2 else 'negative'}\n" for n in range(40)]
    table.write_text("text,label\n" + "".join(rows))
    whole = evaluation.evaluate(run, data=str(table), out=tmp_path / "whole")
    assert (whole["split"], whole["examples"], whole["data"]["cut"]) == ("all", 40, "")
    part = evaluation.evaluate(run, data=str(table), split="test", out=tmp_path / "part")
    assert 0 < part["examples"] < 20 and "test is cut from the only file of" in evaluation.table(part)
    loaded = load_run(run)
    source = loaded.open_source(str(table))
    for data in (
        {"spec": "", "fingerprint": f"{source.fingerprint}-limit-9"},
        {"spec": str(table), "fingerprint": "old"},
    ):
        learnt = dataclasses.replace(loaded, data=data)
        assert evaluation._usual_split(learnt, source) == "test", "what it was trained on is no test"


def advised(config: Config, training: int, held: int = 1, spec: str = "mine", **cuts: str) -> str:
    return "; ".join(advice(config, Source(spec, {}, "", cuts=cuts), training, held))


def test_updates_are_few_below_two_hundred() -> None:
    config = Config(epochs=5, batch_size=32)
    assert advised(config, 1216).startswith("190 updates in all are few: more --epochs")  # 38 batches an epoch
    assert advised(config, 1217).startswith("195 ")  # a last batch that is not full counts
    assert advised(config, 1280) == advised(dataclasses.replace(config, epochs=6), 1217) == ""
    assert advised(dataclasses.replace(config, batch_tokens=1000), 1216) == ""  # how many batches, lengths tell
    assert advised(config, 1216, spec="synthetic") == ""


def test_a_large_cut_is_told_and_a_large_split_is_not() -> None:
    config = Config(epochs=5, batch_size=32)
    assert advised(config, 9000, 10_001) == advised(config, 9000, 10_000, validation="cut") == ""
    assert "validation is 10001 examples" in advised(config, 9000, 10_001, validation="cut")
