"""A resumed training ends with the same weights as one that was not interrupted, in every task."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import TASKS

ROOT = Path(__file__).parents[2]
STRICT = {"epochs": 3, "batch_size": 8, "dropout": 0.4, "ema": 0.9, "deterministic": True, "checkpoint_minutes": 0.0}

IN_PROCESS = """
import os, signal, sys
from pipelines import train
from pipelines.training.loop import Trainer, TrainingStopped
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts behind it ignore the signal
task, settings, folder, stops = sys.argv[1], eval(sys.argv[2]), sys.argv[3], eval(sys.argv[4])
train(task, run=folder + "/whole", preset="tiny", limit=48, **settings)
compiled, seen = Trainer._compiled, [0]
def interrupted(self, *arguments):
    step = compiled(self, *arguments)
    def stepped(data):
        result = step(data)
        seen[0] += 1
        if seen[0] in stops:  # as a signal that comes while TensorFlow works: the weights have changed already
            os.kill(os.getpid(), signal.SIGINT)
        return result
    return stepped
Trainer._compiled = interrupted
for stopped in range(9):
    try:
        train(task, run=folder + "/parts", preset="tiny", limit=48, **settings)
        break
    except TrainingStopped as error:
        assert f"the same command with --run {folder}/parts resumes" in str(error)
assert stopped == len(stops), stopped
"""


def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "state.npz", allow_pickle=False) as state:
        return {name: state[name] for name in state.files if name != "meta"}


def assert_same(first: Path, second: Path, epochs: int) -> None:
    one, two = arrays(first), arrays(second)
    assert list(one) == list(two)
    assert len(one) > 20
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    rows = [(folder / "history.csv").read_text().splitlines() for folder in (first, second)]
    without_time = [[line.rsplit(",", 1)[0] for line in table] for table in rows]
    assert without_time[0] == without_time[1]
    assert len(rows[0]) == epochs + 1


# Each stop costs tracing anew, and one step that is tried out before all others; an epoch has six. The middle of the
# second epoch has everything to restore; the last two stops below are behind the last batch of an epoch.
STOPS = [("sentiment", (9,)), *(pytest.param(name, (4, 8, 15), marks=pytest.mark.slow) for name in TASKS)]
REWARDED = {"translation": {"scst_epochs": 1}, "captioning": {"scst_epochs": 1, "scst_share": 0.5}}


@pytest.mark.parametrize(("task", "stops"), STOPS)
def test_an_interrupted_training_ends_with_the_same_weights(task: str, stops: tuple[int, ...], tmp_path: Path) -> None:
    settings: dict[str, Any] = STRICT | REWARDED.get(task, {})
    command = [sys.executable, "-c", IN_PROCESS, task, repr(settings), str(tmp_path), repr(stops)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "whole", tmp_path / "parts", STRICT["epochs"])


@pytest.mark.slow
def test_a_training_killed_at_random_points_ends_with_the_same_weights(tmp_path: Path) -> None:
    settings = STRICT | {"epochs": 6, "word_dropout": 0.2}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "pipelines", "train", "sentiment", "--preset", "tiny", "--limit", "200", *flags]
    subprocess.run([*command, "--run", str(tmp_path / "whole")], cwd=ROOT, check=True, capture_output=True)
    random, kills = np.random.default_rng(0), 0
    while kills < 5:
        process = subprocess.Popen(
            [*command, "--run", str(tmp_path / "parts")], cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        while process.poll() is None and not (tmp_path / "parts" / "state.npz").exists():
            time.sleep(0.05)
        time.sleep(float(random.uniform(0, 6)))
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills >= 2, "the training was over before it could be killed"
    subprocess.run([*command, "--run", str(tmp_path / "parts")], cwd=ROOT, check=True, capture_output=True)
    assert_same(tmp_path / "whole", tmp_path / "parts", settings["epochs"])
