"""The bootstrap over groups: examples that depend on each other are drawn together."""

import numpy as np
import pytest

from pipelines.metrics.bootstrap import bootstrap, paired_bootstrap


def test_whole_groups_are_drawn_as_often_as_there_are_groups() -> None:
    groups = ["a", "b", "a", "c", "b", "a"]
    drawn: list[np.ndarray] = []

    def score(indices: np.ndarray) -> dict[str, float]:
        drawn.append(indices)
        return {"mean": float(indices.mean())}

    bootstrap(score, len(groups), resamples=50, groups=groups)
    members = {"a": 3, "b": 2, "c": 1}
    for indices in drawn[:50]:
        counts = [sum(groups[i] == name for i in indices) / size for name, size in members.items()]
        assert all(count == int(count) for count in counts) and sum(counts) == 3
    np.testing.assert_array_equal(drawn[-1], np.arange(6))


def test_equal_examples_within_groups_widen_the_interval_as_theory_says() -> None:
    """With k copies of each of n values the standard error is that of n values, not of k n."""
    values = np.random.default_rng(0).normal(size=60)
    repeated = np.repeat(values, 25)
    groups = [str(i // 25) for i in range(len(repeated))]

    def width(data: np.ndarray, names: list[str] | None) -> float:
        found = bootstrap(lambda i: {"mean": float(data[i].mean())}, len(data), groups=names)["mean"]
        return found["high"] - found["low"]

    alone = width(values, None)
    assert width(repeated, groups) == pytest.approx(alone, rel=0.15)
    assert width(repeated, None) < 0.3 * alone


def test_a_group_each_is_the_usual_bootstrap() -> None:
    values = np.arange(20.0)
    one = bootstrap(lambda i: {"mean": float(values[i].mean())}, 20, groups=[str(i) for i in range(20)])
    assert one == bootstrap(lambda i: {"mean": float(values[i].mean())}, 20)


def test_pairs_are_compared_on_the_same_groups() -> None:
    first, second = np.array([1.0, 1.0, 5.0, 5.0]), np.array([0.0, 0.0, 4.0, 4.0])

    def scorer(values: np.ndarray) -> object:
        return lambda indices: {"mean": float(values[indices].mean())}

    found = paired_bootstrap(scorer(first), scorer(second), 4, groups=["a", "a", "b", "b"])["mean"]  # type: ignore[arg-type]
    assert (found["difference"], found["low"], found["high"]) == (1.0, 1.0, 1.0)
