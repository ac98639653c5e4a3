"""A layer learns to add over a few steps; over hundreds in the slow tests, where a plain network cannot."""

import pytest
from gates.adding import CHANCE, SOLVED, learn_adding

from models.recurrent import SimpleRNN, portable


def test_a_few_steps_are_learned_and_the_course_is_kept():
    with portable():
        learned = learn_adding("simple", steps=2, updates=60, units=8, rate=0.01)
    assert type(learned.layer) is SimpleRNN
    assert learned.updates == [50, 60] and len(learned.errors) == 2
    assert learned.best == min(learned.errors) < 0.5 * CHANCE


def test_an_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="expected one of lstm, gru, simple, mingru, minlstm, rglru, got 'tcn'"):
        learn_adding("tcn", 10)


@pytest.mark.slow
def test_gates_reach_over_a_hundred_steps_and_a_plain_network_does_not():
    assert learn_adding("gru", 100).best < SOLVED
    assert learn_adding("lstm", 100).best < SOLVED
    assert learn_adding("simple", 100).best > 0.8 * CHANCE
