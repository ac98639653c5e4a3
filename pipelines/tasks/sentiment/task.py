"""Sentiment analysis, top to bottom: a text in, the probability of every class out.

subwords -> embedding -> recurrent stack -> pooling -> classes. Any set of texts with one label each will do.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.attention import Pooling
from models.recurrent import RecurrentStack
from pipelines.data import tables as files
from pipelines.data.batching import Encoded
from pipelines.data.builtin import builtin
from pipelines.data.source import Example, Source, with_cuts
from pipelines.data.text import layouts as folders
from pipelines.data.text.vectors import pieces_by_word, read_vectors
from pipelines.data.text.vocabulary import raw_texts
from pipelines.explain.explanation import Explanation
from pipelines.log import say
from pipelines.metrics import classification as metrics
from pipelines.tasks.sentiment import synthetic
from pipelines.tasks.sentiment.config import PRESETS as PRESETS
from pipelines.tasks.sentiment.config import Config as Config
from pipelines.tasks.sentiment.data import Preprocessor as Preprocessor
from pipelines.tasks.sentiment.data import adopt as adopt
from pipelines.tasks.sentiment.data import encode as encode
from pipelines.tasks.sentiment.data import facets as facets
from pipelines.tasks.sentiment.data import fit_preprocessor as fit_preprocessor
from pipelines.tasks.sentiment.data import known_name, label_name
from pipelines.tasks.sentiment.data import load_preprocessor as load_preprocessor

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
EMBEDDING_SCALE = 0.1  # standard deviation of an embedding that is not random
THRESHOLD, MARGIN = 0.90, 0.15  # demonstration: least accuracy, and least lead over the baseline

GRADIENT_SCALE = 1024.0
"""By which the gradient of the adversarial step is raised into the range of float16; its direction alone counts."""

HEAD = ("logits",)  # what another set of labels replaces

COLUMNS = {"text": ("text", "review", "sentence", "transcript"), "label": ("label", "sentiment", "class")}


def open_source(spec: str, config: Config) -> Source:
    """Open ``synthetic``, ``tfds:NAME``, a table file or folder of tables, or a tree ``SPLIT/CLASS/*.txt``."""
    if spec == "synthetic":
        return builtin(synthetic.examples, {"train": 4000, "validation": 500, "test": 1000})
    given = {"text": config.text_column, "label": config.label_column}
    columns = {name: (given[name],) if given[name] else usual for name, usual in COLUMNS.items()}
    if spec.startswith("tfds:"):
        from pipelines.data.tfds import open_named  # noqa: PLC0415  # slow to import, seldom needed

        source = open_named(spec, columns)
    else:
        source = folders.open_classes(spec) or files.open_tables(spec, columns)
    return with_cuts(source, group=lambda example: str(example["text"]), share=config.validation_share)


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


def initialise(model: keras.Model, config: Config, preprocessor: Preprocessor, training: Encoded) -> None:
    """Give the embedding its first values from a file or from the training text, when the configuration asks for it."""
    if config.embeddings:
        ids, rows = read_vectors(
            config.embeddings, pieces_by_word(preprocessor.vocabulary.vocabulary), config.embedding_size
        )
        say(f"{len(ids)} of {preprocessor.vocabulary.size} pieces are in {config.embeddings}")
        first = model.get_layer("embedding").embeddings.numpy()
        first[ids] = rows / max(rows.std(), 1e-12) * EMBEDDING_SCALE
        model.get_layer("embedding").embeddings.assign(first)
        return
    if config.embedding_start == "random":
        return
    from pipelines.data.text.cooccurrence import cooccurrence_vectors  # noqa: PLC0415  # slow to import, seldom needed

    tokens, size = training.x["tokens"], (preprocessor.vocabulary.size, config.embedding_size)
    vectors = cooccurrence_vectors(np.asarray(tokens.values), np.asarray(tokens.row_splits), *size, seed=config.seed)
    model.get_layer("embedding").embeddings.assign(vectors * EMBEDDING_SCALE)


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
        raised = clean * GRADIENT_SCALE
    step = _worst_direction(tape.gradient(raised, embedded), embedded, x["lengths"], config)
    return clean + cross_entropy(embedded + step)


def _worst_direction(gradient: Any, embedded: Any, lengths: Any, config: Config) -> Any:
    """Return the step [B, T, D] that raises the loss fastest, r = epsilon g / |g| (Miyato et al. 2017, equation 5).

    Its norm is ``adversarial`` times the mean norm of the text's own embedded pieces, so that large embeddings cannot
    shrink it and neither padding nor the rest of the batch changes it. Computed in float32: the squares of half
    precision are 0 where gradients are small.
    """
    dtype, (gradient, embedded) = embedded.dtype, (tf.cast(value, tf.float32) for value in (gradient, embedded))
    norms = tf.norm(embedded, axis=-1) * tf.sequence_mask(lengths, tf.shape(embedded)[1], embedded.dtype)
    scale = tf.reduce_sum(norms, axis=1) / tf.cast(lengths, embedded.dtype)
    size = tf.sqrt(tf.reduce_sum(gradient**2, axis=[1, 2], keepdims=True) + 1e-20)
    return tf.stop_gradient(tf.cast(config.adversarial * scale[:, None, None] * gradient / size, dtype))


def augmentation(config: Config, preprocessor: Preprocessor) -> None:
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
    known = preprocessor.labels
    references = [known_name(example["label"], config.labels, known)] if "label" in example else []
    return {
        "id": example["id"],
        "input": example["text"],
        "references": references,
        "answer": preprocessor.labels[best],
        "score": round(float(probabilities[best]), 6),
        # In full, as float32 is written: rounded, confident answers would tie in the ROC curve.
        "probabilities": {name: float(str(p)) for name, p in zip(preprocessor.labels, probabilities, strict=True)},
    }


def explain(model: keras.Model, preprocessor: Preprocessor, config: Config, text: str) -> Explanation:
    """Explain the most probable class of one text, see `sentiment_explain`."""
    from pipelines.tasks.sentiment import explain as sentiment_explain  # noqa: PLC0415  # draws: matplotlib is slow to import

    (example,) = raw([text])
    return sentiment_explain.explain(model, preprocessor, config, example[RAW])


def decode_name(config: Config) -> str:
    """Say how answers are decoded."""
    return "most probable class"


scorer = metrics.classification
report = metrics.classification_report


def raw(inputs: list[Any]) -> list[Example]:
    """Wrap texts as raw examples, see `raw_texts`."""
    return raw_texts(inputs, RAW)


def serving_inputs(examples: list[Example], card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``Serving`` for raw examples: ``text``, string [B]."""
    return {"text": tf.constant([str(example["text"]) for example in examples])}


def hard_cases() -> list[Example]:
    """Return inputs that an export must answer as the run does: empty, blank, foreign, broken, very long."""
    return raw(["", " \t ", "ÇOK İyi, 很好", "<br />&amp;", "\x00\x1f", "a" * 5000, "good " * 3000])


def describe(preprocessor: Preprocessor) -> dict[str, Any]:
    """Return what a client of the export may want to know: the order of the probabilities."""
    return {"labels": list(preprocessor.labels)}


def served(card: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Word one row of ``Serving``'s outputs as ``answer`` does: ``probabilities`` by class."""
    return {"probabilities": {n: float(str(p)) for n, p in zip(card["labels"], row["probabilities"], strict=True)}}


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
    from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415  # slow to import, seldom needed
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415

    method = make_pipeline(CountVectorizer(token_pattern=r"\S+"), LogisticRegression(max_iter=1000))
    method.fit([e["text"] for e in train], [label_name(e["label"]) for e in train])
    return "bag of words", float(method.score([e["text"] for e in test], [label_name(e["label"]) for e in test]))
