"""CTC kernels: a compiled forward-backward recursion over the batch, and prefix beam search.

TensorFlow's own loss processes rows one by one and is four times as slow; its prefix search is reused.
"""

from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

Tensor = Any

NEVER = -1e30
"""Log-probability of impossible events: finite, so that differences are finite."""
WIDTHS = 16
"""Labels are padded to a multiple of this, which limits the number of compiled shapes."""


def _blank_last(logits: Tensor) -> Tensor:
    """Turn [B, T, V] with blank 0 into [T, B, V] with blank V - 1, in single precision."""
    logits = tf.transpose(tf.cast(logits, tf.float32), [1, 0, 2])
    return tf.concat([logits[:, :, 1:], logits[:, :, :1]], axis=-1)


def check_labels(labels: Tensor, label_lengths: Tensor, classes: int) -> Tensor:
    """Return ``labels``, int32 [B, U], after checking that ids are 1 to V - 1 within their lengths [B].

    Raises:
        InvalidArgumentError: when the graph runs, naming the first wrong row; not checked under XLA.
    """
    inside = tf.sequence_mask(label_lengths, tf.shape(labels)[1])
    wrong = inside & ((labels < 1) | (labels >= classes))
    row = tf.argmax(tf.cast(tf.reduce_any(wrong, axis=1), tf.int32))
    note = [f"a label is outside the alphabet (expected 1 to {classes - 1}, 0 is the blank); row and its labels:", row]
    length = tf.reduce_max(label_lengths, axis=0) if labels.shape[0] != 0 else tf.constant(0)
    fits = tf.debugging.Assert(
        length <= tf.shape(labels)[1], ["label_lengths exceed the labels' width:", label_lengths]
    )
    symbols = tf.debugging.Assert(~tf.reduce_any(wrong), [*note, labels[row]], summarize=1000)
    with tf.control_dependencies([op for op in (fits, symbols) if op is not None]):
        return tf.identity(labels)


def loss(logits: Tensor, lengths: Tensor, labels: Tensor, label_lengths: Tensor) -> Tensor:
    """Negative log-probability of each label sequence, float32 [B]; undefined for impossible rows.

    Arguments as for `models.ctc.ctc_loss`: logits float32 [B, T, V], lengths and label lengths int32 [B], labels int32
    [B, U].

    Raises:
        NotImplementedError: a second derivative is requested.
    """
    labels = check_labels(labels, label_lengths, logits.shape[-1])
    labels = tf.where(tf.sequence_mask(label_lengths, tf.shape(labels)[1]), labels, 0)
    # Fewer compiled shapes: batches with equal numbers of frames rarely have labels of equal width.
    labels = tf.pad(labels, [[0, 0], [0, -tf.shape(labels)[1] % WIDTHS]])
    lengths = tf.maximum(lengths, 1)

    @tf.custom_gradient
    def aligned(logits: Tensor) -> tuple[Tensor, Any]:
        value, gradient = _forward_backward(tf.stop_gradient(logits), lengths, labels, label_lengths)
        return value, lambda upstream: _only_once(logits, upstream[:, None, None] * gradient)

    return aligned(logits)


