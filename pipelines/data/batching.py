"""Encoded examples -> batches of tensors, through tf.data.

The order, and the reason for each place in it:

1. filter: empty examples are dropped where examples are encoded, once, and counted there;
2. cache: what is the same in every epoch (segmentation, features) is kept encoded, before anything random; large
   training sets lie in files (`storage`) of which only the batches come into memory;
3. shuffle: only example numbers are shuffled, never decoded data, so the buffer is the whole epoch at 8 bytes
   an example, and the order is a function of (seed, epoch) alone;
4. bucket: neighbours in a shuffled window are sorted by length, so that a batch pads little;
5. map: gather the numbered examples, pad right to one of a few widths (each new shape costs XLA a compilation);
6. prefetch: the next batches are made while the model works on this one.

The plan of an epoch is a list of index arrays. It is finished before the epoch starts, so the number of steps is
known, equal to what is run, and a resumed epoch continues at exactly the next batch.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

Batch = tuple[dict[str, Any], dict[str, Any]]
Transform = Callable[[dict[str, Any], dict[str, Any], Any], Batch]
Plan = list[np.ndarray]
GROWTH = 1.25
"""Ratio of neighbouring padded widths, unless the configuration says otherwise."""


@dataclass(frozen=True)
class Rows:
    """A ragged feature outside TensorFlow: row i of N is ``values[row_splits[i]:row_splits[i + 1]]``.

    Attributes:
        values: [T of all rows, ...], may be mapped from a file.
        row_splits: int64 [N + 1].
    """

    values: np.ndarray
    row_splits: np.ndarray

    def row_lengths(self) -> np.ndarray:
        """Return the steps of each row, int64 [N]."""
        return np.diff(self.row_splits)


@dataclass(frozen=True)
class Encoded:
    """Examples ready to be gathered into batches.

    Attributes:
        x: what the model reads; each value has N rows: a tensor or ragged tensor, or an array or `Rows`, of which only
            the rows of a batch become a tensor.
        y: what the loss compares with, likewise; empty when there are no references.
        lengths: int32 [N], the size by which examples are bucketed (pieces, samples), each >= 1.
        examples: the N raw examples, in the same order.
        dropped: sentences about examples that were left out, each naming file and line.
    """

    x: Mapping[str, Any]
    y: Mapping[str, Any]
    lengths: np.ndarray
    examples: Sequence[dict[str, Any]]
    dropped: list[str]

    def __len__(self) -> int:
        """Return N."""
        return len(self.lengths)


def widths(longest: int, growth: float = GROWTH, smallest: int = 8) -> np.ndarray:
    """Return the padded widths, int32 [W]: they rise geometrically and end where ``longest`` fits.

    They are multiples of 8, below ``GROWTH`` of 4. About 15 widths cover 1 to 400 steps: few enough to compile each
    once, and a batch wastes under a quarter. What compiling a width costs is that of tens of steps, so a short training
    does better with a larger ``growth``, and a long one of short rows with a smaller.
    """
    steps, unit = [smallest], 8 if growth >= GROWTH else 4
    while steps[-1] < longest:
        steps.append(int(np.ceil(steps[-1] * growth / unit) * unit))
    steps[-1] = max(smallest, int(np.ceil(longest / unit) * unit))
    return np.array(steps, np.int32)


def epoch_plan(lengths: np.ndarray, batch_size: int, seed: int, epoch: int, window: int = 50) -> Plan:
    """Order one training epoch: shuffle, sort windows of ``window`` batches by length, shuffle the batches.

    Every example appears; the last batch is filled up with the first examples of the same order, because a batch of
    another size would be one more compilation for every width.

    Args:
        lengths: int32 [N] sizes of the examples.
        batch_size: examples a batch, B.
        seed: with ``epoch``, the only source of randomness.
        epoch: number of the epoch from 0.
        window: batches whose examples are sorted together; 1 sorts none, where length goes with content.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    order = np.concatenate([order, np.resize(order, -len(order) % batch_size)])
    span = batch_size * window
    batches: Plan = []
    for start in range(0, len(order), span):
        part = order[start : start + span]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += list(part.reshape(-1, batch_size))
    return [batches[i] for i in random.permutation(len(batches))]


