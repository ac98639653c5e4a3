"""Bootstrap intervals of corpus metrics, and paired comparison of two systems."""

from collections.abc import Callable, Sequence

import numpy as np

Scorer = Callable[[np.ndarray], dict[str, float]]


def bootstrap(
    score: Scorer, count: int, resamples: int = 1000, seed: int = 0, groups: Sequence[str] | None = None
) -> dict[str, dict[str, float]]:
    """Return each metric with its 95 % percentile interval over resampled examples (Efron and Tibshirani 1993).

    Args:
        score: metrics of the examples with the given indices.
        count: number of examples, N.
        resamples: number of resamples of size N, with replacement.
        seed: random seed.
        groups: group of each dependent example (windows of one series, sentences of one speaker): full groups are
            resampled. None resamples single examples.

    Returns:
        name -> ``value``, ``low``, ``high``; resamples with an undefined metric (NaN) are ignored.
    """
    random = np.random.default_rng(seed)
    resample = _resampler(random, count, groups)
    sampled = [score(resample()) for _ in range(resamples if count > 1 else 0)]
    table = {}
    for name, value in score(np.arange(count)).items():
        sample = np.array([row[name] for row in sampled] or [value])
        sample = sample[np.isfinite(sample)]
        low, high = np.percentile(sample, [2.5, 97.5]) if len(sample) else (value, value)
        table[name] = {"value": float(value), "low": float(low), "high": float(high)}
    return table


def paired_bootstrap(
    first: Scorer, second: Scorer, count: int, resamples: int = 1000, seed: int = 0, groups: Sequence[str] | None = None
) -> dict[str, dict[str, float]]:
    """Compare two systems on the same examples (Koehn 2004): ``first - second`` with its interval.

    Returns:
        name -> ``difference``, ``low``, ``high`` and ``p_value``, twice the smaller share of resamples on one side.
        Resamples with an undefined difference (NaN) are ignored; if all are, the p-value is NaN.
    """
    random = np.random.default_rng(seed)
    resample = _resampler(random, count, groups)
    differences: dict[str, list[float]] = {}
    for _ in range(resamples):
        indices = resample()
        a, b = first(indices), second(indices)
        for name in a:
            differences.setdefault(name, []).append(a[name] - b[name])
    everything = np.arange(count)
    a, b = first(everything), second(everything)
    table = {}
    for name, values in differences.items():
        sample = np.array(values)
        sample = sample[np.isfinite(sample)]
        difference = float(a[name] - b[name])
        low, high, p_value = difference, difference, float("nan")
        if len(sample):
            low, high = np.percentile(sample, [2.5, 97.5])
            p_value = min(1.0, 2 * float(min(np.mean(sample <= 0), np.mean(sample >= 0))))
        table[name] = {"difference": difference, "low": float(low), "high": float(high), "p_value": p_value}
    return table


def _resampler(random: np.random.Generator, count: int, groups: Sequence[str] | None) -> Callable[[], np.ndarray]:
    """Return a function that samples example indices, int64 [N'], N' = N without groups."""
    if groups is None:
        return lambda: random.integers(0, count, count)
    names = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    of_each = np.array([names[name] for name in groups])
    members = [np.flatnonzero(of_each == number) for number in range(len(names))]
    return lambda: np.concatenate([members[i] for i in random.integers(0, len(members), len(members))])
