"""Sentiment analysis, from texts to ids: the vocabulary and the labels."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import tensorflow as tf

from pipelines.data.labels import classes, given_name, unknown_label
from pipelines.data.source import Example
from pipelines.data.text.learning import learn_vocabulary
from pipelines.data.text.vocabulary import SubwordVocabulary, ensure_min_length, normalise, truncate
from pipelines.data.validate import Facets, usual_facets
from pipelines.recipes.classify import counted
from pipelines.tasks.sentiment.config import Config

CHUNK = 512
"""Examples that are segmented together."""


class Preprocessor(tf.Module):
    """Vocabulary, and each label with its number of training examples; text to ids in graph."""

    FILES: ClassVar[tuple[str, ...]] = ("vocabulary.txt", "labels.json")

    def __init__(self, vocabulary: SubwordVocabulary, labels: Mapping[str, int], config: Config) -> None:
        super().__init__()
        self.vocabulary, self.config = vocabulary, config
        self.labels, self.counts = tuple(labels), tuple(labels.values())

    @classmethod
    def fit(cls, config: Config, examples: Iterable[Example]) -> Self:
        """Learn the subword pieces and the set of labels from the training examples.

        Raises:
            ValueError: fewer than two labels.
        """
        counts: Counter[str] = Counter()
        usable = counted(examples, counts, config.labels, textless)
        pieces = learn_vocabulary(
            (example["text"] for example in usable),
            config.vocabulary_size,
            config.lowercase,
            markup=config.strip_html,
            kind=config.pieces,
        )
        return cls(SubwordVocabulary(pieces), classes(counts, config.labels), config)

    @classmethod
    def adopt(cls, config: Config, other: "Preprocessor", examples: Iterable[Example]) -> Self:
        """Take over the pieces of another run and learn the labels from the training examples.

        The order of the labels is the other run's when they are the same.

        Raises:
            ValueError: fewer than two labels.
        """
        raw: Counter[str] = Counter()
        for _ in counted(examples, raw, config.labels, textless):
            pass
        counts = classes(raw, config.labels)
        names = other.labels if set(counts) == set(other.labels) else counts
        return cls(other.vocabulary, {name: counts[name] for name in names}, config)

    @classmethod
    def load(cls, config: Config, folder: Path) -> Self:
        """Read back what ``save`` wrote.

        Raises:
            ValueError: a file does not hold what ``save`` writes; names it.
        """
        labels = json.loads((folder / "labels.json").read_text("utf-8"))
        if not isinstance(labels, dict) or len(labels) < 2:
            raise ValueError(f"{folder / 'labels.json'}: expected an object of at least two labels and their counts")
        return cls(SubwordVocabulary.load(folder / "vocabulary.txt"), labels, config)

    def save(self, folder: Path) -> None:
        """Write ``FILES``."""
        self.vocabulary.save(folder / "vocabulary.txt")
        (folder / "labels.json").write_text(
            json.dumps(dict(zip(self.labels, self.counts, strict=True)), ensure_ascii=False) + "\n", "utf-8"
        )

    def ids(self, texts: Any) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """Segment tf.string [B] into int32 [B, (T)], 1 <= T <= max_tokens; int32 [B] counts all pieces of each text."""
        c = self.config
        ids = self.vocabulary.encode(normalise(texts, c.lowercase, c.strip_html))
        return ensure_min_length(truncate(ids, c.max_tokens, c.truncate)), tf.cast(ids.row_lengths(), tf.int32)


def textless(example: Example) -> str:
    """Say that an example has no text; empty when it has."""
    text = example["text"]
    return "" if isinstance(text, str) and text.strip() else f"the text is empty or no text ({text!r})"


def facets(config: Config, example: Example) -> Facets:
    """View an example as validation does: its text, and its label, a number as it stands unless it is given a name."""
    seen = usual_facets({"text": example["text"]})
    label = given_name(example["label"], config.labels)
    problem = "" if label else unknown_label(example["label"], label, config.labels)
    return replace(seen, label=label, problem=seen.problem or problem)
