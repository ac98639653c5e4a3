"""What attention and pooling do beyond the contract of every block: single queries, empty rows, ties, refusals."""

import numpy as np
import pytest
import tensorflow as tf

from models.attention import AdditiveAttention, MultiplicativeAttention, Pooling, masked_softmax
from models.ops import mask_from_lengths
from tests.models.references import softmax

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


@pytest.mark.parametrize("make", ATTENTIONS)
def test_one_query_equals_that_step_of_the_sequence(make):
    layer = make()
    context, weights = layer(QUERIES, KEYS, LENGTHS)
    one_context, one_weights = layer(QUERIES[:, 3], KEYS, LENGTHS, projected=layer.project(KEYS))
    assert one_context.shape == (3, 4) and one_weights.shape == (3, 5)
    np.testing.assert_allclose(one_context, context[:, 3], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one_weights, weights[:, 3], rtol=1e-5, atol=1e-7)


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


@pytest.mark.parametrize("kind", KINDS)
def test_pooling_of_an_empty_row_is_zero_and_of_ties_sums_to_one(kind):
    layer = Pooling(kind)
    context, weights = layer(np.ones((2, 3, 4), "float32"), np.array([0, 3], "int32"))
    np.testing.assert_allclose(context, [[0] * 4, [1] * 4], rtol=1e-6)
    np.testing.assert_allclose(np.sum(weights, axis=1), [0, 1], rtol=1e-6)


def test_near_ties_of_the_maximum_move_continuously():
    """A unit wanders from one step to the other by way of sharing; no small change of a state moves much weight."""
    gaps = np.linspace(-3e-4, 3e-4, 601)
    pairs = np.stack([np.full_like(gaps, 0.5), 0.5 + gaps], axis=1)[:, :, None].astype("float32")
    _, weights = Pooling("max")(pairs, np.full(len(gaps), 2, "int32"))
    first = np.array(weights)[:, 0]
    assert first[0] == 1 and first[-1] == 0 and first[300] == pytest.approx(0.5)
    assert np.abs(np.diff(first)).max() < 0.02
