"""A split encoded part by part is the split encoded at once, and names as much of what it leaves out."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines import load_settings, load_task
from pipelines.data.source import OnProblem, Problem, Source
from pipelines.task import Task
from pipelines.training.encode import encode_parts, encode_split

UNUSABLE = {
    "translation": {20: {"source": "", "target": "ein Hund"}, 41: {"source": None, "target": "x"}},
    "sentiment": {0: {"text": " ", "label": "positive"}, 20: {"text": "fine", "label": "mixed"}},
}
"""Rows that the task leaves out, by their place."""
UNREADABLE = (9, 89)
"""Rows that the reader leaves out, the last one among them: no example comes behind it."""


@pytest.fixture(params=list(UNUSABLE))
def split(request: Any) -> tuple[Task, Source]:
    """A task, and 90 rows of which four cannot be used."""
    task, config = load_task(request.param), load_settings(request.param).Config(vocabulary_size=300)
    usable = list(islice(task.open_source("synthetic", config).read("train"), 90))
    rows = [e | UNUSABLE[request.param].get(i, {}) | {"where": f"x:{i}"} for i, e in enumerate(usable)]

    def read(on_problem: OnProblem) -> Iterator[dict[str, Any]]:
        for number, row in enumerate(rows):
            if number in UNREADABLE:
                on_problem(Problem(row["where"], "no row"))
            else:
                yield row

    return task(config, task.fit(config, usable)), Source("rows", {"train": read}, "x")


def listed(feature: Any) -> list[Any]:
    return feature.to_list() if isinstance(feature, tf.RaggedTensor) else np.asarray(feature).tolist()


def test_the_parts_of_a_split_are_the_whole(split: tuple[Task, Source]) -> None:
    whole = encode_split(*split, "train", "train")
    left = {f"x:{number}" for number in (*UNREADABLE, *UNUSABLE[split[0].name])}
    for size in (60, 43, 44):  # 86 and 88 examples are encoded: 43 and 44 leave no part unfinished
        parts = list(encode_parts(*split, "train", size=size))
        assert len(whole) == sum(map(len, parts)) == 86 and max(map(len, parts)) <= size
        for dropped in (whole.dropped, list(chain.from_iterable(part.dropped for part in parts))):
            assert {sentence.partition(": ")[0] for sentence in dropped} == left and len(dropped) == len(left)
        assert list(chain.from_iterable(part.examples for part in parts)) == whole.examples
        assert np.concatenate([part.lengths for part in parts]).tolist() == whole.lengths.tolist()
        for side in ("x", "y"):
            for name, feature in getattr(whole, side).items():
                joined = chain.from_iterable(listed(getattr(part, side)[name]) for part in parts)
                assert list(joined) == listed(feature)
