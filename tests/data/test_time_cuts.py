"""Splits by time: the later part of each series is validation and test."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.data.source import ALL, Example, Problem, Source, with_time_cuts


def source(rows: list[tuple[str, float]], name: str = ALL, problem: bool = False) -> Source:
    def read(on_problem: Any) -> Iterator[Example]:
        if problem:
            on_problem(Problem("t.csv:9", "no time"))
        for number, (series, time) in enumerate(rows):
            yield {"id": str(number), "where": f"t.csv:{number + 2}", "series": series, "time": time}

    return Source("t.csv", {name: read}, "f")


def cut(given: Source, share: float = 0.2) -> Source:
    return with_time_cuts(given, lambda e: e["time"], share, lambda e: e["series"])


def times(given: Source, split: str, series: str) -> list[float]:
    return [e["time"] for e in given.read(split) if e["series"] == series]


def test_each_series_is_cut_by_its_own_times_whatever_the_order_of_rows() -> None:
    rows = [("a", float(t)) for t in (5, 3, 1, 9, 7, 2, 8, 4, 6, 0)] + [("b", 100.0 + t) for t in range(5)]
    made = cut(source(rows))
    assert set(made.readers) == {"train", "validation", "test"}
    assert sorted(times(made, "train", "a")) == [0, 1, 2, 3, 4, 5]
    assert (sorted(times(made, "validation", "a")), sorted(times(made, "test", "a"))) == ([6, 7], [8, 9])
    assert (times(made, "train", "b"), times(made, "validation", "b")) == ([100, 101, 102], [103])
    assert times(made, "test", "b") == [104]
    assert sum(len(list(made.read(split))) for split in made.readers) == len(rows)
    assert len(list(made.read(ALL))) == len(rows)
    assert "by time" in made.cuts["test"]


def test_rows_of_equal_time_stay_together() -> None:
    made = cut(source([("a", float(t // 4)) for t in range(20)]))  # four rows at each of five times
    parts = [set(times(made, split, "a")) for split in ("train", "validation", "test")]
    assert parts == [{0, 1, 2}, {3}, {4}]


def test_a_split_of_its_own_is_left_alone_and_a_missing_one_is_cut_from_train() -> None:
    made = cut(source([("a", float(t)) for t in range(10)], "train"), 0.3)
    assert (times(made, "train", "a"), times(made, "validation", "a")) == (list(range(7)), [7, 8, 9])
    both = dataclasses.replace(made, readers={"train": made.readers["train"], "validation": made.readers["train"]})
    assert cut(both) is both


def test_a_short_series_is_all_in_train_and_a_bad_row_is_told_once() -> None:
    made = cut(source([("a", 0.0), ("a", 1.0)], problem=True))
    told: list[Problem] = []
    assert [len(list(made.read(split, told.append))) for split in ("train", "validation", "test")] == [2, 0, 0]
    assert len(told) == 1
    with pytest.raises(ValueError, match="no time"):
        list(made.read("train"))
