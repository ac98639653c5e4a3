"""What training changes of sentence pairs in every epoch: how they are cut into pieces, and which are hidden."""

from typing import Any

import tensorflow as tf

from pipelines.data.inputs import Batch, Transform
from pipelines.data.resegmentation import Resegmentation
from pipelines.data.text import EMPTY
from pipelines.translation_config import Config
from pipelines.translation_data import Preprocessor


def augmentation(config: Config, preprocessor: Preprocessor) -> Transform | None:
    """Return what draws segmentations anew (``segmentation_dropout``) and hides pieces; None where neither is on.

    Pieces are hidden (``word_dropout``) where they are read: in the source and in ``history``, the target as the
    decoder sees it. What is to be answered stays whole. A hidden one is the piece that stands for no text: sentences
    cannot be known by single words then, nor continued without looking at the source (Gal and Ghahramani 2016,
    arXiv 1512.05287, section 4.2; Sennrich and Zhang 2019, P19-1021, for little data).
    """
    if not config.segmentation_dropout and not config.word_dropout:
        return None
    share, most, growth = config.segmentation_dropout, config.max_tokens, config.width_growth
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
    """Hide a share of the real pieces int32 [B, T], drawn by ``seed`` int32 [2]; padding stays."""
    drawn = tf.random.stateless_uniform(tf.shape(ids), seed) < share
    return tf.where(drawn & tf.sequence_mask(lengths, tf.shape(ids)[1]), EMPTY, ids)
