import itertools
import math

import numpy as np
import pytest

from pipelines.search.fusion import SymbolFusion, WordFusion, prefix_beam
from pipelines.search.ngram import BEGIN, END, characters, estimate, words

SYMBOLS = ["", " ", "a", "b"]


def log_probs(frames, symbols, seed):
    scores = np.random.default_rng(seed).normal(scale=2, size=(frames, symbols))
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


def collapse(path):
    kept = [symbol for symbol, _ in itertools.groupby(path)]
    return tuple(symbol for symbol in kept if symbol != 0)


def every_transcript(values):
    """log p of each transcript: the sum over all paths that collapse to it."""
    found = {}
    for path in itertools.product(range(values.shape[1]), repeat=len(values)):
        score = sum(values[time, symbol] for time, symbol in enumerate(path))
        found[collapse(path)] = np.logaddexp(found.get(collapse(path), -np.inf), score)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_without_a_model_finds_the_exact_probabilities(seed):
    values = log_probs(5, 3, seed)
    exact = every_transcript(values)
    found = prefix_beam(values, width=1000, unlikely=-math.inf)
    assert {hypothesis.tokens: pytest.approx(hypothesis.score) for hypothesis in found} == exact
    assert found[0].tokens == max(exact, key=exact.get)


def word_score(model, text, alpha, beta):
    """The definition on the finished text."""
    spoken = text.split()
    return alpha * model.sentence(spoken) + beta * len(spoken)


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_with_words_ranks_by_the_definition(seed):
    values = log_probs(5, 4, seed)
    model = estimate([words("a b"), words("ab a"), words("b")], 2)
    fusion = WordFusion(model, SYMBOLS, alpha=0.7, beta=0.4)
    found = prefix_beam(values, fusion, width=5000, unlikely=-math.inf)
    for tokens, acoustic in every_transcript(values).items():
        text = "".join(SYMBOLS[token] for token in tokens)
        hypothesis = next(h for h in found if h.tokens == tokens)
        assert hypothesis.acoustic == pytest.approx(acoustic)
        assert hypothesis.language == pytest.approx(word_score(model, text, 0.7, 0.4))
        assert hypothesis.score == pytest.approx(hypothesis.acoustic + hypothesis.language)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_a_model_of_symbols_scores_each_symbol(seed):
    values = log_probs(4, 4, seed)
    model = estimate([characters("ab a"), characters("ba")], 3)
    found = prefix_beam(values, SymbolFusion(model, SYMBOLS, alpha=0.5, beta=-0.2), width=1000, unlikely=-math.inf)
    for hypothesis in found:
        text = "".join(SYMBOLS[token] for token in hypothesis.tokens)
        expected = 0.5 * model.sentence(["<space>" if c == " " else c for c in text]) - 0.2 * len(text)
        assert hypothesis.language == pytest.approx(expected)


def test_the_model_decides_between_equal_sounds():
    """Frame 2 leaves a and b equally likely; only 'a b' has been read."""
    frames = np.full((5, 4), 0.01)
    for frame, symbol in enumerate([2, 0, 1, 0, 3]):
        frames[frame, symbol] = 0.97
    frames[0] = [0.02, 0.0001, 0.4899, 0.49]
    values = np.log(frames)
    model = estimate([words("a b")] * 3 + [words("b a")], 2)
    assert prefix_beam(values)[0].tokens == (3, 1, 3)
    assert prefix_beam(values, WordFusion(model, SYMBOLS, alpha=1.0))[0].tokens == (2, 1, 3)


def test_the_beam_keeps_its_width_and_passes_over_the_unlikely():
    values = log_probs(8, 4, 1)
    assert len(prefix_beam(values, width=3)) == 3
    certain = np.log(np.array([[0.01, 0.0, 0.99, 0.0]] * 3) + 1e-9)
    assert prefix_beam(certain)[0].tokens == (2,)
    assert prefix_beam(np.zeros((0, 4)))[0].tokens == ()


def test_states_follow_the_words():
    model = estimate([words("ab b")], 2)
    fusion = WordFusion(model, SYMBOLS, 1.0, 0.0)
    state, gained = fusion.start(), 0.0
    for token in (2, 3, 1, 1, 3):
        state, more = fusion.extend(state, token)
        gained += more
    assert gained == pytest.approx(model.log((BEGIN,), "ab"))
    assert fusion.finish(state) == pytest.approx(model.log(("ab",), "b") + model.log(("b",), END))


@pytest.mark.parametrize(
    ("shape", "width", "reason"), [((3,), 4, "shape"), ((3, 1), 4, "V >= 2"), ((3, 4), 0, "width")]
)
def test_wrong_requests_are_refused(shape, width, reason):
    with pytest.raises(ValueError, match=reason):
        prefix_beam(np.zeros(shape), width=width)
