"""The networks of the base presets, from which all results come: padding and the rest of a batch change nothing."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data.batching import Encoded, batches
from pipelines.runs.load import load_run
from pipelines.task import Task

ROOT = Path(__file__).parents[1] / "pretrained"
TASKS = ("sentiment", "translation", "speech", "captioning")
OFF = ("dropout", "word_dropout", "segmentation_dropout", "adversarial")


def trained(name: str, **changes: Any) -> tuple[Task, Any]:
    """A run's task with other settings, and its network."""
    loaded = load_run(ROOT / name)
    known = {field.name for field in dataclasses.fields(loaded.config)}
    config = dataclasses.replace(loaded.config, **{k: v for k, v in changes.items() if k in known})
    task = type(loaded.task)(config, loaded.preprocessor)
    model = task.network()
    model.set_weights(loaded.model.get_weights())
    return task, model


def encoded(task: Task, count: int = 4) -> Encoded:
    """Built-in examples of different lengths; for captioning, random features in place of the frozen network's."""
    examples = [example for example, _ in zip(task.builtin_source().read("test"), range(count), strict=False)]
    if task.name != "captioning":
        return task.encode(examples)
    texts = [["a dog"], ["a man is riding a bicycle down a street"], ["two children"], ["a red bus near a tree ."]]
    from pipelines.tasks.captioning.data import captions

    record = task.preprocessor.record  # type: ignore[attr-defined]
    picture = np.random.default_rng(0).normal(size=(count, record["cells"], record["features"])).astype(np.float16)
    x = {"picture": tf.constant(picture), "status": tf.zeros([count], tf.int32)}
    y = {"captions": captions(task.preprocessor, texts[:count])}  # type: ignore[arg-type]
    lengths = y["captions"].row_lengths().numpy().astype(np.int32)
    return Encoded(x, y, lengths, examples, [])


def batch(data: Encoded, rows: list[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    ((x, y),) = batches(data, [np.array(rows)])
    return x, y


def padded(part: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Pad what is padded by 8 steps more, or by a quarter of a second of sound."""

    def more(value: Any) -> Any:
        extra = 4000 if value.dtype.is_floating else 8
        return tf.pad(value, [[0, 0], [0, extra]] + [[0, 0]] * (value.shape.rank - 2))

    return {name: more(v) if isinstance(given[name], tf.RaggedTensor) else v for name, v in part.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("adversarial", [0.0, 0.6])
def test_the_loss_of_an_example_is_its_own(name: str, adversarial: float) -> None:
    if adversarial and name != "sentiment":
        pytest.skip("the adversarial step is of sentiment alone")
    task, model = trained(name, **dict.fromkeys(OFF, 0.0) | {"adversarial": adversarial})
    data = encoded(task)
    x, y = batch(data, [0, 1, 2, 3])
    value, weight = (np.asarray(part) for part in task.loss(model, x, y))
    wider = task.loss(model, padded(x, data.x), padded(y, data.y))
    np.testing.assert_allclose(wider[0], value, rtol=1e-4)
    for row in range(4):
        alone = task.loss(model, *batch(data, [row]))
        np.testing.assert_allclose([float(part[0]) for part in alone], [value[row], weight[row]], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_the_answer_of_an_example_is_its_own(name: str) -> None:
    task, model = trained(name)
    data = encoded(task)
    function = tf.function(lambda x: task.outputs(model, x), reduce_retracing=True, autograph=False)
    together = function(batch(data, [0, 1, 2, 3])[0])
    wider = function(padded(batch(data, [0, 1, 2, 3])[0], data.x))
    np.testing.assert_array_equal(wider[task.answer_output], together[task.answer_output])
    np.testing.assert_allclose(wider["score"], together["score"], atol=2e-5)
    for row in range(4):
        alone = function(batch(data, [row])[0])
        assert alone[task.answer_output][0] == together[task.answer_output][row]
        np.testing.assert_allclose(alone["score"][0], together["score"][row], atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["translation", "captioning"])
def test_the_reward_of_an_example_is_its_own(name: str) -> None:
    """With the same random numbers an example samples the same answers, whatever is beside it.

    A sum over thousands of shares is rounded otherwise in another batch, so that now and then one of the samples takes
    the neighbouring piece where its random number lies on the border.
    """
    task, model = trained(name)
    data = encoded(task)
    phase = task.last_phase(model, data)
    assert phase is not None, "the base preset trains by rewards"
    samples, longest = task.config.scst_samples, task.config.max_tokens  # type: ignore[attr-defined]
    noise = tf.constant(np.random.default_rng(1).random((4, samples, longest)), tf.float32)
    x, y = batch(data, [0, 1, 2, 3])
    value = np.asarray(phase.loss(x, y | {"noise": noise})[0])
    assert (0 <= value).all() and len(set(value.round(6))) > 1
    wider = phase.loss(padded(x, data.x), padded(y, data.y) | {"noise": noise})[0]
    np.testing.assert_allclose(wider, value, atol=1e-5)
    alone = []
    for row in range(4):
        x, y = batch(data, [row])
        alone.append(float(phase.loss(x, y | {"noise": noise[row : row + 1]})[0][0]))
    apart = np.abs(np.array(alone) - value)
    assert (apart > 1e-5).sum() <= 1 and apart.max() <= 1 / samples
