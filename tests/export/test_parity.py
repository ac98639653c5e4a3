"""One answer by four ways: the run eagerly, compiled, through tf.data, and its export in a fresh process.

`export` itself compares with the run's plain operations. Here the run takes the fast path too, which adds in another
order, and the way of `evaluate` and `predict`: encoded once, sorted by length, padded to one of a few widths.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.recurrent.kernels import is_portable
from pipelines import TASKS, load_task
from pipelines.export.saved_model import export, fresh
from pipelines.predictor import CARD
from pipelines.runs.load import Loaded, load_run
from pipelines.task import TOLERANCE
from pipelines.training.decode import Decoder

ROOT = Path(__file__).parents[2]
ROUNDED = 2e-5
"""Largest difference between predictions, which hold six digits after the point."""

pytestmark = pytest.mark.slow


def asked(name: str, count: int) -> list[dict[str, Any]]:
    """The task's hard cases and built-in test examples, without what they should be answered."""
    task = load_task(name)
    source = task.builtin_source()
    built_in = [example[task.raw] for example, _ in zip(source.read("test"), range(count), strict=False)]
    return list(task.parse([example[task.raw] for example in task.hard_cases()] + built_in))


def arrays(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in outputs.items()}


def gaps(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest difference of each float output, of values above 1 relative; all others must be equal."""
    assert set(ours) == set(theirs)
    found = {}
    for name, value in theirs.items():
        assert ours[name].shape == value.shape, name
        if np.issubdtype(value.dtype, np.floating):
            found[name] = float(np.max(np.abs(ours[name] - value) / np.maximum(1, np.abs(value)), initial=0))
        else:
            np.testing.assert_array_equal(ours[name], value, err_msg=name)
    return found


def compiled(loaded: Loaded, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    serving = loaded.task.serving(loaded.model)
    assert not is_portable()
    traced = tf.function(serving.__call__, autograph=False).get_concrete_function(**loaded.task.signature())
    return arrays(traced(**inputs))


def worded(
    loaded: Loaded, folder: Path, examples: list[dict[str, Any]], outputs: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """What a client makes of the export's outputs with the card beside it."""
    task, card = loaded.task, json.loads((folder / CARD).read_text("utf-8"))
    rows = [{name: values[row] for name, values in outputs.items()} for row in range(len(outputs["score"]))]
    return [task.answer(card, example, row) for example, row in zip(examples, rows, strict=True)]


def same(ours: Any, theirs: Any, where: str) -> None:
    """Fail unless two values of JSON are equal, numbers nearly."""
    if isinstance(theirs, float):
        assert ours == pytest.approx(theirs, abs=ROUNDED), where
    elif isinstance(theirs, dict):
        assert set(ours) == set(theirs), where
        for name, value in theirs.items():
            same(ours[name], value, f"{where}, {name}")
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), where
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            same(one, other, f"{where}, {place}")
    else:
        assert ours == theirs, where


def run_fresh(folder: Path, inputs: dict[str, Any]) -> list[dict[str, np.ndarray]]:
    """Answer with an export in a new process, as Python loads it and as TensorFlow Serving does."""
    with fresh() as ask:
        return ask(folder, inputs)()


@pytest.mark.parametrize("name", list(TASKS))
def test_every_way_to_an_answer_gives_the_same_one(name: str, small_run: Any, small_export: Any) -> None:
    loaded, folder, examples = load_run(small_run(name)), small_export(name), asked(name, 40)
    task, inputs = loaded.task, dict(loaded.task.serving_inputs(examples, loaded.task.card()))
    anew, served = run_fresh(folder, inputs)
    eagerly = arrays(task.serving(loaded.model)(**inputs))
    for ours in (served, eagerly, compiled(loaded, inputs)):
        found = gaps(ours, anew)
        assert found and max(found.values()) <= TOLERANCE, found
    encoded = task.encode(examples, "predict")
    assert len(encoded) == len(examples)
    exported = worded(loaded, folder, examples, anew)
    for example, ours, theirs in zip(examples, Decoder(loaded)(encoded), exported, strict=True):
        assert set(ours) >= set(theirs)
        # The run, which sees the file, says more; what could not even be read is known to who asks an export.
        reasons = ours.pop("error", ""), theirs.pop("error", example.get("error", ""))
        assert bool(reasons[0]) == bool(reasons[1]), example["where"]
        same({name: ours[name] for name in theirs}, theirs, example["where"])


@pytest.mark.parametrize(
    ("name", "count", "numbers"),
    [
        ("sentiment", 1000, {"score", "probabilities", "weights"}),
        ("speech", 30, {"score", "start", "end", "confidence"}),
    ],
)
def test_a_trained_run_gives_every_output_of_its_export(
    name: str, count: int, numbers: set[str], tmp_path: Path
) -> None:
    """Trained on real data, where rounding shows most in near ties.

    Under maximum pooling a piece of a text weighs as many units as peak there. The states of the two paths differ by
    some 1e-7. Were a unit given to one of two nearly equal steps, or shared among all within a sharp bound, its share,
    1 / (2 H) = 0.004 of a text, would jump by a quarter or a half. It is shared in proportion to nearness instead
    (`models.attention.TIE`): 1e-7 of 1e-4 moves a thousandth of it.
    """
    run = ROOT / "pretrained" / name
    loaded = load_run(run)
    inputs = dict(loaded.task.serving_inputs(asked(name, count), loaded.task.card()))
    for exported in run_fresh(export(run, tmp_path / "export"), inputs):
        found = gaps(compiled(loaded, inputs), exported)
        assert set(found) == numbers and max(found.values()) <= TOLERANCE, found
