"""Sentiment analysis, top to bottom: a text in, the probability of every class out.

subwords -> embedding -> recurrent stack -> pooling -> classes. Any set of texts with one label each will do.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from models.attention import Pooling
from models.recurrent import RecurrentStack
from pipelines.data.inputs import Encoded
from pipelines.data.sources import files, folders
from pipelines.data.sources.source import Example, Source, with_cuts
from pipelines.data.sources.synthetic import sentiment as synthetic
from pipelines.data.sources.synthetic.builtin import builtin
from pipelines.data.text import SubwordVocabulary, ensure_min_length, normalise, truncate
from pipelines.data.text_learning import learn_vocabulary
from pipelines.sentiment_config import PRESETS as PRESETS
from pipelines.sentiment_config import Config as Config
from pipelines.training import metrics

NAME = "sentiment"
METRIC = "accuracy"
BETTER = "higher"
RAW, ANSWER = "text", "label"
SIGNATURES = {
    "accuracy": "share of right labels",
    "macro_f1": "unweighted mean of the F1 of each class (scikit-learn)",
    "roc_auc": "area under the ROC curve (scikit-learn; one-vs-rest macro mean for more than two classes)",
    "ece": "expected calibration error of the answer's probability, 15 equal-width bins (Guo et al. 2017)",
}
THRESHOLD, MARGIN = 0.90, 0.15  # demonstration: least accuracy, and least lead over the baseline
CHUNK = 512

COLUMNS = {"text": ("text", "review", "sentence", "transcript"), "label": ("label", "sentiment", "class")}


def open_source(spec: str, config: Config) -> Source:
    """Open ``synthetic``, a table file, a folder of tables, or a tree ``SPLIT/CLASS/*.txt`` such as aclImdb."""
    if spec == "synthetic":
        return builtin(synthetic.examples, {"train": 4000, "validation": 500, "test": 1000})
    given = {"text": config.text_column, "label": config.label_column}
    columns = {name: (given[name],) if given[name] else usual for name, usual in COLUMNS.items()}
    source = folders.open_classes(spec) or files.open_tables(spec, columns)
    return with_cuts(source, group=lambda example: str(example["text"]), share=config.validation_share)


# ---------------------------------------------------------------------------------------------- preprocessing


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

    def texts() -> Iterator[str]:
        for example in examples:
            raw[label_name(example["label"], config.labels)] += 1
            yield str(example["text"])

    pieces = learn_vocabulary(texts(), config.vocabulary_size, config.lowercase, markup=config.markup)
    del raw[""]
    if len(raw) < 2:
        raise ValueError(f"the training data has the labels {sorted(raw)}: expected at least two")
    return Preprocessor(SubwordVocabulary(pieces), dict(sorted(raw.items())), config)


def load_preprocessor(config: Config, folder: Path) -> Preprocessor:
    """Read back what ``save`` wrote."""
    labels = json.loads((folder / "labels.json").read_text("utf-8"))
    return Preprocessor(SubwordVocabulary.load(folder / "vocabulary.txt"), labels, config)


def _plain(label: Any) -> str:
    return str(int(label)) if isinstance(label, bool | float) and label == int(label) else str(label).strip()


def label_name(label: Any, names: tuple[str, ...] = ()) -> str:
    """Return the name of a label: integers are looked up in ``names``; without names 0 is negative, 1 positive."""
    plain = _plain(label)
    names = names or ("negative", "positive")
    return names[int(plain)] if plain.isdecimal() and int(plain) < len(names) else plain


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
            labels += [index[label_name(example["label"], config.labels)]] if labelled else []
        ids += [preprocessor.ids(tf.constant([str(example["text"]) for example in good]))] if good else []
        kept += good if keep_raw else [{"id": e["id"], "where": e["where"]} for e in good]
    tokens = tf.concat(ids, axis=0) if ids else tf.RaggedTensor.from_row_splits(tf.zeros([0], tf.int32), [0])
    lengths = tf.cast(tokens.row_lengths(), tf.int32)
    y = {"label": tf.constant(labels, tf.int32)} if labelled else {}
    if labelled and config.class_weights:
        balanced = sum(preprocessor.counts) / len(preprocessor.counts) / np.array(preprocessor.counts, np.float32)
        y["weight"] = tf.gather(tf.constant(balanced, tf.float32), y["label"])
    return Encoded({"tokens": tokens, "lengths": lengths}, y, lengths.numpy(), kept, dropped)


def _unusable(example: Example, index: Mapping[str, int], config: Config) -> str:
    if not isinstance(example["text"], str) or not example["text"].strip():
        return f"the text is empty or no text ({example['text']!r})"
    name = label_name(example["label"], config.labels)
    return "" if name in index else f"unknown label {name!r}; the labels are {', '.join(index)}"


# ------------------------------------------------------------------------------------------------------ model


def build(config: Config, preprocessor: Preprocessor) -> keras.Model:
    """Build the network: tokens int32 [B, T] and lengths int32 [B] -> logits [B, C] and weights [B, T].

    The part behind the embedding is a model of its own, ``classifier``, so that the adversarial step and integrated
    gradients can enter at the embedded text [B, T, D].
    """
    tokens = keras.Input([None], dtype="int32", name="tokens")
    lengths = keras.Input([], dtype="int32", name="lengths")
    embedding = keras.layers.Embedding(preprocessor.vocabulary.size, config.embedding_size, name="embedding")
    logits, weights = _classifier(config, len(preprocessor.labels))([embedding(tokens), lengths])
    return keras.Model({"tokens": tokens, "lengths": lengths}, {"logits": logits, "weights": weights}, name=NAME)


def _classifier(config: Config, classes: int) -> keras.Model:
    embedded = keras.Input([None, config.embedding_size], name="embedded")
    lengths = keras.Input([], dtype="int32", name="lengths")
    x = embedded
    if config.word_dropout:
        x = keras.layers.Dropout(config.word_dropout, noise_shape=(None, None, 1), seed=config.seed + 1)(x)
    x = keras.layers.Dropout(config.dropout, seed=config.seed + 2)(x)
    stack = RecurrentStack(
        config.cell,
        config.units,
        config.layers,
        bidirectional=config.bidirectional,
        dropout=config.dropout,
        seed=config.seed + 3,
        name="recurrent",
    )
    states, _ = stack(x, lengths)
    pooled, weights = Pooling(config.pooling, name="pooling")(states, lengths)
    pooled = keras.layers.Dropout(config.dropout, seed=config.seed + 4)(pooled)
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(pooled)
    return keras.Model([embedded, lengths], [logits, weights], name="classifier")


def loss(model: keras.Model, config: Config, x: Mapping[str, Any], y: Mapping[str, Any]) -> Any:
    """Cross-entropy [B] with label smoothing; plus that of an adversarial step when ``adversarial`` is set."""
    embedded = model.get_layer("embedding")(x["tokens"])
    classifier = model.get_layer("classifier")

    def cross_entropy(at: Any) -> Any:
        logits, _ = classifier([at, x["lengths"]], training=True)
        classes = logits.shape[-1]
        target = tf.one_hot(y["label"], classes) * (1 - config.label_smoothing) + config.label_smoothing / classes
        return tf.nn.softmax_cross_entropy_with_logits(target, logits) * y.get("weight", 1.0)

    if not config.adversarial:
        return cross_entropy(embedded)
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        clean = cross_entropy(embedded)
    return clean + cross_entropy(embedded + _worst_direction(tape.gradient(clean, embedded), embedded, config))


def _worst_direction(gradient: Any, embedded: Any, config: Config) -> Any:
    """Return the step [B, T, D] that raises the loss fastest, r = epsilon g / |g| (Miyato et al. 2017, equation 5).

    Its norm is ``adversarial`` times the mean norm of an embedded piece, so that large embeddings cannot shrink it.
    """
    scale = tf.reduce_mean(tf.norm(embedded, axis=-1))
    size = tf.sqrt(tf.reduce_sum(gradient**2, axis=[1, 2], keepdims=True) + 1e-20)
    return tf.stop_gradient(config.adversarial * scale * gradient / size)


def augmentation(config: Config) -> None:
    """Texts are not changed before the embedding."""


def decode(model: keras.Model, config: Config, x: Mapping[str, Any]) -> dict[str, Any]:
    """Return probabilities float32 [B, C] and the pooling's weights float32 [B, T]."""
    outputs = model(x, training=False)
    return {"probabilities": tf.nn.softmax(outputs["logits"]), "weights": outputs["weights"]}


# --------------------------------------------------------------------------------------------------- answers


def answer(
    preprocessor: Preprocessor, config: Config, example: Example, outputs: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Turn one row of ``decode`` into a prediction; ``score`` is the probability of the answer."""
    probabilities = outputs["probabilities"]
    best = int(np.argmax(probabilities))
    references = [label_name(example["label"], config.labels)] if "label" in example else []
    return {
        "id": example["id"],
        "input": example["text"],
        "references": references,
        "answer": preprocessor.labels[best],
        "score": round(float(probabilities[best]), 6),
        "probabilities": {name: round(float(p), 6) for name, p in zip(preprocessor.labels, probabilities, strict=True)},
    }


def decode_name(config: Config) -> str:
    """Say how answers are decoded."""
    return "most probable class"


scorer = metrics.classification
report = metrics.classification_report


def raw(inputs: list[Any]) -> list[Example]:
    """Wrap texts as raw examples; ids count from 0."""
    return [{"id": str(i), "where": f"input {i + 1}", "text": str(text)} for i, text in enumerate(inputs)]


def serving_inputs(examples: list[Example]) -> dict[str, Any]:
    """Return the arguments of ``Serving`` for raw examples: ``text``, string [B]."""
    return {"text": tf.constant([str(example["text"]) for example in examples])}


def hard_cases() -> list[Example]:
    """Return inputs that an export must answer as the run does: empty, blank, foreign, broken, very long."""
    return raw(["", " \t ", "ÇOK İyi, 很好", "<br />&amp;", "\x00\x1f", "a" * 5000, "good " * 3000])


def describe(preprocessor: Preprocessor) -> dict[str, Any]:
    """Return what a client of the export may want to know: the order of the probabilities."""
    return {"labels": list(preprocessor.labels)}


class Serving(tf.Module):
    """What is exported: raw texts -> label, score, probabilities, and the pieces with their weights."""

    def __init__(self, model: keras.Model, preprocessor: Preprocessor, config: Config) -> None:
        super().__init__()
        self.model, self.preprocessor, self.config = model, preprocessor, config
        self.names = tf.constant(preprocessor.labels)
        self.signature = [tf.TensorSpec([None], tf.string, name="text")]

    def __call__(self, text: Any) -> dict[str, Any]:
        """Classify tf.string [B].

        Returns:
            ``label`` string [B] and its probability ``score`` [B]; ``probabilities`` [B, C];
            ``pieces`` string [B, T] and their share in the answer ``weights`` [B, T], both padded on the right.
        """
        ids = self.preprocessor.ids(text)
        x = {"tokens": ids.to_tensor(), "lengths": tf.cast(ids.row_lengths(), tf.int32)}
        outputs = decode(self.model, self.config, x)
        best = tf.argmax(outputs["probabilities"], axis=-1)
        return outputs | {
            "label": tf.gather(self.names, best),
            "score": tf.reduce_max(outputs["probabilities"], axis=-1),
            "pieces": self.preprocessor.vocabulary.pieces(ids).to_tensor(),
        }


def serving(model: keras.Model, preprocessor: Preprocessor, config: Config) -> Serving:
    """Return the module to export."""
    return Serving(model, preprocessor, config)


def baseline(train: list[Example], test: list[Example]) -> tuple[str, float]:
    """Score logistic regression on word counts: everything but the order."""
    method = make_pipeline(CountVectorizer(token_pattern=r"\S+"), LogisticRegression(max_iter=1000))
    method.fit([e["text"] for e in train], [label_name(e["label"]) for e in train])
    return "bag of words", float(method.score([e["text"] for e in test], [label_name(e["label"]) for e in test]))
