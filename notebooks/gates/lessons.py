"""Teaching data: the adding problem, and sentences with shuffled words."""

import random

import numpy as np


def adding_problem(count: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Generate sequences of T numbers with two marked ones; the target is the sum of these two.

    Hochreiter and Schmidhuber (1997), experiment 4, with the fixed length of Le et al. (2015, arXiv 1504.00941): one
    mark is in the first half, the other in the second, so the first number is 3/4 T steps old on average. The constant
    prediction 1 has a mean squared error of 1/6.

    Args:
        count: B.
        steps: T, at least 2.
        seed: equal arguments give equal sequences.

    Returns:
        float32 [B, T, 2], a number uniform in [0, 1) and its mark (0 or 1) at each step; float32 [B], the sums.

    Raises:
        ValueError: ``steps`` is below 2.
    """
    if steps < 2:
        raise ValueError(f"adding_problem: expected at least 2 steps, came {steps}")
    draw = np.random.default_rng(seed)
    numbers = draw.random((count, steps), dtype=np.float32)
    marks = np.zeros_like(numbers)
    rows = np.arange(count)
    marks[rows, draw.integers(0, steps // 2, count)] = 1
    marks[rows, draw.integers(steps // 2, steps, count)] = 1
    return np.stack([numbers, marks], axis=-1), (numbers * marks).sum(axis=1)


def shuffled_words(text: str, seed: int = 0) -> str:
    """Shuffle the words of ``text``; word counts do not change."""
    words = text.split()
    random.Random(f"{seed} {text}").shuffle(words)
    return " ".join(words)
