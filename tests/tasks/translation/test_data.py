"""Learning the pieces of both languages: from pairs that come once, many, few or none."""

import pytest

from pipelines.tasks.translation.config import Config
from pipelines.tasks.translation.data import Preprocessor

PAIRS = [("the dog sees the cat.", "der Hund sieht die Katze."), ("the cat.", "die Katze."), ("dog", "Hund\nim Haus")]


def made(times):
    return [{"id": str(i), "where": f"x:{i}", "source": s, "target": t} for i, (s, t) in enumerate(PAIRS * times)]


@pytest.mark.parametrize("vocabulary", ["joint", "separate"])
def test_pairs_come_once_and_may_be_none(vocabulary):
    config = Config(vocabulary_size=300, vocabulary=vocabulary)
    many = [Preprocessor.fit(config, rows) for rows in (made(3), iter(made(3)))]
    none = Preprocessor.fit(config, iter([]))
    assert many[0].source.vocabulary == many[1].source.vocabulary != none.source.vocabulary
    assert many[0].target.vocabulary == many[1].target.vocabulary != none.target.vocabulary
    assert none.source.vocabulary == none.target.vocabulary
