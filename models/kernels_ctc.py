"""Connectionist temporal classification on TensorFlow's own CPU kernels, which take the blank as the last class."""

from typing import Any

import tensorflow as tf

Tensor = Any


def _blank_last(logits: Tensor) -> Tensor:
    """Turn [B, T, V] with blank 0 into [T, B, V] with blank V - 1, in single precision."""
    logits = tf.transpose(tf.cast(logits, tf.float32), [1, 0, 2])
    return tf.concat([logits[:, :, 1:], logits[:, :, :1]], axis=-1)


def check_labels(labels: Tensor, label_lengths: Tensor, classes: int) -> Tensor:
    """Return ``labels`` once they are known to be symbols: ids 1 to V - 1 within their lengths.

    Raises:
        InvalidArgumentError: when the graph runs, naming the first wrong row; compiled as a whole by XLA there is
            no check.
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
    """Give minus the log probability of each labelling, [B]; rows that are empty or impossible are not for use.

    The kernel refuses an empty label, so such a row gets a symbol in its place; an impossible row gives 0.
    """
    labels = check_labels(labels, label_lengths, logits.shape[-1])
    inside = tf.sequence_mask(label_lengths, tf.shape(labels)[1])
    labels = tf.where(inside, labels, 1)
    indices = tf.where(tf.sequence_mask(tf.maximum(label_lengths, 1), tf.maximum(tf.shape(labels)[1], 1)))
    labels = tf.pad(labels, [[0, 0], [0, tf.cast(tf.shape(labels)[1] == 0, tf.int32)]], constant_values=1)
    value, _ = tf.raw_ops.CTCLoss(
        inputs=_blank_last(logits),
        labels_indices=indices,
        labels_values=tf.gather_nd(labels, indices) - 1,
        sequence_length=tf.maximum(lengths, 1),
        ctc_merge_repeated=True,
        ignore_longer_outputs_than_inputs=True,
    )
    return value


def beam(logits: Tensor, lengths: Tensor, width: int, paths: int) -> tuple[Tensor, Tensor, Tensor]:
    """Search prefixes with a beam of ``width`` and give the ``paths`` best: tokens [B, K, U], counts, log p [B, K]."""
    sparse, scores = tf.nn.ctc_beam_search_decoder(_blank_last(logits), tf.maximum(lengths, 1), width, paths)
    batch = tf.shape(logits)[0]
    longest = tf.reduce_max(tf.stack([s.dense_shape[1] for s in sparse]))
    shape = tf.stack([tf.cast(batch, tf.int64), longest])
    dense = [tf.sparse.to_dense(tf.sparse.reset_shape(s, shape), default_value=-1) for s in sparse]
    tokens = tf.cast(tf.stack(dense, axis=1) + 1, tf.int32)
    return tokens, tf.reduce_sum(tf.cast(tokens > 0, tf.int32), axis=-1), scores
