"""Sentiment: the loss by its formula, the adversarial step by what it does, every option by a short training."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines import train
from pipelines.runs.load import load_run
from pipelines.tasks.sentiment.config import Config
from pipelines.tasks.sentiment.data import Preprocessor, facets
from pipelines.tasks.sentiment.model import worst_direction
from pipelines.tasks.sentiment.task import EMBEDDING_SCALE, Sentiment

PLAIN = Config(
    vocabulary_size=300, embedding_size=6, units=5, dropout=0.0, max_tokens=12, labels=("bad", "good", "mixed")
)
EXAMPLES = [
    {"id": str(i), "where": f"x:{i}", "text": text, "label": label}
    for i, (text, label) in enumerate([("fine film", 1), ("dull", 0), ("long and dull film", 0), ("so so", "mixed")])
]


def made(config: Config) -> tuple[Any, Sentiment, dict[str, Any], dict[str, Any]]:
    task = Sentiment(config, Sentiment.fit(config, iter(EXAMPLES)))
    encoded = task.encode(EXAMPLES)
    tf.keras.utils.set_random_seed(3)
    x = {"tokens": encoded.x["tokens"].to_tensor(), "lengths": encoded.x["lengths"]}
    return task.network(), task, x, dict(encoded.y)


def test_loss_is_smoothed_weighted_cross_entropy() -> None:
    config = dataclasses.replace(PLAIN, label_smoothing=0.3, class_weights=True)
    model, task, x, y = made(config)
    assert task.preprocessor.labels == ("bad", "good", "mixed")
    assert task.preprocessor.counts == (2, 1, 1)
    logits = np.asarray(model(x)["logits"], np.float64)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    target = np.eye(3)[[1, 0, 0, 2]] * 0.7 + 0.1
    weights = np.array([4 / 3, 2 / 3, 2 / 3, 4 / 3])  # N / (C n_c)
    values, weighed = task.loss(model, x, y)
    np.testing.assert_allclose(values, -(target * log_p).sum(1) * weights, rtol=1e-5)
    np.testing.assert_allclose(weighed, weights, rtol=1e-6)


def test_the_adversarial_step_has_its_norm_and_raises_the_loss() -> None:
    config = dataclasses.replace(PLAIN, adversarial=0.2)
    model, task, x, y = made(config)
    clean, _ = Sentiment(PLAIN, task.preprocessor).loss(model, x, y)
    both, _ = task.loss(model, x, y)
    assert (both - clean > clean).numpy().all(), "the perturbed loss must exceed the clean one"
    embedded = model.get_layer("embedding")(x["tokens"])
    step = worst_direction(tf.random.normal(embedded.shape, seed=1), embedded, x["lengths"], 0.2)
    norms = np.linalg.norm(embedded.numpy(), axis=-1)
    size = [0.2 * row[:count].mean() for row, count in zip(norms, x["lengths"].numpy(), strict=True)]
    np.testing.assert_allclose(np.sqrt((step.numpy() ** 2).sum((1, 2))), size, rtol=1e-5)


def test_the_adversarial_step_is_that_of_float32_in_half_precision() -> None:
    gradient = tf.constant(np.random.default_rng(0).normal(0, 1e-4, (2, 3, 6)), tf.float16)  # squares below 6e-8 are 0
    embedded, lengths = tf.ones([2, 3, 6], tf.float16), tf.constant([3, 2])
    step = worst_direction(gradient, embedded, lengths, 0.2)
    wide = worst_direction(tf.cast(gradient, tf.float32), tf.cast(embedded, tf.float32), lengths, 0.2)
    assert step.dtype == tf.float16
    np.testing.assert_allclose(step, wide, rtol=2e-3)
    none = worst_direction(tf.zeros_like(gradient), embedded, lengths, 0.2)
    np.testing.assert_array_equal(none, np.zeros([2, 3, 6]))


def test_confident_answers_keep_their_order() -> None:
    _, task, _, _ = made(PLAIN)
    rows = np.array([[1 - 1e-7, 1e-7, 0], [1 - 3e-7, 3e-7, 0]], np.float32)
    outputs = [{"label": np.bytes_(b"bad"), "score": row.max(), "probabilities": row} for row in rows]
    answers = [task.answer(task.card(), EXAMPLES[0], one) for one in outputs]
    low, high = (one["probabilities"]["good"] for one in answers)
    assert low < high
    assert [np.float32(low), np.float32(high)] == [rows[0, 1], rows[1, 1]]


def test_the_label_of_a_row_without_text_makes_no_class() -> None:
    rows = [*EXAMPLES, {"id": "4", "where": "x:4", "text": " ", "label": "sideways"}]
    learnt = Preprocessor.fit(PLAIN, iter(rows))
    assert learnt.labels == Preprocessor.adopt(PLAIN, learnt, iter(rows)).labels == ("bad", "good", "mixed")


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (None, "the label is empty"),
        (float("nan"), "the label is empty"),
        (" ", "the label is empty"),
        (3, "unknown label '3'; the labels are bad, good, mixed"),
        ("7.0", "unknown label '7'; the labels are bad, good, mixed"),
        (-1, "unknown label '-1'; the labels are bad, good, mixed"),
    ],
)
def test_what_is_no_label_is_a_named_problem_and_no_class(label: Any, reason: str) -> None:
    rows = [*EXAMPLES, {"id": "4", "where": "x:4", "text": "fine", "label": label}]
    task = Sentiment(PLAIN, Sentiment.fit(PLAIN, iter(rows)))
    assert task.preprocessor.labels == ("bad", "good", "mixed")
    encoded = task.encode(rows)
    assert encoded.dropped == [f"x:4: {reason}"] and len(encoded) == 4
    assert facets(PLAIN, rows[4]).problem == reason and not facets(PLAIN, rows[0]).problem


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"precision": "mixed_bfloat16"}, marks=pytest.mark.slow),
        pytest.param({"precision": "mixed_float16"}, marks=pytest.mark.slow),
        pytest.param({"batch_tokens": 400, "ema": 0.9, "embedding_init": "neighbours"}, marks=pytest.mark.slow),
        pytest.param(
            {"cell": "gru", "layers": 2, "pooling": "attention", "adversarial": 0.3, "class_weights": True},
            marks=pytest.mark.slow,
        ),
        {"cell": "simple", "bidirectional": False, "pooling": "last", "pieces": "word", "truncate": "tail"},
    ],
    ids=lambda settings: ",".join(map(str, settings.values())),
)
def test_every_option_trains_and_is_loaded_again(settings: dict[str, Any], tmp_path: Path) -> None:
    # One batch of one width: what is compiled is what this takes time for.
    sizes = {"batch_size": 48, "max_tokens": 16}
    run = train("sentiment", run=tmp_path / "run", preset="tiny", limit=48, **(sizes | settings))
    loaded = load_run(run)
    try:
        encoded = loaded.task.encode(Sentiment.parse(["a fine film", ""]), "predict")
        x = dict(encoded.x) | {"tokens": encoded.x["tokens"].to_tensor()}
        outputs = loaded.task.outputs(loaded.model, x)
        assert outputs["probabilities"].dtype == tf.float32
        np.testing.assert_allclose(outputs["probabilities"].numpy().sum(1), 1, rtol=1e-5)
        np.testing.assert_allclose(outputs["weights"].numpy().sum(1), 1, rtol=1e-2)
    finally:
        tf.keras.config.set_dtype_policy("float32")


def test_a_first_embedding_from_neighbours_is_not_the_random_one(tmp_path: Path) -> None:
    config = dataclasses.replace(PLAIN, embedding_init="neighbours")
    model, task, *_ = made(config)
    before = model.get_layer("embedding").embeddings.numpy().copy()
    task.initialise(model, task.encode(EXAMPLES, "train"))
    after = model.get_layer("embedding").embeddings.numpy()
    assert not np.allclose(before, after)
    assert after.std() == pytest.approx(EMBEDDING_SCALE, rel=1e-4)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 1.0], {"negative": 1, "positive": 2}),
        (["pos", 1, "0"], {"negative": 1, "pos": 1, "positive": 1}),
        ([1, 2, 3, 4, 5, 5], {"1": 1, "2": 1, "3": 1, "4": 1, "5": 2}),
        ([0, 1, 2], {"0": 1, "1": 1, "2": 1}),
        ([1.5, 0.0, 1], {"1.5": 1, "negative": 1, "positive": 1}),
    ],
)
def test_stars_are_no_opinion_of_two_kinds(labels: list[Any], expected: dict[str, int]) -> None:
    examples = [{"id": str(n), "text": "a b", "label": label, "where": f"x:{n}"} for n, label in enumerate(labels)]
    config = Config(vocabulary_size=300)
    preprocessor = Preprocessor.fit(config, examples)
    assert dict(zip(preprocessor.labels, preprocessor.counts, strict=True)) == expected
    task = Sentiment(config, preprocessor)
    encoded = task.encode(examples)
    assert not encoded.dropped
    names = [preprocessor.labels[number] for number in encoded.y["label"].numpy()]
    assert {name: names.count(name) for name in names} == expected
    assert [task.references(example) for example in examples] == [[name] for name in names]
