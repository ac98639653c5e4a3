"""Sentiment analysis, top to bottom: a text in, the probability of every class out.

subwords -> embedding -> recurrent stack -> pooling -> classes. Any set of texts with one label each will do.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from pipelines.data import tables
from pipelines.data.batching import Encoded
from pipelines.data.builtin import builtin
from pipelines.data.labels import label_name
from pipelines.data.source import Example, Source, with_cuts
from pipelines.data.text.layouts import open_classes
from pipelines.data.text.vectors import pieces_by_word, read_vectors
from pipelines.data.text.vocabulary import raw_texts
from pipelines.data.validate import View
from pipelines.explain.explanation import Explanation
from pipelines.log import say
from pipelines.recipes.classify import Classification
from pipelines.task import Card, Field, Modality, Mode, Numeric, Prediction, Row, Task
from pipelines.tasks.sentiment import synthetic
from pipelines.tasks.sentiment.config import PRESETS, Config
from pipelines.tasks.sentiment.data import CHUNK, Preprocessor, facets, textless
from pipelines.tasks.sentiment.model import GRADIENT_SCALE, build, parts, worst_direction

EMBEDDING_SCALE = 0.1
"""Standard deviation of an embedding that does not begin at random."""


class Sentiment(Classification):
    """Text classification."""

    name = "sentiment"
    modality = Modality("text")
    raw = "text"
    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "text": ("text", "review", "sentence", "transcript"),
        "label": ("label", "sentiment", "class"),
    }
    threshold, margin = 0.90, 0.15
    config_class = Config
    presets = PRESETS
    preprocessor_class = Preprocessor
    x_fields: ClassVar[Mapping[str, Field]] = {
        "tokens": Field("int32", ("batch", "time")),
        "lengths": Field("int32", ("batch",)),
        "cut": Field("bool", ("batch",)),
    }

    config: Config
    preprocessor: Preprocessor

    @classmethod
    def open_source(cls, spec: str, config: Config) -> Source:
        """Open ``synthetic``, ``tfds:NAME``, a table file or folder of tables, or a tree ``SPLIT/CLASS/*.txt``."""
        if spec == "synthetic":
            return builtin(synthetic.examples, {"train": 4000, "validation": 500, "test": 1000})
        given = {"text": config.text_column, "label": config.label_column}
        columns = {name: (given[name],) if given[name] else usual for name, usual in cls.columns.items()}
        if spec.startswith("tfds:"):
            from pipelines.data.tfds import open_named  # noqa: PLC0415  # slow to import, seldom needed

            source = open_named(spec, columns)
        else:
            source = open_classes(spec) or tables.open_tables(spec, columns)
        return with_cuts(source, group=lambda example: str(example["text"]), share=config.validation_share)

    @classmethod
    def view(cls, config: Config, source: Source) -> View:
        """Look at the text and the label of an example."""
        return partial(facets, config)

    @classmethod
    def fit(cls, config: Config, examples: Iterable[Example]) -> Preprocessor:
        """Learn the subword pieces and the set of labels."""
        return Preprocessor.fit(config, examples)

    @classmethod
    def load(cls, config: Config, folder: Path) -> Preprocessor:
        """Read back the pieces and the labels."""
        return Preprocessor.load(config, folder)

    @classmethod
    def adopt(cls, config: Config, other: Task, folder: Path, examples: Iterable[Example]) -> Preprocessor:
        """Take over the pieces of another run and learn the labels."""
        assert isinstance(other, Sentiment)
        return Preprocessor.adopt(config, other.preprocessor, examples)

    def encode(self, examples: Iterable[Example], mode: Mode = "score") -> Encoded:
        """Segment examples, ``CHUNK`` at a time; drop those without text or with an unknown label, by name."""
        kept: list[Example] = []
        dropped: list[str] = []
        labels: list[int] = []
        ids: list[tf.RaggedTensor] = []
        cuts: list[np.ndarray] = [np.zeros(0, bool)]
        source = iter(examples)
        while chunk := list(itertools.islice(source, CHUNK)):
            good: list[Example] = []
            for example in chunk:
                reason = textless(example) or self.label_problem(example) if mode != "predict" else ""
                if reason:
                    dropped.append(f"{example['where']}: {reason}")
                    continue
                good.append(example)
                labels += [self.label_number(example)] if mode != "predict" else []
            pieces, count = self.preprocessor.ids(tf.constant([str(example["text"]) for example in good], tf.string))
            ids.append(pieces)
            cuts.append(count.numpy() > self.config.max_tokens)
            kept += good if mode != "train" else [{"id": e["id"], "where": e["where"]} for e in good]
        tokens = tf.concat(ids, axis=0) if ids else tf.RaggedTensor.from_row_splits(tf.zeros([0], tf.int32), [0])
        lengths = tf.cast(tokens.row_lengths(), tf.int32)
        y = self.targets(labels) if mode != "predict" else {}
        x = {"tokens": tokens, "lengths": lengths, "cut": tf.constant(np.concatenate(cuts))}
        return Encoded(x, y, lengths.numpy(), kept, dropped)

    # ---------------------------------------------------------------------------------------------------------- model

    def network(self) -> keras.Model:
        """Build the network, see `pipelines.tasks.sentiment.model`."""
        return build(self.config, self.preprocessor.vocabulary.size, len(self.preprocessor.labels))

    def initialise(self, model: keras.Model, training: Encoded) -> None:
        """Initialise the embedding from word vectors, or from co-occurrence in the training text, if asked."""
        config, vocabulary = self.config, self.preprocessor.vocabulary
        embedding = parts(model).embedding
        if config.embeddings:
            ids, rows = read_vectors(config.embeddings, pieces_by_word(vocabulary.vocabulary), config.embedding_size)
            say(f"{len(ids)} of {vocabulary.size} pieces are in {config.embeddings}")
            first = embedding.embeddings.numpy()
            first[ids] = rows / max(rows.std(), 1e-12) * EMBEDDING_SCALE
            embedding.embeddings.assign(first)
        elif config.embedding_init == "neighbours":
            from pipelines.data.text.cooccurrence import cooccurrence_vectors  # noqa: PLC0415  # slow to import

            tokens, size = training.x["tokens"], (vocabulary.size, config.embedding_size)
            values, splits = np.asarray(tokens.values), np.asarray(tokens.row_splits)
            embedding.embeddings.assign(cooccurrence_vectors(values, splits, *size, seed=config.seed) * EMBEDDING_SCALE)

    def loss(self, model: keras.Model, x: Mapping[str, Any], y: Mapping[str, Any]) -> tuple[Any, Any]:
        """Cross-entropy [B] and weights [B]; plus the cross-entropy after an adversarial step if asked."""
        layers, lengths = parts(model), x["lengths"]
        embedded = layers.embedding(x["tokens"])

        def cross_entropy(at: Any) -> Any:
            return self.cross_entropy(layers.classifier([at, lengths], training=True)[0], y)

        if not self.config.adversarial:
            return cross_entropy(embedded), self.weights(y)
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            clean = cross_entropy(embedded)
            raised = clean * GRADIENT_SCALE
        step = worst_direction(tape.gradient(raised, embedded), embedded, lengths, self.config.adversarial)
        return clean + cross_entropy(embedded + step), self.weights(y)

    # -------------------------------------------------------------------------------------------------------- answers

    @classmethod
    def parse(cls, inputs: Sequence[Any]) -> list[Example]:
        """Wrap texts as raw examples, see `raw_texts`."""
        return raw_texts(inputs, cls.raw)

    @classmethod
    def hard_cases(cls) -> list[Example]:
        """Return empty, blank, foreign, broken and very long texts."""
        return cls.parse(["", " \t ", "ÇOK İyi, 很好", "<br />&amp;", "\x00\x1f", "a" * 5000, "good " * 3000])

    def outputs(self, model: keras.Model, x: Mapping[str, Any]) -> dict[str, Any]:
        """Classify, see the recipe; ``cut`` bool [B] is true where the text was longer than the network reads."""
        return super().outputs(model, {name: x[name] for name in ("tokens", "lengths")}) | {"cut": x["cut"]}

    @classmethod
    def more(cls, card: Card, example: Example, row: Row) -> Prediction:
        """Word whether the text was cut, which exports before 0.2 do not tell, and the probabilities."""
        return ({"cut": bool(row["cut"])} if "cut" in row else {}) | super().more(card, example, row)

    def inputs(self, **raw: Any) -> dict[str, Any]:
        """In graph: ``text`` string [B] -> ``tokens`` int32 [B, T], ``lengths`` int32 [B] and ``cut`` bool [B]."""
        ids, count = self.preprocessor.ids(raw["text"])
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        return {"tokens": ids.to_tensor(), "lengths": lengths, "cut": count > self.config.max_tokens}

    def details(self, x: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """In graph: ``pieces`` string [B, T], padded with empty ones; ``weights`` [B, T] are their shares."""
        real = tf.sequence_mask(x["lengths"], tf.shape(x["tokens"])[1])
        return {"pieces": tf.where(real, self.preprocessor.vocabulary.pieces(x["tokens"]), "")}

    def explain(self, model: keras.Model, raw: str) -> Explanation:
        """Explain the most probable class of one text, see `pipelines.tasks.sentiment.explain`."""
        from pipelines.tasks.sentiment import explain  # noqa: PLC0415  # draws: matplotlib is slow to import

        (example,) = self.parse([raw])
        return explain.explain(model, self.preprocessor, example[self.raw])

    def numeric(self, model: keras.Model) -> Numeric:
        """Return the network between numbers, see `pipelines.tasks.sentiment.model`."""
        from pipelines.tasks.sentiment.model import numeric  # noqa: PLC0415  # for an export alone

        return numeric(model, self.preprocessor, self.config)

    @classmethod
    def baseline(cls, train: list[Example], test: list[Example]) -> tuple[str, float]:
        """Score logistic regression on word counts: everything but the order."""
        from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415  # slow to import, seldom needed
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
        from sklearn.pipeline import make_pipeline  # noqa: PLC0415

        method = make_pipeline(CountVectorizer(token_pattern=r"\S+"), LogisticRegression(max_iter=1000))
        method.fit([e["text"] for e in train], [label_name(e["label"]) for e in train])
        return "bag of words", float(method.score([e["text"] for e in test], [label_name(e["label"]) for e in test]))


TASK = Sentiment