def token_plan(lengths: np.ndarray, tokens: int, seed: int, epoch: int, growth: float = GROWTH) -> Plan:
    """Order one training epoch in batches of about ``tokens`` steps, padding included.

    Examples of one padded width form batches of ``max(1, tokens // width)``, so a width has one shape, and every epoch
    the same number of batches. Each width's last batch is filled up with its own first examples.

    Args:
        lengths: int32 [N] sizes of the examples.
        tokens: steps a batch, B times T.
        seed: with ``epoch``, the only source of randomness.
        epoch: number of the epoch from 0.
        growth: of the padded ``widths``.
    """
    random = np.random.default_rng([seed, epoch])
    limits = widths(int(lengths.max()), growth)
    which = np.searchsorted(limits, lengths)
    batches: Plan = []
    for number, width in enumerate(limits):
        size = max(1, tokens // int(width))
        members = random.permutation(np.flatnonzero(which == number))
        members = np.concatenate([members, np.resize(members, -len(members) % size)])
        batches += list(members.reshape(-1, size))
    return [batches[i] for i in random.permutation(len(batches))]


def contiguous_plan(count: int, batch_size: int) -> Plan:
    """Order one epoch in which row b of every batch goes on where row b of the batch before ended.

    For truncated backpropagation through time with carried states: long texts or series are cut into windows, which are
    the examples, in order. They are laid out over the rows one after the other, each row as evenly filled as whole
    windows allow, and every window comes once.

    Args:
        count: windows, N.
        batch_size: rows, B; no more than N are used.

    Returns:
        Arrays of B example numbers; the last one holds the first rows alone where N is no multiple of B.
    """
    rows = min(batch_size, count)
    sizes = [count // rows + (row < count % rows) for row in range(rows)] if rows else []
    starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    return [
        np.array([start + step for start, size in zip(starts, sizes, strict=True) if step < size], np.int64)
        for step in range(max(sizes, default=0))
    ]


def sorted_plan(lengths: np.ndarray, batch_size: int, most: int = 0) -> Plan:
    """Order for evaluation: longest first, so that a batch that does not fit in memory fails at once.

    Args:
        lengths: int32 [N] sizes of the examples.
        batch_size: examples a batch.
        most: steps a batch, padding included, where there is more than one example; 0 sets no limit.
    """
    order = np.argsort(-lengths, kind="stable")
    batches: Plan = []
    start = 0
    while start < len(order):
        size = min(batch_size, max(1, most // int(lengths[order[start]]))) if most else batch_size
        batches.append(order[start : start + size])
        start += size
    return batches


def padding_share(encoded: Encoded, plan: Plan, growth: float = GROWTH) -> float:
    """Return the share of steps in the plan's padded batches that are padding, of all ragged features; in [0, 1)."""
    real = padded = 0
    for feature in (*encoded.x.values(), *encoded.y.values()):
        if isinstance(feature, tf.RaggedTensor | Rows):
            lengths = np.asarray(feature.row_lengths())
            limits = widths(int(lengths.max()), growth)
            longest = np.array([lengths[indices].max() for indices in plan])
            real += sum(int(lengths[indices].sum()) for indices in plan)
            padded += int(np.dot(limits[np.searchsorted(limits, longest)], [len(indices) for indices in plan]))
    return 1 - real / padded if padded else 0.0


def cores() -> int:
    """Return how many cores this process may use: in a container often fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def batches(
    encoded: Encoded,
    plan: Plan,
    transform: Transform | None = None,
    seed: int = 0,
    start: int = 0,
    growth: float = GROWTH,
) -> tf.data.Dataset:
    """Turn a plan into a dataset of (x, y), in the plan's order.

    Ragged features are padded with zeros to the next of ``widths``, [B, T, ...]; dense ones are gathered as they are.

    Args:
        encoded: the examples.
        plan: which examples form which batch.
        transform: in-graph step on a padded batch, ``(x, y, seed int32 [2]) -> (x, y)``, for augmentation.
        seed: the transform of batch i gets the seed ``(seed, i)``.
        start: batches at the beginning of the plan that are left out, because they are done.
        growth: of the padded ``widths``.
    """
    features = {"x": dict(encoded.x), "y": dict(encoded.y)}
    ragged = {k: v for part in features.values() for k, v in part.items() if isinstance(v, tf.RaggedTensor | Rows)}
    limits = {k: widths(int(np.max(v.row_lengths())), growth) for k, v in ragged.items()}

    @tf.autograph.experimental.do_not_convert
    def gather(number: Any, indices: Any) -> Batch:
        x, y = ({k: _gathered(v, indices, limits.get(k)) for k, v in features[part].items()} for part in ("x", "y"))
        return transform(x, y, tf.stack([tf.cast(seed, tf.int32), number])) if transform else (x, y)

    left = [list(map(int, indices)) for indices in plan[start:]]
    rows = tf.ragged.constant(left, dtype=tf.int64, ragged_rank=1)  # said, because there may be none left
    numbered = tf.data.Dataset.from_tensor_slices((tf.range(start, len(plan)), rows))
    dataset = numbered.map(gather, num_parallel_calls=cores(), deterministic=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(plan) - start)).prefetch(4)
    options = tf.data.Options()
    # The thread that tunes sleeps 10 ms, twice as long each time, and may sleep on when an epoch is over: its end then
    # waits for it, 1.7 s after an epoch of 3.5.
    options.autotune.enabled = False
    return dataset.with_options(options)


def padded(rows: tf.RaggedTensor, limits: np.ndarray) -> Any:
    """Pad ragged rows on the right with zeros to the next of ``limits`` (`widths`): dense, [B, T] or [B, T, D]."""
    longest = tf.cast(tf.reduce_max(rows.row_lengths()), tf.int32)
    missing = tf.gather(limits, tf.searchsorted(limits, [longest])[0]) - longest
    dense = rows.to_tensor()
    return tf.pad(dense, [[0, 0], [0, missing]] + [[0, 0]] * (dense.shape.rank - 2))


def _gathered(values: Any, indices: Any, limits: np.ndarray | None) -> Any:
    if isinstance(values, np.ndarray):
        return _outside(lambda i: values[i], indices, [values])[0]
    if isinstance(values, Rows):
        parts = _outside(lambda i: _row_by_row(values, i), indices, [values.values, values.row_splits])
        rows = tf.RaggedTensor.from_row_lengths(*parts, validate=False)
    else:
        rows = tf.gather(values, indices)
    return rows if limits is None else padded(rows, limits)


def _row_by_row(rows: Rows, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    begin, end = rows.row_splits[indices], rows.row_splits[indices + 1]
    picked = [rows.values[b:e] for b, e in zip(begin, end, strict=True)]
    return np.concatenate(picked), end - begin


def _outside(pick: Callable[[np.ndarray], Any], indices: Any, like: Sequence[np.ndarray]) -> list[Any]:
    """Pick rows in NumPy; the tensors have the types of ``like`` and its shapes but for the first axis."""
    types = [tf.as_dtype(array.dtype) for array in like]
    # Declared stateless, because a stateful function would be called one batch after the other.
    found = tf.numpy_function(pick, [indices], types, stateful=False)
    return [tf.ensure_shape(tensor, [None, *array.shape[1:]]) for tensor, array in zip(found, like, strict=True)]
