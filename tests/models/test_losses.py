import keras
import numpy as np
import pytest
import tensorflow as tf

from models.losses import sequence_loss, token_cross_entropy, word_detection_loss

RNG = np.random.default_rng(1)
TARGETS = np.array([[3, 1, 4, 0, 0], [2, 2, 1, 4, 3]], "int32")
LOGITS = RNG.normal(size=(2, 5, 6)).astype("float32") * 3


def reference(targets, logits, smoothing):
    """Token losses by the definition, with the whole target distribution written out."""
    logits = logits.astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    target = np.eye(logits.shape[-1])[targets] * (1 - smoothing) + smoothing / logits.shape[-1]
    return np.where(targets == 0, 0.0, -(target * log_p).sum(-1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_token_losses_follow_the_definition_and_ignore_padding(smoothing):
    expected = reference(TARGETS, LOGITS, smoothing)
    np.testing.assert_allclose(token_cross_entropy(TARGETS, LOGITS, smoothing), expected, rtol=1e-5)
    np.testing.assert_allclose(sequence_loss(TARGETS, LOGITS, smoothing), expected.sum(1), rtol=1e-5)


def test_gradient_is_softmax_minus_smoothed_target_over_the_real_tokens():
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = tf.reduce_sum(sequence_loss(TARGETS, logits, 0.2))
    target = np.eye(6)[TARGETS] * 0.8 + 0.2 / 6
    expected = (keras.ops.softmax(LOGITS).numpy() - target) * (TARGETS != 0)[:, :, None]
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, rtol=1e-4, atol=1e-6)


def test_padding_changes_nothing():
    targets = np.pad(TARGETS, [[0, 0], [0, 4]])
    logits = np.concatenate([LOGITS, np.full((2, 4, 6), 1e4, "float32")], axis=1)
    np.testing.assert_allclose(sequence_loss(targets, logits, 0.1), sequence_loss(TARGETS, LOGITS, 0.1), rtol=1e-6)


def test_half_precision_logits_are_summed_in_float32():
    targets = np.ones((1, 3000), "int32")
    loss = sequence_loss(targets, tf.zeros((1, 3000, 64), "float16"), 0.1)
    assert loss.dtype == "float32"
    np.testing.assert_allclose(loss, [3000 * np.log(64)], rtol=1e-5)


def test_a_batch_of_padding_costs_nothing_and_smoothing_has_a_range():
    assert not np.any(sequence_loss(np.zeros((2, 3), "int32"), LOGITS[:, :3]))
    with pytest.raises(ValueError, match=r"\[0, 1\), not 1.0"):
        token_cross_entropy(TARGETS, LOGITS, 1.0)


def test_words_are_detected_where_they_are_likeliest():
    cells = RNG.normal(size=(2, 4, 6)) * 3
    captions = np.array([[[3, 1, 0], [1, 5, 4]], [[2, 0, 0], [0, 0, 0]]], "int32")
    expected = []
    for row, words in zip(cells, ({1, 3, 4, 5}, {2}), strict=True):
        p = (1 / (1 + np.exp(-row))).max(axis=0)
        expected.append(-sum(np.log(p[v]) if v in words else np.log(1 - p[v]) for v in range(6)))
    np.testing.assert_allclose(word_detection_loss(tf.constant(cells, "float32"), captions), expected, rtol=1e-5)
