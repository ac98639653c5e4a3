"""The run folder survives kills and full disks, and notices every change."""

import dataclasses
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines import config as configuration
from pipelines.runs.folder import (
    CONFIG,
    ENVIRONMENT,
    MANIFEST,
    STATE,
    WEIGHTS,
    Run,
    alone,
    create,
    need_same,
    need_trainable,
    need_writable,
    open_run,
)
from pipelines.tasks.captioning.config import Config as CaptioningConfig
from pipelines.tasks.sentiment.config import Config
from pipelines.training.train import _same


def made(tmp_path: Path) -> Run:
    return create(tmp_path / "run", "sentiment", Config(), {"spec": "synthetic"})


def test_what_is_written_is_read_and_verified(tmp_path: Path) -> None:
    run = made(tmp_path)
    run.write_json("x.json", {"a": "ü"})
    assert run.read_json("x.json") == {"a": "ü"}
    run.write_json("y.json", {"auc": float("nan"), "loss": (1.5, float("inf"))})
    assert json.loads((run.path / "y.json").read_text(), parse_constant=pytest.fail) == {
        "auc": None,
        "loss": [1.5, None],
    }
    (run.path / "y.json").unlink()
    assert open_run(run.path)[1]["config"]["epochs"] == 10
    (run.path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match=r"x\.json: was changed"):
        run.read_json("x.json")
    with pytest.raises(ValueError, match=r"y\.json: is missing"):
        run.read_json("y.json")


def killed(run: Run, name: str, content: str, at: int) -> None:
    """Write a file and die instead of doing the rename of this number (from 1): manifest, file, manifest."""
    replace, calls = os.replace, iter(range(1, 10))

    def dying(source: Any, target: Any) -> None:
        if next(calls) == at:
            raise KeyboardInterrupt
        replace(source, target)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", dying)
        run.write_json(name, content)