@tf.custom_gradient
def _only_once(logits: Tensor, gradient: Tensor) -> tuple[Tensor, Any]:
    """Return the gradient; it cannot be differentiated again."""

    def no_second_derivative(upstream: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError("the CTC loss has no second derivative")

    return tf.identity(gradient), no_second_derivative


@tf.function(jit_compile=True, reduce_retracing=True, autograph=False)
def _forward_backward(logits: Tensor, lengths: Tensor, labels: Tensor, label_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The loss [B], summed over all alignments, and its gradient [B, T, V].

    Graves et al. 2006, section 4.1, in the log domain. The states S = 2 U + 1 are the symbols with blanks before,
    between and after. One loop computes alpha forwards and beta backwards, which are independent. Each frame's maximum
    is subtracted first and added at the end, because sums near zero have smaller rounding errors.
    """
    classes, frames = tf.shape(logits)[2], tf.shape(logits)[1]
    states = _interleaved(labels)
    chosen = tf.one_hot(states, classes)  # [B, S, V]; as a product the lookup runs on all cores
    log_p = tf.nn.log_softmax(logits)
    emitted = tf.transpose(tf.matmul(tf.maximum(log_p, NEVER), chosen, transpose_b=True), [1, 0, 2])  # [T, B, S]
    real = tf.range(frames)[:, None] < lengths[None]  # [T, B]
    place = tf.range(tf.shape(states)[1])[None] - 2 * label_lengths[:, None]  # [B, S]; 0 is the last blank
    peak = tf.where(real, tf.reduce_max(tf.where(place <= 0, emitted, NEVER), axis=2), 0.0)
    emitted = emitted - peak[:, :, None]
    ends = tf.where((place == 0) | (place == -1), 0.0, NEVER)
    alpha, beta = _recursions(emitted, ends, _skips(states), lengths)
    total = tf.reduce_logsumexp(alpha[0] + beta[0], axis=1)
    through = tf.exp(alpha + beta - tf.where(total < NEVER / 2, 0.0, total)[None, :, None])
    expected = tf.matmul(tf.transpose(tf.where(real[:, :, None], through, 0.0), [1, 0, 2]), chosen)
    softmax = tf.where(tf.transpose(real)[:, :, None], tf.exp(log_p), 0.0)
    return -total - tf.reduce_sum(peak, axis=0), softmax - expected


def _interleaved(labels: Tensor) -> Tensor:
    """Insert blanks before, between and after: int32 [B, U] -> [B, 2 U + 1]."""
    pairs = tf.stack([tf.zeros_like(labels), labels], axis=2)
    return tf.pad(tf.reshape(pairs, [tf.shape(labels)[0], -1]), [[0, 0], [0, 1]])


def _skips(states: Tensor) -> Tensor:
    """Log weight of the transition from two states before, float32 [B, S]: 0 between different symbols, else NEVER."""
    before = tf.pad(states, [[0, 0], [2, 0]])[:, :-2]
    return tf.where((states != 0) & (states != before), 0.0, NEVER)


def _recursions(emitted: Tensor, ends: Tensor, skips: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of reaching each state, including its frame, and of ending from it: both [T, B, S].

    ``emitted`` is [T, B, S]; ``ends`` [B, S] is 0 at final states, else NEVER.
    """
    last = tf.shape(emitted)[0] - 1
    leaving = tf.pad(skips, [[0, 0], [0, 2]], constant_values=NEVER)[:, 2:]
    starts = tf.where(tf.range(tf.shape(ends)[1])[None] <= 1, 0.0, NEVER)
    alpha, beta = starts + emitted[0], ends
    alphas, betas = (_put(tf.zeros_like(emitted), x, t) for x, t in ((alpha, 0), (beta, last)))

    def body(i: Tensor, alpha: Tensor, beta: Tensor, alphas: Tensor, betas: Tensor) -> tuple[Tensor, ...]:
        before = tf.pad(alpha, [[0, 0], [2, 0]], constant_values=NEVER)
        alpha = _log_sum(alpha, before[:, 1:-1], before[:, :-2] + skips) + emitted[i]
        t = last - i
        after = tf.pad(beta + emitted[t + 1], [[0, 0], [0, 2]], constant_values=NEVER)
        beta = _log_sum(after[:, :-2], after[:, 1:-1], after[:, 2:] + leaving)
        beta = tf.where((t >= lengths - 1)[:, None], ends, beta)
        return i + 1, alpha, beta, _put(alphas, alpha, i), _put(betas, beta, t)

    return tf.while_loop(lambda i, *_: i <= last, body, (1, alpha, beta, alphas, betas))[3:]


def _put(array: Tensor, value: Tensor, t: Tensor) -> Tensor:
    """Write ``value`` [B, S] at step t of ``array`` [T, B, S], in place."""
    return gen_xla_ops.xla_dynamic_update_slice(array, value[None], tf.stack([t, 0, 0]))


def _log_sum(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """log(exp(a) + exp(b) + exp(c)) of finite values of one shape."""
    peak = tf.maximum(a, tf.maximum(b, c))
    return peak + tf.math.log(tf.exp(a - peak) + tf.exp(b - peak) + tf.exp(c - peak))


def beam(logits: Tensor, lengths: Tensor, width: int, paths: int) -> tuple[Tensor, Tensor, Tensor]:
    """Prefix beam search: the ``paths`` best tokens [B, K, U], their counts [B, K] and log-probabilities [B, K]."""
    sparse, scores = tf.nn.ctc_beam_search_decoder(_blank_last(logits), tf.maximum(lengths, 1), width, paths)
    batch = tf.shape(logits)[0]
    longest = tf.reduce_max(tf.stack([s.dense_shape[1] for s in sparse]))
    shape = tf.stack([tf.cast(batch, tf.int64), longest])
    dense = [tf.sparse.to_dense(tf.sparse.reset_shape(s, shape), default_value=-1) for s in sparse]
    tokens = tf.cast(tf.stack(dense, axis=1) + 1, tf.int32)
    return tokens, tf.reduce_sum(tf.cast(tokens > 0, tf.int32), axis=-1), scores
