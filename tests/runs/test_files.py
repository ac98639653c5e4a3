"""A folder appears whole or not at all, and what was there before stays until then."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest

from pipelines.runs import copy as slimming
from pipelines.runs import load as loading
from pipelines.runs.files import replacing
from pipelines.runs.folder import CONFIG, HISTORY, WEIGHTS, Run, create
from pipelines.tasks.sentiment.config import Config


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of settings, weights and a history; ``load_run`` finds it."""
    run = create(tmp_path / "runs" / "one", "sentiment", Config(), {"spec": "synthetic", "fingerprint": "", "limit": 0})
    weigh(run, 1.0)
    run.write(HISTORY, lambda path: path.write_text("epoch\n"))
    task = SimpleNamespace(config_class=Config, preprocessor_class=SimpleNamespace(FILES=()))
    monkeypatch.setattr(loading, "load_run", lambda path: SimpleNamespace(run=Run(path), task=task))
    return run


def weigh(run: Run, value: float) -> None:
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(3)])
    model.set_weights([weight + value for weight in model.get_weights()])
    run.write(WEIGHTS, model.save_weights)


def test_a_copy_that_is_refused_leaves_nothing_in_the_way_of_the_next(trained: Run, tmp_path: Path) -> None:
    weigh(trained, 1e6)
    with pytest.raises(ValueError, match="holds a value that float16 cannot"):
        slimming.slim(trained.path, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    weigh(trained, 1.0)
    assert slimming.slim(trained.path, tmp_path / "copy") == tmp_path / "copy"
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "copy"}
    assert Run(tmp_path / "copy").verified(WEIGHTS) and Run(tmp_path / "copy").verified(CONFIG)


def test_a_full_disk_leaves_nothing_in_the_way_of_the_next(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(RuntimeError, match="No space left on device"):
            slimming.slim(trained.path, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert slimming.slim(trained.path, tmp_path / "copy").is_dir()


def test_what_was_there_is_back_where_the_new_folder_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rename = tmp_path / "export", Path.rename
    with replacing(target, "proof", "export") as folder:
        (folder / "proof").write_text("old")

    def failing(path: Path, to: Any) -> Path:
        if (path / "proof").is_file() and (path / "proof").read_text() == "new":
            raise OSError(5, "Input/output error")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", failing)
    with (
        pytest.raises(RuntimeError, match=r"export: cannot be written: Input/output error"),
        replacing(target, "proof", "export") as folder,
    ):
        (folder / "proof").write_text("new")
    assert (target / "proof").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with replacing(tmp_path / "export", "proof", "export") as folder:
            (folder / "proof").write_text(content)
    assert (tmp_path / "export" / "proof").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
