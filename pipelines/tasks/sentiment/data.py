"""Sentiment analysis, the way from texts to ids: vocabulary, label names, and encoding."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.data.batching import Encoded
from pipelines.data.labels import need_classes, shown
from pipelines.data.source import Example
from pipelines.data.text.learning import learn_vocabulary
from pipelines.data.text.vocabulary import SubwordVocabulary, ensure_min_length, normalise, truncate
from pipelines.data.validate import Facets, usual_facets
from pipelines.tasks.sentiment.config import Config

CHUNK = 512
"""Examples that are segmented together."""
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0+)?")  # of thousands of digits int() makes no number


class Preprocessor(tf.Module):
    """Vocabulary, and each label with its number of training examples; text to ids in graph."""

    FILES = ("vocabulary.txt", "labels.json")

    def __init__(self, vocabulary: SubwordVocabulary, labels: Mapping[str, int], config: Config) -> None:
        super().__init__()
        self.vocabulary, self.config = vocabulary, config
        self.labels, self.counts = tuple(labels), tuple(labels.values())

    def save(self, folder: Path) -> None:
        """Write ``FILES``."""
        self.vocabulary.save(folder / "vocabulary.txt")
        (folder / "labels.json").write_text(
            json.dumps(dict(zip(self.labels, self.counts, strict=True)), ensure_ascii=False) + "\n", "utf-8"
        )

    def ids(self, texts: Any) -> tf.RaggedTensor:
        """Segment tf.string [B] into int32 [B, (T)], 1 <= T <= max_tokens."""
        c = self.config
        ids = self.vocabulary.encode(normalise(texts, c.lowercase, c.markup))
        return ensure_min_length(truncate(ids, c.max_tokens, c.keep))


def fit_preprocessor(config: Config, examples: Iterable[Example]) -> Preprocessor:
    """Learn the subword pieces and the set of labels from the training examples.

    Raises:
        ValueError: fewer than two labels.
    """
    raw: Counter[str] = Counter()

    pieces = learn_vocabulary(
        _counted(examples, raw, config),
        config.vocabulary_size,
        config.lowercase,
        markup=config.markup,
        kind=config.pieces,
    )
    return Preprocessor(SubwordVocabulary(pieces), _labels(raw, config.labels), config)


def adopt(config: Config, other: Preprocessor, examples: Iterable[Example]) -> Preprocessor:
    """Take over the pieces of another run and learn the labels from the training examples.

    The order of the labels is the other run's when they are the same.

    Raises:
        ValueError: fewer than two labels.
    """
    raw: Counter[str] = Counter()
    for _ in _counted(examples, raw, config):
        pass
    counts = _labels(raw, config.labels)
    same = set(counts) == set(other.labels)
    return Preprocessor(other.vocabulary, {name: counts[name] for name in (other.labels if same else counts)}, config)


def _counted(examples: Iterable[Example], raw: Counter[str], config: Config) -> Iterator[str]:
    """Stream the texts of the examples that can be used, and count their labels: what is skipped makes no class."""
    for example in examples:
        if not _textless(example):
            raw[_given(example["label"], config.labels)] += 1
            yield example["text"]


def _labels(counts: Counter[str], names: tuple[str, ...]) -> dict[str, int]:
    """Name and sort the labels; raise ValueError for fewer than two.

    Without ``names``, 0 and 1 have theirs where they are the only numbers: the 1 of one to five stars is not positive.
    """
    del counts[""]
    if not names and {label for label in counts if _WHOLE.fullmatch(label)} <= {"0", "1"}:
        named: Counter[str] = Counter()
        for label, count in counts.items():
            named[label_name(label)] += count
        counts = named
    need_classes(counts)
    return dict(sorted(counts.items()))


def load_preprocessor(config: Config, folder: Path) -> Preprocessor:
    """Read back what ``save`` wrote.

    Raises:
        ValueError: a file does not hold what ``save`` writes; names it.
    """
    labels = json.loads((folder / "labels.json").read_text("utf-8"))
    if not isinstance(labels, dict) or len(labels) < 2:
        raise ValueError(f"{folder / 'labels.json'}: expected an object of at least two labels and their counts")
    return Preprocessor(SubwordVocabulary.load(folder / "vocabulary.txt"), labels, config)


def _plain(label: Any) -> str:
    if label is None or (isinstance(label, float | np.floating) and np.isnan(label)):
        return ""
    whole = isinstance(label, bool) or (isinstance(label, float) and label.is_integer())
    plain = str(int(label)) if whole else str(label).strip()
    return plain.split(".")[0] if _WHOLE.fullmatch(plain) else plain


def label_name(label: Any, names: tuple[str, ...] = ()) -> str:
    """Return the name of a label, empty where there is none.

    Integers (``1.0`` is one) are looked up in ``names``, and one beyond them has no name; without names 0 is negative,
    1 positive, and any other its own name. None and NaN are no label.
    """
    plain = _plain(label)
    known = names or ("negative", "positive")
    if not _WHOLE.fullmatch(plain):
        return plain
    if plain.isdecimal() and int(plain) < len(known):
        return known[int(plain)]
    return "" if names else plain


def _given(label: Any, names: tuple[str, ...]) -> str:
    """Return the name of a label, for which a number stands as it is where there are no ``names``."""
    return label_name(label, names) if names else _plain(label)


def known_name(label: Any, names: tuple[str, ...], known: Iterable[str]) -> str:
    """Return the name of a label out of those that a run has learned, ``known``; see `label_name` for any other."""
    plain = _plain(label)
    return plain if not names and plain in known else label_name(label, names)


def encode(
    preprocessor: Preprocessor,
    config: Config,
    examples: Iterable[Example],
    labelled: bool = True,
    keep_raw: bool = True,
) -> Encoded:
    """Segment examples once, ``CHUNK`` at a time; drop those without text or with an unknown label, by name."""
    index = {name: i for i, name in enumerate(preprocessor.labels)}
    kept: list[Example] = []
    dropped: list[str] = []
    labels: list[int] = []
    ids: list[tf.RaggedTensor] = []
    source = iter(examples)
    while chunk := list(itertools.islice(source, CHUNK)):
        good: list[Example] = []
        for example in chunk:
            reason = _unusable(example, index, config) if labelled else ""
            if reason:
                dropped.append(f"{example['where']}: {reason}")
                continue
            good.append(example)
            labels += [index[known_name(example["label"], config.labels, index)]] if labelled else []
        ids += [preprocessor.ids(tf.constant([str(example["text"]) for example in good]))] if good else []
        kept += good if keep_raw else [{"id": e["id"], "where": e["where"]} for e in good]
    tokens = tf.concat(ids, axis=0) if ids else tf.RaggedTensor.from_row_splits(tf.zeros([0], tf.int32), [0])
    lengths = tf.cast(tokens.row_lengths(), tf.int32)
    y = {"label": tf.constant(labels, tf.int32)} if labelled else {}
    if labelled and config.class_weights:
        balanced = sum(preprocessor.counts) / len(preprocessor.counts) / np.array(preprocessor.counts, np.float32)
        y["weight"] = tf.gather(tf.constant(balanced, tf.float32), y["label"])
    return Encoded({"tokens": tokens, "lengths": lengths}, y, lengths.numpy(), kept, dropped)


def _textless(example: Example) -> str:
    text = example["text"]
    return "" if isinstance(text, str) and text.strip() else f"the text is empty or no text ({text!r})"


def _unusable(example: Example, index: Mapping[str, int], config: Config) -> str:
    if reason := _textless(example):
        return reason
    name = known_name(example["label"], config.labels, index)
    return "" if name in index else _unknown(example["label"], name, index)


def _unknown(label: Any, name: str, names: Iterable[str]) -> str:
    own = name or _plain(label)
    return f"unknown label {own!r}; the labels are {shown(names)}" if own else "the label is empty"


def facets(config: Config, example: Example) -> Facets:
    """View an example as validation does: its text, and its label, a number as it stands unless it is given a name."""
    seen = usual_facets({"text": example["text"]})
    label = _given(example["label"], config.labels)
    problem = "" if label else _unknown(example["label"], label, config.labels)
    return replace(seen, label=label, problem=seen.problem or problem)
