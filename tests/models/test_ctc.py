"""CTC against the definition: all alignments written out on tiny cases."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.ctc import beam_decode, ctc_loss, frames_needed


def collapse(path):
    return tuple(k for k, _ in itertools.groupby(path) if k != 0)


def labellings(logits):
    """Sum the probability of every alignment of logits [T, V], by the labelling that it collapses to."""
    p = np.exp(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))
    total: dict[tuple, float] = {}
    for path in itertools.product(range(p.shape[1]), repeat=p.shape[0]):
        key = collapse(path)
        total[key] = total.get(key, 0.0) + np.prod([p[t, k] for t, k in enumerate(path)])
    return total


def draw(batch, time, classes, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, time, classes)).astype("float32") * 2


CASES = [((1, 2), 4), ((1, 1), 4), ((1, 1), 3), ((), 4), ((2, 1, 2), 4), ((1,), 1), ((), 1), ((1, 2, 2, 1), 4)]


def batch_of(labels):
    width = max(len(x) for x in labels)
    padded = np.full((len(labels), width), -7, "int32")
    for row, label in enumerate(labels):
        padded[row, : len(label)] = label
    return padded, np.array([len(x) for x in labels], "int32")


def test_loss_sums_all_alignments():
    logits, lengths = draw(len(CASES), 6, 3), np.array([t for _, t in CASES], "int32")
    labels, counts = batch_of([x for x, _ in CASES])
    values = np.asarray(ctc_loss(logits, lengths, labels, counts))
    for row, (label, time) in enumerate(CASES):
        expected = labellings(logits[row, :time].astype("float64")).get(label, 0.0)
        assert values[row] == pytest.approx(-np.log(expected) if expected else np.inf, rel=1e-5)


def test_impossible_counts_repeats():
    labels, counts = batch_of([(1, 1, 1), (1, 2, 1), (2, 2)])
    np.testing.assert_array_equal(frames_needed(labels, counts), [5, 3, 3])
    values = np.asarray(ctc_loss(draw(3, 4, 3), np.array([4, 3, 2]), labels, counts))
    np.testing.assert_array_equal(np.isinf(values), [True, False, True])


def test_gradient_is_that_of_finite_differences():
    labels, counts = batch_of([(1, 2), (), (1, 1), (2, 2, 2)])
    lengths, logits = np.array([4, 3, 5, 4]), draw(4, 5, 3)

    def total(x):
        # The last row is impossible: its value is inf and its gradient zero.
        return tf.reduce_sum(ctc_loss(x, lengths, labels, counts)[:3])

    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(tf.where(tf.math.is_inf(v := ctc_loss(x, lengths, labels, counts)), 0.0, v))
    gradient = tape.gradient(value, x).numpy()
    assert np.all(gradient[3] == 0) and np.all(np.isfinite(gradient))
    step = 1e-2
    for index in np.ndindex(3, 5, 3):
        up, down = logits.copy(), logits.copy()
        up[index] += step
        down[index] -= step
        slope = float(total(tf.constant(up)) - total(tf.constant(down))) / (2 * step)
        assert gradient[index] == pytest.approx(slope, abs=3e-3)


def test_padding_frames_and_labels_do_not_count():
    logits = draw(2, 8, 5)
    labels, counts, lengths = np.array([[1, 2, 3], [4, 4, 0]], "int32"), np.array([3, 2]), np.array([8, 5])
    wide = np.concatenate([logits, draw(2, 30, 5, seed=9)], axis=1)
    more = np.concatenate([labels, np.full((2, 4), 99, "int32")], axis=1)
    np.testing.assert_allclose(
        ctc_loss(wide, lengths, more, counts), ctc_loss(logits, lengths, labels, counts), rtol=1e-6
    )


def test_equals_keras_where_keras_is_right():
    rng = np.random.default_rng(3)
    logits, counts = draw(8, 30, 12), rng.integers(1, 9, size=8).astype("int32")
    labels = rng.integers(1, 12, size=(8, 8)).astype("int32")
    lengths = rng.integers(20, 31, size=8).astype("int32")
    theirs = keras.ops.ctc_loss(labels, logits, counts, lengths, mask_index=0)
    np.testing.assert_allclose(ctc_loss(logits, lengths, labels, counts), theirs, rtol=1e-4)


def test_equals_pytorch_in_value_and_gradient():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    logits, counts = draw(8, 60, 12, seed=4), rng.integers(0, 17, size=8).astype("int32")
    labels, lengths = rng.integers(1, 12, size=(8, 16)).astype("int32"), rng.integers(40, 61, size=8).astype("int32")
    leaf = torch.tensor(logits, requires_grad=True)
    args = (torch.tensor(labels), torch.tensor(lengths), torch.tensor(counts))
    theirs = torch.nn.functional.ctc_loss(leaf.log_softmax(-1).transpose(0, 1), *args, reduction="none")
    theirs.sum().backward()
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        ours = ctc_loss(x, lengths, labels, counts)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(ours, x), leaf.grad.numpy(), atol=1e-4)


def test_long_labels_keep_their_precision():
    """Against the recursion in double precision; 400 frames are a recording of 16 s after subsampling by 4."""
    rng = np.random.default_rng(5)
    logits, label = draw(1, 400, 32, seed=5), rng.integers(1, 32, size=60)
    log_p = logits[0].astype("float64") - np.logaddexp.reduce(logits[0].astype("float64"), axis=1, keepdims=True)
    states = np.zeros(121, "int64")
    states[1::2] = label
    alpha = np.full(121, -np.inf)
    alpha[:2] = log_p[0, states[:2]]
    for t in range(1, 400):
        two = np.r_[-np.inf, -np.inf, alpha[:-2]]
        two[(states == 0) | (states == np.r_[0, 0, states[:-2]])] = -np.inf
        alpha = np.logaddexp(np.logaddexp(alpha, np.r_[-np.inf, alpha[:-1]]), two) + log_p[t, states]
    ours = ctc_loss(logits, np.array([400]), label[None].astype("int32"), np.array([60]))
    assert float(ours[0]) == pytest.approx(-np.logaddexp(alpha[-1], alpha[-2]), rel=1e-6)


def test_compiled_as_a_whole_and_without_a_second_derivative():
    labels, counts = batch_of([(1, 2), ()])
    logits, lengths = tf.constant(draw(2, 4, 3)), np.array([4, 3])
    whole = tf.function(lambda x: ctc_loss(x, lengths, labels, counts), jit_compile=True)
    np.testing.assert_allclose(whole(logits), ctc_loss(logits, lengths, labels, counts), rtol=1e-6)
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape() as inner:
            inner.watch(logits)
            value = ctc_loss(logits, lengths, labels, counts)[0]
        first = inner.gradient(value, logits)
    with pytest.raises(NotImplementedError, match="second derivative"):
        outer.gradient(first, logits)


@pytest.mark.parametrize("bad", [0, 3, -1])
def test_symbols_outside_the_alphabet_raise(bad):
    with pytest.raises(tf.errors.InvalidArgumentError, match="outside the alphabet"):
        ctc_loss(draw(2, 4, 3), np.array([4, 4]), np.array([[1, 2], [1, bad]]), np.array([2, 2]))


def test_wrong_shapes_raise():
    with pytest.raises(ValueError, match="logits"):
        ctc_loss(draw(2, 4, 1), np.array([4, 4]), np.array([[1], [1]]), np.array([1, 1]))


def test_graph_equals_eager_with_open_shapes():
    traced = tf.function(
        ctc_loss,
        input_signature=[tf.TensorSpec([None, None, 3])]
        + [tf.TensorSpec(s, tf.int32) for s in ([None], [None, None], [None])],
    )
    for batch, labels in ((2, [(1, 2), ()]), (1, [()]), (3, [(1,), (2, 2), (1, 1)])):
        ids, counts = batch_of(labels)
        args = draw(batch, 4, 3), np.full(batch, 4, "int32"), ids, counts
        np.testing.assert_allclose(traced(*args), ctc_loss(*args), rtol=1e-6)


def test_wide_beam_finds_the_most_probable_labellings():
    logits, lengths = draw(3, 5, 3), np.array([5, 4, 1])
    tokens, counts, scores = (np.asarray(a) for a in beam_decode(logits, lengths, width=200, paths=2))
    for row, length in enumerate(lengths):
        total = labellings(logits[row, :length].astype("float64"))
        best = sorted(total, key=total.get, reverse=True)[:2]
        found = [tuple(tokens[row, k, : counts[row, k]]) for k in range(2)]
        assert found == best
        np.testing.assert_allclose(scores[row], [np.log(total[b]) for b in best], atol=1e-4)


def test_beam_refuses_more_paths_than_width():
    with pytest.raises(ValueError, match="paths=3"):
        beam_decode(draw(1, 2, 3), np.array([2]), width=2, paths=3)
