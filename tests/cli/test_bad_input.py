"""Bad requests, files and runs: each ends in an answer or in one sentence with its own status, and loses nothing."""

import hashlib
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.__main__ import main
from pipelines.runs.folder import MANIFEST
from tests.cli import bad_inputs
from tests.cli.bad_inputs import CASES, TINY

pytestmark = pytest.mark.slow


def contents(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture
def spare(small_run: Any, tmp_path: Path) -> Path:
    return shutil.copytree(small_run("sentiment"), tmp_path / "run")


def one_sentence(status: int, errors: str) -> None:
    assert "Traceback" not in errors
    if status:
        said = [line for line in errors.splitlines() if line.startswith("pipelines: ")]
        assert len(said) == 1 and errors.splitlines()[-1] == said[0], errors
        assert 15 < len(said[0]) < 1500


@pytest.mark.parametrize("name", CASES)
def test_an_answer_or_one_sentence(name: str, spare: Path, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path)
    arguments = CASES[name](tmp_path / "work", spare)
    before = contents(spare)
    status = main(arguments)
    one_sentence(status, capfd.readouterr().err)
    assert status == bad_inputs.status(name)
    after = contents(spare)
    assert {file: after.get(file) for file in before} == before, "something that was there before was lost"


@pytest.mark.parametrize("size", [0, 1000, 20_000])
@pytest.mark.parametrize("command", ["train", "evaluate", "explain", "export"])
def test_a_full_disk(command: str, size: int, spare: Path, tmp_path: Path, capsys: Any) -> None:
    arguments = {
        "train": ["train", "sentiment", *TINY, "--limit=64", "--run", str(tmp_path / "new")],
        "evaluate": ["evaluate", str(spare)],
        "explain": ["explain", str(spare), "good", "--out", str(tmp_path / "x.png")],
        "export": ["export", str(spare), "--out", str(tmp_path / "export")],
    }[command]
    (tmp_path / "x.png").write_bytes(b"before")
    before = {file: sum for file, sum in contents(spare).items() if file != MANIFEST}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        status = main(arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    one_sentence(status, capsys.readouterr().err)
    assert status == 1 or (size and status == 0)
    after = contents(spare)
    if status:
        assert {file: after.get(file) for file in before} == before
        assert (tmp_path / "x.png").read_bytes() == b"before"
    assert main(["predict", str(spare), "good"]) == 0
    assert not list(tmp_path.glob("*.part"))


def test_the_campaign_is_large_enough() -> None:
    assert len(CASES) >= 60
    assert {*bad_inputs.ANSWERED, *bad_inputs.FAILED} <= set(CASES)
