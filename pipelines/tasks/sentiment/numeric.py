"""Sentiment analysis between numbers: piece ids in, the logarithm of each class's probability out."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.data.text.vocabulary import EMPTY, FIRST_BYTE
from pipelines.task import SCORES, Arrays, Numeric, Port
from pipelines.tasks.sentiment.config import Config
from pipelines.tasks.sentiment.data import Preprocessor


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
