import keras
import numpy as np
import pytest
import tensorflow as tf

from models.attention import AdditiveAttention, MultiplicativeAttention, Pooling, masked_softmax
from models.masks import mask_from_lengths

RNG = np.random.default_rng(0)
KEYS = RNG.normal(size=(3, 5, 4)).astype("float32")
LENGTHS = np.array([5, 2, 1], "int32")
QUERIES = RNG.normal(size=(3, 6, 4)).astype("float32")
ATTENTIONS = [
    lambda: AdditiveAttention(7),
    lambda: MultiplicativeAttention("general"),
    lambda: MultiplicativeAttention("scaled_dot"),
]
KINDS = ["attention", "max", "mean", "last"]


def softmax(x):
    shares = np.exp(x - x.max())
    return shares / shares.sum()


def reference_score(layer, query, key):
    weights = {w.name: w.numpy() for w in layer.weights}
    if isinstance(layer, AdditiveAttention):
        inner = np.tanh(query @ weights["query_kernel"] + key @ weights["key_kernel"] + weights["bias"])
        return float(inner @ weights["score"][:, 0])
    if layer.kind == "general":
        return float(query @ weights["kernel"] @ key)
    return float(query @ key / np.sqrt(len(key)))


@pytest.mark.parametrize("make", ATTENTIONS)
def test_attention_equals_numpy_row_by_row(make):
    layer = make()
    context, weights = layer(QUERIES, KEYS, LENGTHS)
    for row, length in enumerate(LENGTHS):
        for step in range(QUERIES.shape[1]):
            scores = [reference_score(layer, QUERIES[row, step], KEYS[row, t]) for t in range(length)]
            expected = softmax(np.array(scores))
            np.testing.assert_allclose(weights[row, step, :length], expected, rtol=1e-5)
            np.testing.assert_allclose(context[row, step], expected @ KEYS[row, :length], rtol=1e-4, atol=1e-6)
    assert np.all(np.array(weights)[1, :, 2:] == 0)


@pytest.mark.parametrize("make", ATTENTIONS)
def test_one_query_equals_that_step_of_the_sequence(make):
    layer = make()
    context, weights = layer(QUERIES, KEYS, LENGTHS)
    one_context, one_weights = layer(QUERIES[:, 3], KEYS, LENGTHS, projected=layer.project(KEYS))
    assert one_context.shape == (3, 4) and one_weights.shape == (3, 5)
    np.testing.assert_allclose(one_context, context[:, 3], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one_weights, weights[:, 3], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("make", ATTENTIONS)
def test_padding_changes_nothing(make):
    layer = make()
    context, weights = layer(QUERIES, KEYS, LENGTHS)
    junk = np.concatenate([KEYS, RNG.normal(size=(3, 4, 4)).astype("float32") * 50], axis=1)
    junk[1, 2:] = 99.0
    padded_context, padded_weights = layer(QUERIES, junk, LENGTHS)
    np.testing.assert_allclose(padded_context, context, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(padded_weights[..., :5], weights, rtol=1e-5, atol=1e-7)
    assert np.all(np.array(padded_weights)[..., 5:] == 0)


def test_scaled_dot_refuses_unequal_widths():
    with pytest.raises(ValueError, match="equal width, got 4 and 3"):
        MultiplicativeAttention("scaled_dot")(QUERIES, KEYS[..., :3], LENGTHS)


def test_unknown_kinds_are_refused_by_name():
    with pytest.raises(ValueError, match="'dot'"):
        MultiplicativeAttention("dot")
    with pytest.raises(ValueError, match="attention, max, mean, last"):
        Pooling("first")


def test_masked_softmax_of_an_empty_row_is_zero_and_has_a_gradient():
    scores = tf.Variable([[1.0, 2.0], [1.0, 3.0]])
    with tf.GradientTape() as tape:
        shares = masked_softmax(scores, mask_from_lengths(tf.constant([0, 2]), 2))
        loss = tf.reduce_sum(shares * [[1.0, 2.0]])
    np.testing.assert_allclose(shares[0], [0, 0])
    np.testing.assert_allclose(shares[1], softmax(np.array([1.0, 3.0])), rtol=1e-6)
    assert np.all(np.isfinite(tape.gradient(loss, scores)))


def reference_pool(layer, steps):
    """One row's real steps [T, H] -> context [H], weights [T]."""
    count = len(steps)
    if layer.kind == "max":
        winners = steps.argmax(axis=0)
        return steps.max(axis=0), np.bincount(winners, minlength=count) / steps.shape[1]
    if layer.kind == "mean":
        return steps.mean(axis=0), np.full(count, 1 / count)
    if layer.kind == "last":
        return steps[-1], np.eye(count)[-1]
    kernel, bias, score = (w.numpy() for w in (layer.kernel, layer.bias, layer.score))
    weights = softmax((np.tanh(steps @ kernel + bias) @ score)[:, 0])
    return weights @ steps, weights


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("extra", [0, 3])
def test_pooling_equals_numpy_whatever_the_padding(kind, extra):
    layer = Pooling(kind)
    sequence = np.concatenate([KEYS, np.full((3, extra, 4), 77.0, "float32")], axis=1)
    sequence[1, 2:] = -88.0
    context, weights = layer(sequence, LENGTHS)
    for row, length in enumerate(LENGTHS):
        expected_context, expected_weights = reference_pool(layer, KEYS[row, :length])
        np.testing.assert_allclose(context[row], expected_context, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(weights[row, :length], expected_weights, rtol=1e-5, atol=1e-7)
        assert np.all(np.array(weights)[row, length:] == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_pooling_of_an_empty_row_is_zero_and_of_ties_sums_to_one(kind):
    layer = Pooling(kind)
    context, weights = layer(np.ones((2, 3, 4), "float32"), np.array([0, 3], "int32"))
    np.testing.assert_allclose(context, [[0] * 4, [1] * 4], rtol=1e-6)
    np.testing.assert_allclose(np.sum(weights, axis=1), [0, 1], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_pooling_gradients_are_finite_and_reach_the_input(kind):
    layer = Pooling(kind)
    sequence = tf.Variable(KEYS)
    with tf.GradientTape() as tape:
        context, _ = layer(sequence, LENGTHS)
        loss = tf.reduce_sum(context**2)
    gradient = tape.gradient(loss, sequence).numpy()
    assert np.all(np.isfinite(gradient)) and np.abs(gradient[0]).sum() > 0
    assert np.all(gradient[1, 2:] == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_pooling_inside_a_model_traces_saves_and_keeps_half_precision_finite(kind, tmp_path):
    inputs = keras.Input((None, 4)), keras.Input((), dtype="int32")
    model = keras.Model(inputs, Pooling(kind, units=3)(*inputs))
    twin = keras.Model.from_config(model.get_config())
    model.save_weights(tmp_path / "x.weights.h5")
    twin.load_weights(tmp_path / "x.weights.h5")
    eager = model([KEYS, LENGTHS])[0]
    traced = tf.function(twin)([tf.constant(KEYS), tf.constant(LENGTHS)])[0]
    np.testing.assert_allclose(traced, eager, rtol=1e-6)
    half, weights = Pooling(kind, dtype="mixed_float16")(KEYS * 60, LENGTHS)
    assert half.dtype == "float16" and weights.dtype == "float32" and np.all(np.isfinite(half))