@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_a_kill_between_any_two_renames_leaves_a_run_that_verifies(killed_at: int, tmp_path: Path) -> None:
    run = made(tmp_path)
    run.write_json("x.json", "old")
    killed(run, "x.json", "new", killed_at)
    assert run.read_json("x.json") == ("old" if killed_at < 3 else "new")
    run.write_json("x.json", "newer")
    assert run.read_json("x.json") == "newer"
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("first", [1, 2, 3])
@pytest.mark.parametrize("second", [1, 2, 3])
@pytest.mark.parametrize("name", ["x.json", "y.json"])
def test_kills_one_after_the_other_leave_a_run_that_verifies(
    first: int, second: int, name: str, tmp_path: Path
) -> None:
    run = made(tmp_path)
    run.write_json("x.json", "old")
    killed(run, "x.json", "new", first)
    killed(run, name, "second", second)
    expected = "new" if first == 3 else "old"
    assert run.read_json("x.json") == ("second" if second == 3 and name == "x.json" else expected)
    assert name == "x.json" or second < 3 or run.read_json("y.json") == "second"
    run.write_json("z.json", "later")
    run.read_json("x.json")
    run.discard()
    assert not list(run.path.iterdir())


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    run = made(tmp_path)
    run.write_json("x.json", "old")

    def full(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(RuntimeError, match=r"x\.json: cannot be written: No space left"):
        run.write("x.json", full)
    assert run.read_json("x.json") == "old"
    assert sorted(path.name for path in run.path.iterdir()) == [MANIFEST, "config.json", "x.json"]


def test_what_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such run folder"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is no run folder"):
        open_run(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is no run folder"):
        create(tmp_path, "sentiment", Config(), {})
    assert (tmp_path / "notes.txt").read_text() == "mine"
    for content in ("{", "[]", '{"format": 99, "files": {}}', '{"format": 1}'):
        (tmp_path / MANIFEST).write_text(content)
        with pytest.raises(ValueError, match=r"MANIFEST\.json: (is no manifest|format 99 is newer)"):
            open_run(tmp_path)


def test_a_run_of_an_unknown_task_is_refused(tmp_path: Path) -> None:
    run = made(tmp_path)
    run.write_json("config.json", json.loads((run.path / "config.json").read_text()) | {"task": "juggling"})
    with pytest.raises(ValueError, match="unknown task 'juggling'"):
        open_run(run.path)


def test_a_run_of_an_earlier_version_is_resumed_with_the_settings_it_did_not_know(tmp_path: Path) -> None:
    config, data = Config(), {"spec": "synthetic", "fingerprint": "x", "limit": 0}
    known = {name: value for name, value in configuration.to_dict(config).items() if name != "label_smoothing"}
    run = Run(tmp_path / "run")
    run.write_json(CONFIG, {"task": "sentiment", "version": "0", "data": data, "config": known})
    run.write_json(STATE, "begun")
    assert _same(run.path, "sentiment", config, data) == run
    with pytest.raises(ValueError, match=r"label_smoothing: 0\.0 in the run, 0\.2 now"):
        _same(run.path, "sentiment", dataclasses.replace(config, label_smoothing=0.2), data)


def test_a_trained_run_without_state_is_not_trained_over(tmp_path: Path) -> None:
    config, data = Config(), {"spec": "synthetic"}
    run = made(tmp_path)
    for name in (WEIGHTS, ENVIRONMENT):
        run.write_json(name, "kept")
    with pytest.raises(ValueError, match=f"cannot go on; begin with it by --init {run.path}"):
        need_trainable(run.path)
    run.write_json(STATE, "begun")
    need_trainable(run.path)
    assert _same(run.path, "sentiment", config, data) == run


def test_a_begun_run_goes_on_where_its_files_lie_elsewhere(tmp_path: Path) -> None:
    data = {"spec": "synthetic", "fingerprint": "x", "limit": 0}
    frozen = dataclasses.replace(CaptioningConfig(), encoder="MobileNetV2", encoder_weights="/a/net.h5")
    moved = dataclasses.replace(frozen, encoder_weights="/b/net.h5")
    run = create(tmp_path / "run", "captioning", frozen, data)
    assert "encoder_weights" in need_same(run.path, "captioning", moved)[2], "nothing was begun: a corrected command"
    run.write_json(STATE, "begun")
    assert need_same(run.path, "captioning", moved) == (run, open_run(run.path)[1], "")
    with pytest.raises(ValueError, match="encoder_weights: 'a file' in the run, 'none' now"):
        need_same(run.path, "captioning", dataclasses.replace(frozen, encoder_weights="none"))
    begun = create(tmp_path / "vectors", "sentiment", dataclasses.replace(Config(), embeddings="/a/glove.txt"), data)
    begun.write_json(STATE, "begun")
    need_same(begun.path, "sentiment", Config())  # they were read at its beginning, and never again


@pytest.mark.parametrize("left", [[MANIFEST], [MANIFEST, ".17.config.json"], [".17.MANIFEST.json"]])
def test_what_a_kill_at_the_very_beginning_leaves_is_no_foreign_folder(left: list[str], tmp_path: Path) -> None:
    for name in left:
        (tmp_path / name).write_text(json.dumps({"format": 1, "files": {}, "pending": {CONFIG: "0"}}))
    need_trainable(tmp_path)
    create(tmp_path, "sentiment", Config(), {"spec": "synthetic"})
    assert open_run(tmp_path)[1]["task"] == "sentiment"
    (tmp_path / CONFIG).unlink()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is no run folder"):
        need_trainable(tmp_path)


def test_a_folder_that_cannot_be_written_is_told_before_the_work(tmp_path: Path, monkeypatch: Any) -> None:
    need_writable(tmp_path / "new" / "folder")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match=r"file/folder: cannot be written; name another folder by --out"):
        need_writable(tmp_path / "file" / "folder")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(ValueError, match="cannot be written"):
        need_writable(tmp_path)


def test_a_run_that_has_not_begun_gives_way_to_the_corrected_command(tmp_path: Path) -> None:
    config, data = dataclasses.replace(Config(), epochs=3), {"spec": "synthetic"}
    run = made(tmp_path)
    run.write_json("labels.json", [])
    (run.path / ".123.vocabulary.txt").write_text("cut")
    (run.path / "tensorboard").mkdir()
    (run.path / ".123.preprocessor").mkdir()
    (run.path / ".123.preprocessor" / "vocabulary.txt").write_text("cut")
    (run.path / "notes.txt").write_text("mine")
    before = sorted(run.path.iterdir())
    with pytest.raises(ValueError, match=r"holds notes\.txt, which is not of the run"):
        _same(run.path, "sentiment", config, data)
    assert sorted(run.path.iterdir()) == before
    (run.path / "notes.txt").unlink()
    assert _same(run.path, "sentiment", config, data) == run
    assert sorted(path.name for path in run.path.iterdir()) == [MANIFEST, CONFIG]
    assert open_run(run.path)[1]["config"]["epochs"] == 3


def test_one_process_trains_a_run(tmp_path: Path) -> None:
    with alone(tmp_path / "runs" / "new"):
        with pytest.raises(ValueError, match="another process is training it"), alone(tmp_path / "runs" / "new"):
            pass
        with alone(tmp_path / "runs" / "other"):
            (tmp_path / "runs" / "other" / "config.json").write_text("{}")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]
    with alone(tmp_path / "runs" / "other"):
        pass


def test_processes_that_write_into_one_run_keep_each_others_sums(tmp_path: Path) -> None:
    run = made(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: Run(run.path).write_json(f"{n}.json", n), range(100)))
    assert [run.read_json(f"{n}.json") for n in range(100)] == list(range(100))
