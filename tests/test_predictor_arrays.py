"""Arrays of numbers: one axis is one input, two are a list of them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from pipelines import load_task
from pipelines.predictor import as_list
from pipelines.tasks.speech.synthetic import Utterance, examples

SOUND = np.linspace(-1, 1, 50, dtype=np.float32)


@pytest.mark.parametrize("one", [SOUND, SOUND.astype(np.int16), np.zeros(0), tf.constant(SOUND)])
def test_one_axis_of_numbers_is_one_input(one: Any) -> None:
    (found,) = as_list(one)
    assert found is one
    (example,) = load_task("speech").parse(as_list(one))
    assert example["audio"] is one


def test_two_axes_of_numbers_are_a_list_of_inputs() -> None:
    for many in (np.stack([SOUND, SOUND[::-1]]), tf.stack([SOUND, SOUND[::-1]])):
        found = as_list(many)
        assert len(load_task("speech").parse(found)) == 2
        np.testing.assert_array_equal(found, [SOUND, SOUND[::-1]])


def test_what_can_be_seen_as_an_array_is_one_input() -> None:
    utterance = Utterance("test", 0, 0)
    assert as_list(utterance) == [utterance]
    assert as_list([utterance, utterance]) == [utterance, utterance]
    (example,) = examples("test", 1)
    np.testing.assert_array_equal(np.asarray(*as_list(utterance)), example["audio"])


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series, lambda t: np.array(t, object), tf.constant, iter])
def test_texts_are_many_inputs_in_whatever_they_come(kind: Any) -> None:
    found = as_list(kind(["a", "bc"]))
    assert [one.decode() if isinstance(one, bytes) else one for one in found] == ["a", "bc"]
    assert not any(isinstance(one, np.generic) for one in found)


def test_a_single_number_is_refused_by_the_task() -> None:
    with pytest.raises(ValueError, match="input 1: expected a text"):
        load_task("sentiment").parse(as_list(np.float32(0.5)))


def test_a_table_is_no_list_of_its_column_names() -> None:
    with pytest.raises(AttributeError):
        as_list(pd.DataFrame({"text": ["a"]}))
