"""What a training step waits for its batch is measured, and nothing else with it."""

import time
from typing import Any

import pytest
import tensorflow as tf

from pipelines.training.step import reading

SLEEP = 0.15


def slept(value: Any, when: bool) -> Any:
    def late(number: Any) -> Any:
        if when:
            time.sleep(SLEEP)
        return number

    result = tf.py_function(late, [value], tf.int64)
    result.set_shape([])
    return result


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize(("slow_input", "slow_step"), [(True, False), (False, True)])
def test_waiting_is_for_input_alone(slow_input: bool, slow_step: bool, deterministic: bool) -> None:
    data = tf.data.Dataset.range(3).map(lambda i: ({"a": slept(i, slow_input)}, {"b": i}))
    # An operation that needs no batch must not be taken for waiting either.
    step = reading(lambda x, y: (x["a"] + slept(tf.constant(10, tf.int64), slow_step), y["b"]), deterministic)
    batches = iter(data)
    for number in range(3):
        loss, norm, waited = step(batches)
        assert (int(loss), int(norm)) == (number + 10, number)
        if number:  # the first is late with its own tracing
            assert (float(waited) > 0.8 * SLEEP) == slow_input
