"""As many batches are made at once as there are cores to make them, not as the machine has."""

import os
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data import batching as inputs
from pipelines.data.batching import Encoded, batches, cores


def test_cores_are_those_that_the_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert cores() == len(allowed)


def test_a_system_that_does_not_tell_counts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert cores() == 7


def test_as_many_batches_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    original = tf.data.Dataset.map

    def map_(dataset: Any, function: Any, num_parallel_calls: Any = None, **rest: Any) -> Any:
        asked.append(num_parallel_calls)
        return original(dataset, function, num_parallel_calls=num_parallel_calls, **rest)

    monkeypatch.setattr(tf.data.Dataset, "map", map_)
    monkeypatch.setattr(inputs, "cores", lambda: 3)
    data = Encoded({"x": tf.constant([1, 2])}, {}, np.ones(2, np.int32), [{}, {}], [])
    assert [x["x"].numpy().tolist() for x, _ in batches(data, [np.array([1, 0])])] == [[2, 1]]
    assert asked == [3]
