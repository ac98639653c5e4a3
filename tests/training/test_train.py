"""What training says about its data."""

from pathlib import Path

import pytest

from pipelines.sentiment_config import PRESETS, Config
from pipelines.training.train import _prepare, _training_examples


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
