"""The log for TensorBoard, where that is installed: every number of history.csv, under its name and epoch."""

import csv
from pathlib import Path

import pytest
import tensorflow as tf

pytest.importorskip("tensorboard", reason="needs .[slow]")

from tests.training.test_loop import line_data, trainer


@pytest.mark.slow
def test_scalars_are_those_of_the_history(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer(tmp_path, epochs=3).fit(line_data())
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    written = {
        name: [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in log.Tensors(name)]
        for name in log.Tags()["tensors"]
    }
    assert set(written) == set(rows[0])
    for name, values in written.items():
        assert [step for step, _ in values] == [1, 2, 3]
        assert [value for _, value in values] == pytest.approx([float(row[name]) for row in rows], rel=1e-6)
