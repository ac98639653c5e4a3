"""The input pipeline: complete epochs, known order, fixed shapes, little padding."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.batching import Encoded, batches, epoch_plan, padding_share, sorted_plan, token_plan, widths


def encoded(lengths: np.ndarray) -> Encoded:
    """Rows that hold their own number, so that a batch can be recognised."""
    tokens = tf.RaggedTensor.from_row_lengths(np.repeat(np.arange(1, len(lengths) + 1), lengths), lengths)
    x = {"tokens": tf.cast(tokens, tf.int32), "lengths": tf.constant(lengths, tf.int32)}
    return Encoded(x, {"label": tf.range(len(lengths))}, lengths.astype(np.int32), [{}] * len(lengths), [])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.integers(1, 9), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_an_epoch_holds_every_example_in_batches_of_one_size(lengths: list[int], size: int, epoch: int) -> None:
    plan = epoch_plan(np.array(lengths, np.int32), size, 1, epoch, window=3)
    assert all(len(batch) == size for batch in plan)
    assert len(plan) == -(-len(lengths) // size)
    assert set(np.concatenate(plan)) == set(range(len(lengths)))
    extra = np.bincount(np.concatenate(plan)).max()
    assert extra <= 1 + -(-size // len(lengths))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.integers(1, 200), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_an_epoch_by_tokens_holds_every_example_in_one_shape_a_width(
    lengths: list[int], tokens: int, epoch: int
) -> None:
    sizes = np.array(lengths, np.int32)
    plan = token_plan(sizes, tokens, 1, epoch)
    assert len(plan) == len(token_plan(sizes, tokens, 1, epoch + 1))
    assert set(np.concatenate(plan)) == set(range(len(lengths)))
    limits = widths(max(lengths))
    padded = limits[np.searchsorted(limits, sizes)]
    for width in set(padded.tolist()):
        alike = [batch for batch in plan if (padded[batch] == width).any()]
        size, members = max(1, tokens // width), np.concatenate(alike)
        assert {len(batch) for batch in alike} == {size} and set(padded[members]) == {width}
        assert len(members) < (padded == width).sum() + size, "a batch of nothing but repeats"


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    lengths = np.random.default_rng(0).integers(1, 99, 500).astype(np.int32)
    same = [np.concatenate(epoch_plan(lengths, 8, 3, 4)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    for seed, epoch in ((3, 5), (4, 4)):
        assert not np.array_equal(same[0], np.concatenate(epoch_plan(lengths, 8, seed, epoch)))


def test_batches_are_gathered_padded_right_and_in_order() -> None:
    data = encoded(np.array([3, 9, 1, 17, 2], np.int32))
    plan = [np.array([0, 2]), np.array([3, 1]), np.array([4])]
    made = list(batches(data, plan))
    assert [y["label"].numpy().tolist() for _, y in made] == [[0, 2], [3, 1], [4]]
    assert [x["tokens"].shape[1] for x, _ in made] == [8, 24, 8]
    np.testing.assert_array_equal(made[0][0]["tokens"], [[1, 1, 1, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0]])
    rest = list(batches(data, plan, start=1))
    assert [y["label"].numpy().tolist() for _, y in rest] == [[3, 1], [4]]
    assert len(batches(data, plan, start=1)) == 2
    assert list(batches(data, plan, start=len(plan))) == [], "a training may be stopped behind an epoch's last batch"


def test_a_transform_sees_the_same_seed_when_an_epoch_is_resumed() -> None:
    data = encoded(np.array([3, 9, 1, 17, 2, 4], np.int32))
    plan = epoch_plan(data.lengths, 2, 0, 0)

    def noise(x: dict, y: dict, seed: tf.Tensor) -> tuple[dict, dict]:
        return x | {"noise": tf.random.stateless_uniform([2], seed)}, y

    whole = [x["noise"].numpy() for x, _ in batches(data, plan, noise, seed=7)]
    tail = [x["noise"].numpy() for x, _ in batches(data, plan, noise, seed=7, start=1)]
    np.testing.assert_array_equal(whole[1:], tail)
    assert not np.array_equal(whole[0], whole[1])


def test_no_thread_tunes_the_input_and_makes_the_end_of_an_epoch_wait() -> None:
    data = encoded(np.array([3, 4], np.int32))
    assert batches(data, [np.arange(2)]).options().autotune.enabled is False


@pytest.mark.parametrize("growth", [1.05, 1.25, 2.0])
@pytest.mark.parametrize("longest", [1, 8, 9, 100, 400, 1234])
def test_widths_rise_and_end_where_the_longest_fits(longest: int, growth: float) -> None:
    steps = widths(longest, growth)
    assert (np.diff(steps) > 0).all()
    unit = 8 if growth >= 1.25 else 4
    assert (steps % unit == 0).all()
    assert longest <= steps[-1] < max(longest + unit, 9)
    assert len(steps) <= 2 + np.log(longest) / np.log(growth)


@pytest.mark.parametrize("growth", [1.25, 2.0])
def test_padding_share_is_what_the_batches_hold(growth: float) -> None:
    data = encoded(np.random.default_rng(1).integers(1, 120, 300).astype(np.int32))
    plan = epoch_plan(data.lengths, 16, 0, 0)
    cells = [
        (x["tokens"].shape.num_elements(), int(tf.math.count_nonzero(x["tokens"])))
        for x, _ in batches(data, plan, growth=growth)
    ]
    padded, real = np.sum(cells, axis=0)
    assert padding_share(data, plan, growth) == pytest.approx(1 - real / padded)
    other = np.random.default_rng(3).integers(1, 90, 300)
    data = dataclasses.replace(data, y={"target": tf.RaggedTensor.from_row_lengths(tf.ones([other.sum()]), other)})
    cells += [
        (y["target"].shape.num_elements(), int(tf.math.count_nonzero(y["target"])))
        for _, y in batches(data, plan, growth=growth)
    ]
    padded, real = np.sum(cells, axis=0)
    assert padding_share(data, plan, growth) == pytest.approx(1 - real / padded), "of both sides together"
    data = encoded(data.lengths)
    shuffled = np.array_split(np.random.default_rng(2).permutation(300), 19)
    assert padding_share(data, plan) < 0.5 * padding_share(data, shuffled)


def test_evaluation_begins_with_the_longest_and_loses_nothing() -> None:
    lengths = np.array([5, 40, 7, 40, 1], np.int32)
    plan = sorted_plan(lengths, 2)
    assert [batch.tolist() for batch in plan] == [[1, 3], [2, 0], [4]]
    limited = sorted_plan(lengths, 3, most=30)
    assert [batch.tolist() for batch in limited] == [[1], [3], [2, 0, 4]]
