"""The network of sentiment analysis, the adversarial step, and the network between numbers."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from models.attention import Pooling
from models.recurrent import RecurrentStack
from pipelines.data.text.vocabulary import EMPTY, FIRST_BYTE
from pipelines.task import SCORES, Arrays, Numeric, Port
from pipelines.tasks.sentiment.config import Config
from pipelines.tasks.sentiment.data import Preprocessor

GRADIENT_SCALE = 1024.0
"""By which the gradient of the adversarial step is raised into the range of float16; its direction alone counts."""


class Parts(NamedTuple):
    """Layers of the network: the embedding, and the classifier behind it.

    ``classifier`` maps embedded text [B, T, D] and lengths int32 [B] to logits [B, C] and pooling weights [B, T]: the
    adversarial step and integrated gradients enter there. ``recurrent`` is the stack in it.
    """

    embedding: keras.layers.Embedding
    classifier: keras.Model
    recurrent: RecurrentStack


def parts(model: keras.Model) -> Parts:
    """Return the layers of a network that ``build`` made."""
    classifier = model.get_layer("classifier")
    return Parts(model.get_layer("embedding"), classifier, classifier.get_layer("recurrent"))


def build(config: Config, pieces: int, classes: int) -> keras.Model:
    """Build the network: tokens int32 [B, T] and lengths int32 [B] -> logits [B, C] and weights [B, T].

    Args:
        config: the settings.
        pieces: V, size of the vocabulary.
        classes: C.
    """
    tokens = keras.Input([None], dtype="int32", name="tokens")
    lengths = keras.Input([], dtype="int32", name="lengths")
    embedding = keras.layers.Embedding(pieces, config.embedding_size, name="embedding")
    logits, weights = _classifier(config, classes)([embedding(tokens), lengths])
    return keras.Model({"tokens": tokens, "lengths": lengths}, {"logits": logits, "weights": weights}, name="sentiment")


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


def worst_direction(gradient: Any, embedded: Any, lengths: Any, size: float) -> Any:
    """Return the step [B, T, D] that raises the loss fastest, r = epsilon g / |g| (Miyato et al. 2017, equation 5).

    Its norm is ``size`` times the mean norm of the text's own embedded pieces, so that large embeddings cannot shrink
    it and neither padding nor the rest of the batch changes it. Computed in float32: the squares of half precision
    are 0 where gradients are small.

    Args:
        gradient: of the loss, [B, T, D].
        embedded: [B, T, D].
        lengths: int32 [B].
        size: epsilon.
    """
    dtype, (gradient, embedded) = embedded.dtype, (tf.cast(value, tf.float32) for value in (gradient, embedded))
    norms = tf.norm(embedded, axis=-1) * tf.sequence_mask(lengths, tf.shape(embedded)[1], embedded.dtype)
    scale = tf.reduce_sum(norms, axis=1) / tf.cast(lengths, embedded.dtype)
    length = tf.sqrt(tf.reduce_sum(gradient**2, axis=[1, 2], keepdims=True) + 1e-20)
    return tf.stop_gradient(tf.cast(size * scale[:, None, None] * gradient / length, dtype))


def numeric(model: keras.Model, preprocessor: Preprocessor, config: Config) -> Numeric:
    """Return the network for export; where an answer comes from (``weights``) stays with the run."""

    def function(tokens: Any, lengths: Any) -> dict[str, Any]:
        logits = model({"tokens": tokens, "lengths": lengths}, training=False)["logits"]
        return {SCORES: tf.nn.log_softmax(logits)}

    def random(rng: np.random.Generator) -> Iterator[Arrays]:
        longest = config.max_tokens
        for length in sorted({1, 2, min(7, longest), *rng.integers(1, longest + 1, 3).tolist(), longest}):
            tokens = rng.integers(FIRST_BYTE, preprocessor.vocabulary.size, (1, length))
            yield {"tokens": tokens.astype(np.int32), "lengths": np.array([length], np.int32)}

    return Numeric(
        function,
        inputs=(
            Port("tokens", "int32", ("batch", "time"), "pieces of each text, padded on the right with 0"),
            Port("lengths", "int32", ("batch",), "pieces of each text without padding, at least 1"),
        ),
        outputs=(Port(SCORES, "float32", ("batch", "classes"), "natural logarithm of each label's probability"),),
        random=random,
        files=("vocabulary.txt",),
        preprocessing={
            "vocabulary": "vocabulary.txt",
            "markup": config.strip_html,
            "lowercase": config.lowercase,
            "max_tokens": config.max_tokens,
            "keep": config.truncate,
            "empty": EMPTY,
        },
        decoding={"labels": list(preprocessor.labels)},
    )
