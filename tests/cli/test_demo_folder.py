"""What a demonstration may delete, and what it must not."""

from pathlib import Path

import pytest

from pipelines.runs.files import MARK, claim, clear


def test_only_what_an_earlier_demonstration_wrote_is_deleted(tmp_path: Path) -> None:
    claim(tmp_path / "demo")
    (tmp_path / "demo" / "speech").mkdir()
    (tmp_path / "demo" / "speech" / "config.json").write_text("{}")
    (tmp_path / "demo" / "notes.txt").write_text("mine")
    claim(tmp_path / "demo")
    assert clear(tmp_path / "demo", "speech") == tmp_path / "demo" / "speech"
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [MARK, "notes.txt"]


def test_runs_of_ones_own_stay(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "speech"
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    for folder in (tmp_path / "runs", run / "config.json"):
        with pytest.raises(ValueError, match="exists and is not of an earlier demonstration"):
            claim(folder)
    assert [path.name for path in (tmp_path / "runs").rglob("*")] == ["speech", "config.json"]
