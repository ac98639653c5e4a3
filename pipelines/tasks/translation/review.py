"""Sentence pairs as validation looks at them: what training leaves out, and sides that seem to be exchanged."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from pipelines.data.source import Example, Source
from pipelines.data.validate import Facets
from pipelines.tasks.translation.data import refused

LEARNED = 50_000
"""Pairs of train from which the two languages are told apart."""
SURE = 3.0
"""Least evidence on either side, a logarithm of odds: e^3 is 20 to 1."""


class Languages:
    """The runs of three characters that are usual on either side, as in Cavnar and Trenkle 1994.

    The evidence for the source's language in a text is the sum over its runs of log p(run | source side) minus
    log p(run | target side), add-one smoothed.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        for pair in pairs:
            for counter, text in zip(counts, pair, strict=True):
                counter.update(_runs(text))
        every = counts[0].keys() | counts[1].keys()
        sums = [counter.total() + len(every) for counter in counts]
        base = math.log(sums[1] / sums[0]) if every else 0.0
        self.evidence = {run: base + math.log((counts[0][run] + 1) / (counts[1][run] + 1)) for run in every}

    def of(self, text: str) -> float:
        """Evidence that a text is in the language of the source; below 0 for that of the target."""
        return sum(self.evidence.get(run, 0.0) for run in _runs(text))

    def exchanged(self, source: str, target: str) -> bool:
        """Say whether both sides speak the language of the other."""
        return self.of(source) < -SURE and self.of(target) > SURE


def _runs(text: str) -> list[str]:
    text = f" {' '.join(text.casefold().split())} "
    return [text[i : i + 3] for i in range(len(text) - 2)]


def viewer(source: Source) -> Callable[[Example], Facets]:
    """Return how validation views the pairs of ``source``: it has read the beginning of train."""
    pairs: Iterable[Any] = ()
    if source.has("train"):
        pairs = (e for e in source.read("train", lambda problem: None) if not refused(e))
    learned = itertools.islice(pairs, LEARNED)
    return partial(facets, Languages((e["source"], e["target"]) for e in learned))


def facets(languages: Languages, example: Example) -> Facets:
    """View a pair: both texts, why training would leave it out, and whether its sides seem to be exchanged."""
    reason, source, target = refused(example), example["source"], example["target"]
    if reason and not (isinstance(source, str) and isinstance(target, str)):
        return Facets({}, problem=reason)
    exchanged = not reason and languages.exchanged(source, target)
    notes = ("source and target seem to be exchanged",) if exchanged else ()
    return Facets({"source": source, "target": target}, unlearned=reason, notes=notes)
