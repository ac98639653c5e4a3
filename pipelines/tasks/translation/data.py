"""Translation, from sentence pairs to ids: the pieces of both languages, checks on pairs, augmentation."""

import itertools
import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, TextIO

import tensorflow as tf

from pipelines.data.batching import Batch, Transform
from pipelines.data.source import Example, Source
from pipelines.data.text.learning import learn_vocabulary
from pipelines.data.text.resegment import Resegmentation
from pipelines.data.text.vocabulary import EMPTY, EOS, SubwordVocabulary, ensure_min_length, normalise
from pipelines.data.validate import Facets
from pipelines.tasks.translation.config import Config

CHUNK = 512
COPIED_WORDS = 3  # up to so many words may be the same in both languages: names, numbers
COPIED_CHARACTERS = 30  # the same where no white space tells words apart: Chinese, Japanese, Thai
SHORT, EXTREME = 60, 9  # beyond so many characters, one side may be at most so many times as long as the other


class Preprocessor(tf.Module):
    """The pieces of both languages; text to ids and back in graph."""

    FILES: ClassVar[tuple[str, ...]] = ("source_vocabulary.txt", "target_vocabulary.txt")

    def __init__(self, source: SubwordVocabulary, target: SubwordVocabulary, config: Config) -> None:
        super().__init__()
        self.source, self.target, self.config = source, target, config

    @classmethod
    def fit(cls, config: Config, examples: Iterable[Example]) -> Self:
        """Learn the pieces from both sides together or from each side alone; no texts are kept in memory."""
        pairs = ((str(example["source"]), str(example["target"])) for example in examples)

        def learned(texts: Iterable[str]) -> SubwordVocabulary:
            return SubwordVocabulary(learn_vocabulary(texts, config.vocabulary_size, config.lowercase))

        if config.vocabulary == "joint":
            both = learned(itertools.chain.from_iterable(pairs))
            return cls(both, both, config)
        with tempfile.TemporaryFile("w+", encoding="utf-8") as targets:  # pairs are read once and may exceed memory
            source = learned(_aside(pairs, targets))
            targets.seek(0)
            return cls(source, learned(map(json.loads, targets)), config)

    @classmethod
    def load(cls, config: Config, folder: Path) -> Self:
        """Read back what ``save`` wrote."""
        source, target = (SubwordVocabulary.load(folder / name) for name in cls.FILES)
        return cls(source, target, config)

    @property
    def answers(self) -> SubwordVocabulary:
        """The vocabulary of the translations."""
        return self.target

    def save(self, folder: Path) -> None:
        """Write ``FILES``; with a joint vocabulary both hold the same."""
        self.source.save(folder / self.FILES[0])
        self.target.save(folder / self.FILES[1])

    def source_ids(self, texts: Any) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """Segment tf.string [B] into int32 [B, (S)], 1 <= S <= max_tokens; bool [B] tells which were cut."""
        ids = self.source.encode(normalise(texts, self.config.lowercase))
        return ensure_min_length(ids[:, : self.config.max_tokens]), ids.row_lengths() > self.config.max_tokens

    def target_ids(self, texts: Any) -> tf.RaggedTensor:
        """Segment tf.string [B] into int32 [B, (U)] that ends with EOS, U <= max_tokens.

        What is longer is cut without an EOS, so that the model does not learn to stop there.
        """
        ids = self.target.encode(normalise(texts, self.config.lowercase))
        end = tf.fill([ids.nrows(), 1], EOS)
        return tf.concat([ids, tf.RaggedTensor.from_tensor(end)], axis=1)[:, : self.config.max_tokens]


def _aside(pairs: Iterable[tuple[str, str]], targets: TextIO) -> Iterator[str]:
    """Stream the sources, and write the targets into a file, a JSON text a line."""
    for source, target in pairs:
        targets.write(json.dumps(target) + "\n")
        yield source


def joined(parts: list[tf.RaggedTensor]) -> tf.RaggedTensor:
    """Concatenate ragged rows [N, (T)]; of no parts, no rows."""
    return tf.concat(parts, axis=0) if parts else tf.RaggedTensor.from_row_splits(tf.zeros([0], tf.int32), [0])


def no_text(example: Example) -> str:
    """Say which side of a pair is no text at all, or nothing; an empty text is one."""
    for side in ("source", "target"):
        if not isinstance(example[side], str):
            return f"the {side} is no text ({example[side]!r:.40})"
    return ""


def refused(example: Example) -> str:
    """Say why a pair teaches nothing, or nothing: an empty side, a copy, lengths that cannot belong together."""
    reason = no_text(example)
    if reason:
        return reason
    source, target = (example[side].strip() for side in ("source", "target"))
    if not source or not target:
        return f"the {'target' if source else 'source'} is empty"
    if source == target and (len(source.split()) > COPIED_WORDS or len(source) > COPIED_CHARACTERS):
        return "the target is a copy of the source"
    short, long = sorted((len(source), len(target)))
    if long > SHORT and long > EXTREME * short:
        return f"the sides cannot belong together: {len(source)} and {len(target)} characters"
    return ""


def augmentation(config: Config, preprocessor: Preprocessor) -> Transform | None:
    """Return what draws segmentations anew (``segmentation_dropout``) and hides pieces; None where neither is on.

    ``word_dropout`` hides input pieces: in the source and in ``history``, the input of the decoder. The target stays
    complete. A hidden piece becomes the empty one. The network can then neither recognise a sentence by a single word
    nor continue it without the source (Gal and Ghahramani 2016, arXiv 1512.05287, section 4.2; Sennrich and Zhang
    2019, P19-1021, for little data).
    """
    if not config.segmentation_dropout and not config.word_dropout:
        return None
    share, most, growth = config.segmentation_dropout, config.max_tokens, config.bucket_growth
    vocabularies = (preprocessor.source, preprocessor.target) if share else ()
    sides = [Resegmentation(vocabulary, share, most, growth) for vocabulary in vocabularies]

    def transform(x: dict[str, Any], y: dict[str, Any], seed: Any) -> Batch:
        if sides:
            source, target = sides
            ids, lengths = source(x["source"], x["source_lengths"], seed)
            answers, counts = target(y["target"], y["target_lengths"], seed + 1)
            x, y = x | {"source": ids, "source_lengths": lengths}, y | {"target": answers, "target_lengths": counts}
        if config.word_dropout:
            x = x | {"source": hidden(x["source"], x["source_lengths"], config.word_dropout, seed + 2)}
            y = y | {"history": hidden(y["target"], y["target_lengths"], config.word_dropout, seed + 3)}
        return x, y

    return transform


def hidden(ids: Any, lengths: Any, share: float, seed: Any) -> Any:
    """Hide a random share of the real pieces int32 [B, T]; ``seed`` is int32 [2]."""
    drawn = tf.random.stateless_uniform(tf.shape(ids), seed) < share
    return tf.where(drawn & tf.sequence_mask(lengths, tf.shape(ids)[1]), EMPTY, ids)


LEARNED = 50_000
"""Training pairs from which the two languages are learned."""
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
