"""First values for an embedding out of the training text alone: which pieces occur near which.

Positive pointwise mutual information of neighbouring pieces, factorised: what word2vec does implicitly (Levy and
Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization"; the smoothing and the square root of the
spectrum from Levy, Goldberg and Dagan 2015). A rare piece begins near pieces that are used alike.
"""

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

SMOOTHING = 0.75
"""Power of the context frequencies, which keeps rare contexts from dominating."""
BLOCK = 2**21
"""Pieces that are counted together, which bounds the memory that takes."""


def cooccurrence_vectors(
    ids: np.ndarray, row_splits: np.ndarray, vocabulary_size: int, size: int, window: int = 5, seed: int = 0
) -> np.ndarray:
    """Return vectors for all pieces.

    Args:
        ids: int [N], the pieces of all texts one after another.
        row_splits: int [B + 1], where each text begins and the last ends.
        vocabulary_size: V.
        size: D, width of the vectors; at most V - 1.
        window: how far apart two pieces still count as neighbours, in pieces; a pair at distance d counts 1 / d.
        seed: of the randomised factorisation (Halko et al. 2011).

    Returns:
        float32 [V, D] with a standard deviation of 1 over all entries; zero rows for pieces without neighbours.

    Raises:
        ValueError: ``size`` does not fit ``vocabulary_size``.
    """
    if not 0 < size < vocabulary_size:
        raise ValueError(f"size must be between 1 and {vocabulary_size - 1}, got {size}")
    counts = neighbour_counts(ids, row_splits, vocabulary_size, window)
    left, spectrum, _ = randomized_svd(
        positive_information(counts), size, n_iter=2, n_oversamples=16, random_state=seed
    )
    vectors = (left * np.sqrt(spectrum)).astype(np.float32)
    return vectors / max(float(vectors.std()), 1e-8)


def neighbour_counts(
    ids: np.ndarray, row_splits: np.ndarray, vocabulary_size: int, window: int, block: int = BLOCK
) -> sparse.csr_matrix:
    """Count pairs of pieces within ``window`` in the same text, weighted by 1 / distance: symmetric [V, V].

    ``ids`` may be mapped from a file: texts of some ``block`` pieces together are in memory at a time.
    """
    total = sparse.csr_matrix((vocabulary_size, vocabulary_size), dtype=np.float32)
    first = 0
    while first < len(row_splits) - 1:
        last = max(first + 1, int(np.searchsorted(row_splits, row_splits[first] + block, side="right")) - 1)
        splits = np.asarray(row_splits[first : last + 1])
        pieces = np.asarray(ids[splits[0] : splits[-1]])
        total = total + _pairs(pieces, splits - splits[0], vocabulary_size, window)
        first = last
    return (total + total.T).tocsr()


def _pairs(ids: np.ndarray, row_splits: np.ndarray, vocabulary_size: int, window: int) -> sparse.csr_matrix:
    """Count the pairs of one block, each with the earlier piece first: [V, V]."""
    owner = np.repeat(np.arange(len(row_splits) - 1), np.diff(row_splits))
    total = sparse.csr_matrix((vocabulary_size, vocabulary_size), dtype=np.float32)
    for distance in range(1, min(window, len(ids) - 1) + 1):
        same = owner[distance:] == owner[:-distance]
        first, second = ids[:-distance][same], ids[distance:][same]
        weights = np.full(len(first), 1.0 / distance, np.float32)
        total = total + sparse.csr_matrix((weights, (first, second)), shape=total.shape)
    return total


def positive_information(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return max(0, log p(a, b) / (p(a) p(b)^0.75 normalised)) for every pair that occurs, sparse [V, V]."""
    pairs = counts.tocoo()
    row = np.asarray(counts.sum(axis=1)).ravel()
    context = row**SMOOTHING
    expected = row[pairs.row] / row.sum() * context[pairs.col] / context.sum()
    information = np.maximum(np.log(pairs.data / row.sum() / expected), 0).astype(np.float32)
    kept = information > 0
    return sparse.csr_matrix((information[kept], (pairs.row[kept], pairs.col[kept])), shape=counts.shape)
