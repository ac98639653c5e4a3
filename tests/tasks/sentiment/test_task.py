"""Sentiment: the loss by its formula, the adversarial step by what it does, every option by a short training."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines import train
from pipelines.runs.load import load_run
from pipelines.tasks.sentiment import task as sentiment
from pipelines.tasks.sentiment.config import Config
from pipelines.tasks.sentiment.data import Preprocessor, adopt, encode, facets, fit_preprocessor

PLAIN = Config(
    vocabulary_size=300, embedding_size=6, units=5, dropout=0.0, max_tokens=12, labels=("bad", "good", "mixed")
)
EXAMPLES = [
    {"id": str(i), "where": f"x:{i}", "text": text, "label": label}
    for i, (text, label) in enumerate([("fine film", 1), ("dull", 0), ("long and dull film", 0), ("so so", "mixed")])
]


def made(config: Config) -> tuple[Any, Preprocessor, dict[str, Any], dict[str, Any]]:
    preprocessor = fit_preprocessor(config, iter(EXAMPLES))
    encoded = encode(preprocessor, config, EXAMPLES)
    tf.keras.utils.set_random_seed(3)
    x = {"tokens": encoded.x["tokens"].to_tensor(), "lengths": encoded.x["lengths"]}
    return sentiment.build(config, preprocessor), preprocessor, x, dict(encoded.y)


def test_loss_is_smoothed_weighted_cross_entropy() -> None:
    config = dataclasses.replace(PLAIN, label_smoothing=0.3, class_weights=True)
    model, preprocessor, x, y = made(config)
    assert preprocessor.labels == ("bad", "good", "mixed")
    assert preprocessor.counts == (2, 1, 1)
    logits = np.asarray(model(x)["logits"], np.float64)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    target = np.eye(3)[[1, 0, 0, 2]] * 0.7 + 0.1
    weights = np.array([4 / 3, 2 / 3, 2 / 3, 4 / 3])  # N / (C n_c)
    np.testing.assert_allclose(sentiment.loss(model, config, x, y), -(target * log_p).sum(1) * weights, rtol=1e-5)


def test_the_adversarial_step_has_its_norm_and_raises_the_loss() -> None:
    config = dataclasses.replace(PLAIN, adversarial=0.2)
    model, _, x, y = made(config)
    clean = sentiment.loss(model, PLAIN, x, y)
    both = sentiment.loss(model, config, x, y)
    assert (both - clean > clean).numpy().all(), "the perturbed loss must exceed the clean one"
    embedded = model.get_layer("embedding")(x["tokens"])
    step = sentiment._worst_direction(tf.random.normal(embedded.shape, seed=1), embedded, x["lengths"], config)
    norms = np.linalg.norm(embedded.numpy(), axis=-1)
    size = [0.2 * row[:count].mean() for row, count in zip(norms, x["lengths"].numpy(), strict=True)]
    np.testing.assert_allclose(np.sqrt((step.numpy() ** 2).sum((1, 2))), size, rtol=1e-5)


def test_the_adversarial_step_is_that_of_float32_in_half_precision() -> None:
    config = dataclasses.replace(PLAIN, adversarial=0.2)
    gradient = tf.constant(np.random.default_rng(0).normal(0, 1e-4, (2, 3, 6)), tf.float16)  # squares below 6e-8 are 0
    embedded, lengths = tf.ones([2, 3, 6], tf.float16), tf.constant([3, 2])
    step = sentiment._worst_direction(gradient, embedded, lengths, config)
    wide = sentiment._worst_direction(tf.cast(gradient, tf.float32), tf.cast(embedded, tf.float32), lengths, config)
    assert step.dtype == tf.float16
    np.testing.assert_allclose(step, wide, rtol=2e-3)
    none = sentiment._worst_direction(tf.zeros_like(gradient), embedded, lengths, config)
    np.testing.assert_array_equal(none, np.zeros([2, 3, 6]))


def test_confident_answers_keep_their_order() -> None:
    _, preprocessor, _, _ = made(PLAIN)
    rows = np.array([[1 - 1e-7, 1e-7, 0], [1 - 3e-7, 3e-7, 0]], np.float32)
    answers = [sentiment.answer(preprocessor, PLAIN, EXAMPLES[0], {"probabilities": row}) for row in rows]
    low, high = (one["probabilities"]["good"] for one in answers)
    assert low < high
    assert [np.float32(low), np.float32(high)] == [rows[0, 1], rows[1, 1]]


def test_the_label_of_a_row_without_text_makes_no_class() -> None:
    rows = [*EXAMPLES, {"id": "4", "where": "x:4", "text": " ", "label": "sideways"}]
    learnt = fit_preprocessor(PLAIN, iter(rows))
    assert learnt.labels == adopt(PLAIN, learnt, iter(rows)).labels == ("bad", "good", "mixed")


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
    preprocessor = fit_preprocessor(PLAIN, iter(rows))
    assert preprocessor.labels == ("bad", "good", "mixed")
    encoded = encode(preprocessor, PLAIN, rows)
    assert encoded.dropped == [f"x:4: {reason}"] and len(encoded) == 4
    assert facets(PLAIN, rows[4]).problem == reason and not facets(PLAIN, rows[0]).problem


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"precision": "mixed_bfloat16"}, marks=pytest.mark.slow),
        pytest.param({"precision": "mixed_float16"}, marks=pytest.mark.slow),
        pytest.param({"batch_tokens": 400, "ema": 0.9, "embedding_start": "neighbours"}, marks=pytest.mark.slow),
        pytest.param(
            {"cell": "gru", "layers": 2, "pooling": "attention", "adversarial": 0.3, "class_weights": True},
            marks=pytest.mark.slow,
        ),
        {"cell": "simple", "bidirectional": False, "pooling": "last", "pieces": "word", "keep": "tail"},
    ],
    ids=lambda settings: ",".join(map(str, settings.values())),
)
def test_every_option_trains_and_is_loaded_again(settings: dict[str, Any], tmp_path: Path) -> None:
    # One batch of one width: what is compiled is what this takes time for.
    sizes = {"batch_size": 48, "max_tokens": 16}
    run = train("sentiment", run=tmp_path / "run", preset="tiny", limit=48, **(sizes | settings))
    loaded = load_run(run)
    try:
        encoded = sentiment.encode(loaded.preprocessor, loaded.config, sentiment.raw(["a fine film", ""]), False)
        x = {"tokens": encoded.x["tokens"].to_tensor(), "lengths": encoded.x["lengths"]}
        outputs = sentiment.decode(loaded.model, loaded.config, x)
        assert outputs["probabilities"].dtype == tf.float32
        np.testing.assert_allclose(outputs["probabilities"].numpy().sum(1), 1, rtol=1e-5)
        np.testing.assert_allclose(outputs["weights"].numpy().sum(1), 1, rtol=1e-2)
    finally:
        tf.keras.config.set_dtype_policy("float32")


def test_a_first_embedding_from_neighbours_is_not_the_random_one(tmp_path: Path) -> None:
    config = dataclasses.replace(PLAIN, embedding_start="neighbours")
    model, preprocessor, *_ = made(config)
    before = model.get_layer("embedding").embeddings.numpy().copy()
    sentiment.initialise(model, config, preprocessor, encode(preprocessor, config, EXAMPLES))
    after = model.get_layer("embedding").embeddings.numpy()
    assert not np.allclose(before, after)
    assert after.std() == pytest.approx(sentiment.EMBEDDING_SCALE, rel=1e-4)


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
    preprocessor = fit_preprocessor(Config(vocabulary_size=300), examples)
    assert dict(zip(preprocessor.labels, preprocessor.counts, strict=True)) == expected
    encoded = encode(preprocessor, Config(), examples)
    assert not encoded.dropped
    names = [preprocessor.labels[number] for number in encoded.y["label"].numpy()]
    assert {name: names.count(name) for name in names} == expected
    zeros = {"probabilities": np.zeros(len(expected)), "weights": np.zeros(2)}
    answers = [sentiment.answer(preprocessor, Config(), example, zeros) for example in examples]
    assert [answer["references"] for answer in answers] == [[name] for name in names]
