"""What is exported: the bytes of pictures in, captions out, in one graph with decoding, network, decoder and search."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from pipelines.data.images.pixels import OK
from pipelines.data.text.vocabulary import SubwordVocabulary
from pipelines.tasks.captioning.config import Config
from pipelines.tasks.captioning.data import Preprocessor

_CLITIC = r" (n't|'(?:s|m|d|re|ve|ll))\b"


def written(vocabulary: SubwordVocabulary, tokens: Any) -> Any:
    """Pieces int32 [N, L] -> text string [N], with the clitics that tokenising split off back on their words."""
    return tf.strings.regex_replace(vocabulary.decode(tokens), _CLITIC, r"\1")


def served(card: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Word one row of ``Serving``'s outputs as ``captioning.answer`` does: ``status``, ``alternatives``, ``error``."""
    status = int(row["status"])
    pairs = zip(row["alternatives"], row["alternative_scores"], strict=True)
    found = [[text.decode("utf-8"), round(float(score), 6)] for text, score in pairs if text]
    name = card["status"][status]
    error = {"error": f"the picture cannot be decoded ({name})"} if status != OK else {}
    return {"status": name, "alternatives": found} | error


class Serving(tf.Module):
    """Pictures of any size -> caption, K best with scores, attention and status."""

    def __init__(
        self, preprocessor: Preprocessor, decode: Callable[[Mapping[str, Any]], dict[str, Any]], model: Any
    ) -> None:
        """Hold what the graph needs; ``model`` is what ``decode`` calls, tracked so that its weights are saved."""
        super().__init__()
        self.preprocessor, self.decode, self.model = preprocessor, decode, model
        if preprocessor.config.encoder != "conv":
            self.network = preprocessor.network  # opened here, not while the graph is traced
        self.signature = [tf.TensorSpec([None], tf.string, name="image")]

    def __call__(self, image: Any) -> dict[str, Any]:
        """Describe the pictures in JPEG or PNG files, string [B].

        Returns:
            ``caption`` string [B] and its ``score`` float32 [B]; ``alternatives`` string [B, K] with
            ``alternative_scores`` [B, K], best first; ``pieces`` string [B, L] of the caption and ``attention``
            float32 [B, L, S] of each over the S cells of the picture's grid, row by row; ``status`` int32 [B]:
            0 ok, 1 unreadable, 2 too large. Unless the status is 0, texts are empty and numbers are 0.
        """
        picture, status = self.preprocessor.seen(image)
        found = self.decode({"picture": picture, "status": status})
        vocabulary = self.preprocessor.vocabulary
        shape, fine = tf.shape(found["tokens"]), status == OK
        tokens = tf.where(fine[:, None, None], found["tokens"], 0)
        scores = tf.where(fine[:, None], found["scores"], 0.0)
        texts = tf.reshape(written(vocabulary, tf.reshape(tokens, [-1, shape[2]])), shape[:2])
        lengths = tf.where(fine, found["lengths"][:, 0], 0)
        best = tf.RaggedTensor.from_tensor(tokens[:, 0], lengths=lengths)
        return {
            "caption": texts[:, 0],
            "score": scores[:, 0],
            "alternatives": texts,
            "alternative_scores": scores,
            "pieces": vocabulary.pieces(best).to_tensor(shape=[None, self.preprocessor.config.max_tokens]),
            "attention": tf.where(fine[:, None, None], found["attention"], 0.0),
            "status": status,
        }


def tolerance(config: Config) -> float:
    """Return how far floats of run and export may differ.

    Features of a frozen network are rounded to float16, whose steps are 2^-11 = 0.0005 of a value: the last bit of a
    convolution, which depends on how it is compiled, decides which way. On a run of Flickr8k the attention differed by
    1.5e-4, and by 8e-6 when the features were left in float32.
    """
    return 1e-4 if config.encoder == "conv" else 1e-3
