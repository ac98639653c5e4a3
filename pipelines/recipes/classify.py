"""Recipe of classification: one label for each input.

A task on it implements how examples are read and encoded and builds a network that gives ``logits``; loss, answers,
scores and export are here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import keras
import numpy as np
import tensorflow as tf

from pipelines.data.labels import given_name, known_name, unknown_label
from pipelines.data.source import Example
from pipelines.metrics import classification
from pipelines.metrics.bootstrap import Scorer
from pipelines.recipes.settings import ClassificationSettings
from pipelines.task import Card, Field, Prediction, Preprocessor, Row, Task

SIGNATURES = {
    "accuracy": "share of right labels",
    "macro_f1": "unweighted mean of the F1 of each class (scikit-learn)",
    "roc_auc": "area under the ROC curve (scikit-learn; one-vs-rest macro mean for more than two classes)",
    "ece": "expected calibration error of the answer's probability, 15 equal-width bins (Guo et al. 2017)",
}


class ClassPreprocessor(Preprocessor, Protocol):
    """The labels of a preprocessor: C names in the order of the logits, and their numbers of training examples."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]


class Classification(Task):
    """A task with one label for each input. The network's output ``logits`` is float32 [B, C]."""

    answer_output = "label"
    metric = "accuracy"
    head = ("logits",)
    y_fields: ClassVar[Mapping[str, Field]] = {
        "label": Field("int32", ("batch",)),
        "weight": Field("float32", ("batch",), optional=True),
    }

    config: ClassificationSettings
    preprocessor: ClassPreprocessor

    # ------------------------------------------------------------------------------------------------------- learning

    def loss(self, model: keras.Model, x: Mapping[str, Any], y: Mapping[str, Any]) -> tuple[Any, Any]:
        """Weighted cross-entropy [B] with label smoothing, and the weights [B] of the examples' classes."""
        return self.cross_entropy(model(x, training=True)["logits"], y), self.weights(y)

    def cross_entropy(self, logits: Any, y: Mapping[str, Any]) -> Any:
        """Weighted cross-entropy of logits [B, C], float32 [B]."""
        number, smoothing = logits.shape[-1], self.config.label_smoothing
        target = tf.one_hot(y["label"], number) * (1 - smoothing) + smoothing / number
        return tf.nn.softmax_cross_entropy_with_logits(target, logits) * y.get("weight", 1.0)

    def weights(self, y: Mapping[str, Any]) -> Any:
        """The weight of each example, float32 [B]: 1, or that of its class."""
        return y["weight"] if "weight" in y else tf.ones_like(y["label"], tf.float32)

    def targets(self, labels: Sequence[int]) -> dict[str, Any]:
        """Encode the numbers of N labels: ``label`` int32 [N], and ``weight`` float32 [N] with ``class_weights``."""
        y = {"label": tf.constant(labels, tf.int32)}
        if self.config.class_weights:
            counts = self.preprocessor.counts
            balanced = sum(counts) / len(counts) / np.array(counts, np.float32)
            y["weight"] = tf.gather(tf.constant(balanced, tf.float32), y["label"])
        return y

    def label_number(self, example: Example) -> int:
        """Return the number of an example's label; -1 where it has none that is known."""
        name = known_name(example["label"], self.config.labels, self.preprocessor.labels)
        return self.preprocessor.labels.index(name) if name in self.preprocessor.labels else -1

    def label_problem(self, example: Example) -> str:
        """Say why an example's label cannot be used; empty when it can."""
        name = known_name(example["label"], self.config.labels, self.preprocessor.labels)
        known = self.preprocessor.labels
        return "" if name in known else unknown_label(example["label"], name, known)

    def same_head(self, other: Task) -> bool:
        """Say whether both tasks have the same labels in the same order."""
        return isinstance(other, Classification) and self.preprocessor.labels == other.preprocessor.labels

    # ------------------------------------------------------------------------------------------------------ answering

    def outputs(self, model: keras.Model, x: Mapping[str, Any]) -> dict[str, Any]:
        """Classify: ``label`` string [B], its probability ``score`` [B], ``probabilities`` [B, C], and the network's
        other outputs.
        """
        found = dict(model(x, training=False))
        probabilities = tf.nn.softmax(found.pop("logits"))
        best = tf.argmax(probabilities, axis=-1)
        return found | {
            "label": tf.gather(tf.constant(self.preprocessor.labels), best),
            "score": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
        }

    def references(self, example: Example) -> list[str]:
        """Return the name of the example's label."""
        known = self.preprocessor.labels
        return [known_name(example["label"], self.config.labels, known)] if "label" in example else []

    @classmethod
    def more(cls, card: Card, example: Example, row: Row) -> Prediction:
        """Word the probabilities by label.

        In full, as float32 is written: rounded, confident answers would tie in the ROC curve.
        """
        return {"probabilities": {n: float(str(p)) for n, p in zip(card["labels"], row["probabilities"], strict=True)}}

    def card(self) -> dict[str, Any]:
        """Return the order of the probabilities."""
        return {"labels": list(self.preprocessor.labels)}

    def decode_name(self) -> str:
        """Say how answers are decoded."""
        return "most probable class"

    # -------------------------------------------------------------------------------------------------------- scoring

    @classmethod
    def scorer(cls, predictions: list[Prediction]) -> Scorer:
        """Prepare accuracy, macro F1, ROC AUC and calibration error."""
        return classification.classification(predictions)

    @classmethod
    def signatures(cls, predictions: list[Prediction]) -> Mapping[str, str]:
        """Say of each score what computes it."""
        return SIGNATURES

    @classmethod
    def report(cls, predictions: list[Prediction]) -> str:
        """Return the confusion matrix, the scores of each class, and the most confident mistakes."""
        return classification.classification_report(predictions)


def counted(
    examples: Iterable[Example], counts: Counter[str], names: tuple[str, ...], problem: Any
) -> Iterator[Example]:
    """Stream the examples that can be used, and count their labels: what is skipped makes no class.

    Args:
        examples: of the training split.
        counts: filled with the number of examples of each label; `classes` names them.
        names: of integer labels.
        problem: says why an example cannot be used, apart from its label; empty when it can.
    """
    for example in examples:
        if not problem(example):
            counts[given_name(example["label"], names)] += 1
            yield example
