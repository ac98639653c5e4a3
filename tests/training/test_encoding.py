"""Encoding a split part by part: what is skipped is named whatever part it stands behind."""

from pathlib import Path

import pytest

from pipelines.tasks.sentiment.config import PRESETS, Config
from pipelines.training.encode import encode_parts
from pipelines.training.train import _prepare


@pytest.mark.parametrize("size", [1, 5, 20, 21, None])
def test_bad_rows_behind_the_last_good_one_are_named(size: int | None, tmp_path: Path) -> None:
    rows = [f"{'good' if n % 2 else 'bad'} film {n},{n % 2}\n" for n in range(20)]
    table = tmp_path / "train.csv"
    table.write_text("text,label\n" + "".join(rows) + ",1\n")
    (tmp_path / "validation.csv").write_text("text,label\ngood film,1\n")
    config = Config(**PRESETS["tiny"]())
    loaded, source = _prepare("sentiment", config, str(tmp_path), tmp_path / "run", 0, None)
    parts = list(encode_parts(loaded.task, source, "train", size=size))
    assert sum(len(part) for part in parts) == 20
    assert [line for part in parts for line in part.dropped] == [f"{table}:22: the text is empty or no text ('')"]
