"""Teaching data: what is asked can be told from what is shown, and from nothing less."""

import numpy as np
import pytest
from gates.lessons import adding_problem, shuffled_words


@pytest.mark.parametrize("steps", [2, 3, 11])
def test_two_marks_one_in_each_half_and_their_sum(steps):
    x, y = adding_problem(200, steps, seed=1)
    assert x.shape == (200, steps, 2) and x.dtype == y.dtype == np.float32
    numbers, marks = x[..., 0], x[..., 1]
    assert ((numbers >= 0) & (numbers < 1)).all() and set(marks.ravel()) <= {0, 1}
    first, second = marks[:, : steps // 2], marks[:, steps // 2 :]
    assert (first.sum(1) == 1).all() and (second.sum(1) == 1).all()
    for row in range(200):
        assert y[row] == pytest.approx(sum(numbers[row, t] for t in range(steps) if marks[row, t]))
    assert (first.sum(0) > 0).all() and (second.sum(0) > 0).all()


def test_answering_one_has_the_error_that_is_named():
    _, y = adding_problem(20000, 10, seed=2)
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.03)


def test_a_seed_repeats_and_another_differs():
    one, same, other = (adding_problem(5, 10, seed)[0] for seed in (3, 3, 4))
    assert (one == same).all() and (one != other).any()
    with pytest.raises(ValueError, match="at least 2 steps, came 1"):
        adding_problem(5, 1, 0)


def test_shuffled_words_are_the_same_words():
    text = "The plot was dull, but the ending was wonderful to my mind."
    shuffled = shuffled_words(text)
    assert sorted(shuffled.split()) == sorted(text.split()) and shuffled != text
    assert shuffled == shuffled_words(text) and shuffled != shuffled_words(text, seed=1)
    assert shuffled_words("") == ""
