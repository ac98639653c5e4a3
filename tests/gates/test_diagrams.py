"""Drawings for teaching: patterns are read off the networks, curves hold the numbers they were given."""

import numpy as np
import pytest
from gates import diagrams

from pipelines import load_task
from pipelines.explain import plots

PATTERNS = {
    "captioning": (False, True, True, "picture [B, 48, 48, 3]"),
    "sentiment": (True, False, False, "tokens [B, T]"),
    "speech": (True, True, False, "audio [B, T]"),
    "translation": (True, True, True, "source [B, T]"),
}


@pytest.fixture(scope="module")
def patterns():
    return [diagrams.pattern_of(diagrams.untrained(load_task(name), units=4)) for name in PATTERNS]


def test_patterns_of_the_tasks(patterns):
    for pattern, (name, expected) in zip(patterns, PATTERNS.items(), strict=True):
        found = (pattern.many_in, pattern.many_out, pattern.feeds_back, pattern.reads)
        assert (pattern.name, *found) == (name, *expected)
    assert [pattern.kind for pattern in patterns[:3]] == ["one to many", "many to one", "many to many"]
    assert patterns[1].writes == "logits [B, 2]" and patterns[2].writes.startswith("logits [B, T, ")


def test_unrolled_draws_a_state_a_step(patterns):
    figure = diagrams.unrolled(patterns)
    states = [sum(text.get_text() == "h" for text in panel.texts) for panel in figure.axes]
    inputs = [sum(text.get_text().startswith("x") for text in panel.texts) for panel in figure.axes]
    outputs = [sum(text.get_text().startswith("y") for text in panel.texts) for panel in figure.axes]
    assert (states, inputs, outputs) == ([4, 4, 4, 8], [1, 4, 4, 4], [4, 1, 4, 4])
    assert plots.png(figure).startswith(b"\x89PNG")


def test_curves_hold_their_numbers():
    named = {"one": ([1, 2, 3], [3, 2, 1]), "two": (np.arange(1, 50), np.ones(49))}
    figure = diagrams.curves(named, ("x", "y"), logarithmic="y", levels={"chance": 0.5}, title="$")
    (panel,) = figure.axes
    assert [line.get_label() for line in panel.lines] == ["one", "two", "chance"]
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), [3, 2, 1])
    assert (panel.get_xscale(), panel.get_yscale(), panel.get_xlabel()) == ("linear", "log", "x")
    assert panel.lines[2].get_ydata()[0] == 0.5 and plots.png(figure)
    assert diagrams.curves(named, ("x", "y"), panel=panel) is figure
