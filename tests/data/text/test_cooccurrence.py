"""First embeddings from neighbours: counts by brute force, the factorisation by NumPy, the meaning by eye."""

import numpy as np
import pytest

from pipelines.data.text.cooccurrence import cooccurrence_vectors, neighbour_counts, positive_information

TEXTS = [[1, 2, 3, 1], [2], [4, 1], [3, 3, 3]]


def flat(texts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate(texts), np.cumsum([0, *map(len, texts)])


def brute_counts(texts: list[list[int]], size: int, window: int) -> np.ndarray:
    counts = np.zeros((size, size))
    for text in texts:
        for i, a in enumerate(text):
            for j, b in enumerate(text):
                if i != j and abs(i - j) <= window:
                    counts[a, b] += 1 / abs(i - j)
    return counts


@pytest.mark.parametrize("window", [1, 2, 5])
@pytest.mark.parametrize("block", [1, 3, 5, 100])
def test_counts_stay_inside_a_text(window: int, block: int) -> None:
    counts = neighbour_counts(*flat(TEXTS), vocabulary_size=6, window=window, block=block).toarray()
    np.testing.assert_allclose(counts, brute_counts(TEXTS, 6, window), rtol=1e-6)


def test_information_follows_its_formula() -> None:
    counts = brute_counts(TEXTS, 5, 5)
    made = positive_information(neighbour_counts(*flat(TEXTS), vocabulary_size=5, window=5)).toarray()
    p = counts / counts.sum()
    context = counts.sum(1) ** 0.75 / (counts.sum(1) ** 0.75).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(p / (p.sum(1)[:, None] * context[None, :]))
    np.testing.assert_allclose(made, np.where(counts > 0, np.maximum(expected, 0), 0), rtol=1e-5)


def test_pieces_used_alike_begin_alike() -> None:
    random = np.random.default_rng(0)
    # 1 and 2 stand beside 10..14, 3 and 4 beside 15..19
    texts = [[int(random.choice([1, 2])), *random.integers(10, 15, 3)] for _ in range(300)]
    texts += [[int(random.choice([3, 4])), *random.integers(15, 20, 3)] for _ in range(300)]
    vectors = cooccurrence_vectors(*flat(texts), vocabulary_size=30, size=8)
    assert vectors.dtype == np.float32
    assert vectors.std() == pytest.approx(1, rel=1e-4)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    assert unit[1] @ unit[2] > 0.8 and unit[3] @ unit[4] > 0.8
    assert abs(unit[1] @ unit[3]) < 0.3
    assert not vectors[25].any()
    np.testing.assert_array_equal(vectors, cooccurrence_vectors(*flat(texts), vocabulary_size=30, size=8))


def test_a_width_beyond_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be between 1 and 29, got 30"):
        cooccurrence_vectors(*flat(TEXTS), vocabulary_size=30, size=30)
