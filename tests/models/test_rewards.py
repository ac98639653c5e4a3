"""Rewards against their definition, written with lists and counters."""

from collections import Counter

import numpy as np
import tensorflow as tf

from models.losses import CODES, cider_d, codes, document_frequencies, sentence_bleu
from pipelines.metrics import captions as caption_metrics


def by_counting(answer: list[int], references: list[list[int]]) -> float:
    """The definition with lists and counters."""
    if not answer:
        return 0.0
    logarithms = []
    for n in range(1, 5):
        count = lambda row, n=n: Counter(tuple(row[i : i + n]) for i in range(len(row) - n + 1))  # noqa: E731
        own = count(answer)
        most: Counter = Counter()
        for reference in references:
            most |= count(reference)
        matches, grams = sum((own & most).values()), max(len(answer) - n + 1, 0)
        smoothing = int(n > 1)
        share = (matches + smoothing) / max(grams + smoothing, 1)
        logarithms.append(np.log(max(share, 1e-9)))
    length = np.mean([len(r) for r in references])
    return float(np.exp(np.mean(logarithms) + min(0.0, 1 - length / len(answer))))


def padded(rows: list[list[int]], width: int) -> list[list[int]]:
    return [row + [0] * (width - len(row)) for row in rows]


def test_equals_counting_on_random_sentences_with_repeats() -> None:
    random = np.random.default_rng(0)
    draw = lambda low: [int(t) for t in random.integers(1, 5, random.integers(low, 12))]  # noqa: E731
    answers = [[draw(0) for _ in range(3)] for _ in range(40)]
    references = [[draw(1) for _ in range(random.integers(1, 4))] for _ in range(40)]
    answers[0] = references[0][:1] * 3
    tensors = (
        tf.constant([padded(group, 13) for group in answers]),
        tf.constant([padded(group + [[]] * (3 - len(group)), 12) for group in references]),
    )
    expected = [[by_counting(a, group) for a in three] for three, group in zip(answers, references, strict=True)]
    assert 0.0 < np.mean(expected) < 1.0
    for function in (sentence_bleu, tf.function(sentence_bleu, jit_compile=True)):
        np.testing.assert_allclose(function(*tensors), expected, rtol=1e-5, atol=1e-7)


def test_longer_padding_changes_nothing() -> None:
    short = tf.constant([[[3, 4, 5], [3, 0, 0]]]), tf.constant([[[3, 4, 4, 5]]])
    long = tuple(tf.pad(part, [[0, 0], [0, 0], [0, 5]]) for part in short)
    np.testing.assert_allclose(sentence_bleu(*short), sentence_bleu(*long), rtol=1e-6)


def test_cider_d_is_that_of_the_caption_metrics() -> None:
    random = np.random.default_rng(1)
    draw = lambda low: [int(t) for t in random.integers(1, 6, random.integers(low, 11))]  # noqa: E731
    answers = [draw(1) for _ in range(30)]
    references = [[draw(1) for _ in range(random.integers(1, 4))] for _ in range(30)]
    counts = lambda row: caption_metrics.ngrams([str(t) for t in row])  # noqa: E731
    expected = caption_metrics.cider_d([counts(a) for a in answers], [[counts(r) for r in g] for g in references])
    group = tf.constant([padded(group + [[]] * (3 - len(group)), 12) for group in references])
    frequencies = document_frequencies(group.numpy())
    given = tf.constant(padded(answers, 11))[:, None]
    for function in (cider_d, tf.function(cider_d)):
        np.testing.assert_allclose(10 * function(given, group, frequencies)[:, 0], expected, rtol=1e-4, atol=1e-6)
    assert np.std(expected) > 0.1


def test_codes_tell_runs_apart() -> None:
    tokens = np.random.default_rng(2).integers(1, 4000, (1, 3000))
    for order in (1, 2, 3, 4):
        found = np.asarray(codes(tokens, order))[0]
        runs = {tuple(tokens[0, i : i + order]) for i in range(len(found))}
        assert 0 <= found.min() and found.max() < CODES
        assert len(runs) - 15 < len(set(found.tolist())) <= len(runs)
