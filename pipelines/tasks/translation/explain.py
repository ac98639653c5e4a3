"""Explanation of a translation: the attention between source and target pieces."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.data.text.vocabulary import SubwordVocabulary
from pipelines.explain import plots
from pipelines.explain.explanation import Explanation
from pipelines.tasks.translation.data import Preprocessor


def alignment(
    preprocessor: Preprocessor, source: Any, tokens: Any, attention: Any, prediction: Mapping[str, Any]
) -> Explanation:
    """Lay out the attention of the best answer, one row a piece of it.

    Args:
        preprocessor: of the run.
        source: int32 [S], the pieces that were translated.
        tokens: int32 [U], those of the answer, its end included.
        attention: float32 [L, S], L >= U.
        prediction: the answer that belongs to them.

    Returns:
        The table names, for every piece of the answer, the piece of the source with the largest share; ``arrays`` has
        the whole map, ``attention`` float32 [U, S].
    """
    columns = _named(preprocessor.source, source)
    rows = _named(preprocessor.target, tokens)
    weights = np.asarray(attention[: len(rows), : len(columns)], np.float32)
    table = [
        {
            "piece": piece,
            "source": columns[int(share.argmax())],
            "place": int(share.argmax()),
            "share": float(share.max()),
        }
        for piece, share in zip(rows, weights, strict=True)
    ]
    numbers = {
        "answer": prediction["answer"],
        "score": prediction["score"],
        "cut": prediction["cut"],
        "alternatives": prediction["alternatives"],
        "source_pieces": columns,
        "target_pieces": rows,
        "attention": weights.round(5).tolist(),
        "rows": table,
    }
    title = f"{prediction['answer'][:80]} ({prediction['score']:.3f})"
    picture = plots.alignment(columns, rows or [""], weights if rows else np.zeros((1, len(columns))), title)
    return Explanation(prediction["answer"], prediction["score"], numbers, {"attention": weights}, picture)


def _named(vocabulary: SubwordVocabulary, ids: Any) -> list[str]:
    return [piece.decode("utf-8") for piece in vocabulary.pieces(tf.constant(ids, tf.int32)).numpy()]
