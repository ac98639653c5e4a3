"""Explanation of a class: integrated gradients, pooling weights, states and gates."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines.explain import plots
from pipelines.explain.attribution import busiest, integrated_gradients, recurrent_maps
from pipelines.explain.explanation import Explanation
from pipelines.tasks.sentiment.data import Preprocessor
from pipelines.tasks.sentiment.model import parts

TOLERANCE = 0.01
"""Largest share of the change of output that the attributions may miss."""


def explain(model: keras.Model, preprocessor: Preprocessor, text: str) -> Explanation:
    """Explain the most probable class of one text.

    The output that is attributed is the log-odds of that class, log p / (1 - p); the path begins at the same number
    of pieces without any content (embeddings of zero).

    Raises:
        RuntimeError: the attributions do not add up within ``TOLERANCE``.
    """
    ids, count = preprocessor.ids(tf.constant([text]))
    tokens = ids.to_tensor()
    pieces = [piece.decode("utf-8") for piece in preprocessor.vocabulary.pieces(tokens).numpy()[0]]
    embedding, classifier, recurrent = parts(model)
    embedded = tf.cast(embedding(tokens), tf.float32)[0].numpy()
    with portable():
        logits, weights = classifier([tf.constant(embedded)[None], tf.constant([len(pieces)])], training=False)
    probabilities = tf.nn.softmax(logits).numpy()[0]
    best = int(probabilities.argmax())

    def log_odds(points: Any) -> Any:
        lengths = tf.fill([tf.shape(points)[0]], len(pieces))
        logits, _ = classifier([points, lengths], training=False)
        others = tf.concat([logits[:, :best], logits[:, best + 1 :]], axis=1)
        return logits[:, best] - tf.reduce_logsumexp(others, axis=1)

    result = integrated_gradients(log_odds, embedded, tolerance=TOLERANCE)
    answer, score = preprocessor.labels[best], round(float(probabilities[best]), 6)
    if not result.complete(TOLERANCE):
        raise RuntimeError(
            f"the attributions miss {result.gap:.1%} of the change of output after {result.points} points: expected "
            f"at most {TOLERANCE:.0%}"
        )
    maps = recurrent_maps(recurrent, embedded)
    share = np.asarray(weights, np.float64)[0]
    numbers = {
        "answer": answer,
        "score": score,
        "cut": bool(count[0] > len(pieces)),
        "output": "log-odds of the answer",
        "at_input": result.end,
        "at_baseline": result.start,
        "gap": result.gap,
        "points": result.points,
        "rows": _rows(pieces, {"attribution": result.values, "share": share} | _summaries(maps)),
    }
    title = f"{answer} ({score:.3f}): log-odds {result.start:+.2f} without content, {result.end:+.2f} with it"
    picture = plots.token_panels(pieces, result.values, share, maps, title)
    return Explanation(answer, score, numbers, {"attributions": result.values, "shares": share, **maps}, picture)


def gate_map(explanation: Explanation, units: int = 24, kinds: tuple[str, ...] = ("states", "forget")) -> Any:
    """Draw an explanation with few of its maps: the ``units`` that move most in each direction.

    Args:
        explanation: what ``explain`` returned.
        units: rows of each map.
        kinds: which maps, by the last word of their names.
    """
    maps = busiest(explanation.arrays, units)
    pieces = [row["piece"] for row in explanation.numbers["rows"]]
    shown = {name: values for name, values in maps.items() if name.split()[-1] in kinds}
    title = f"{explanation.answer} ({explanation.score:.3f})"
    return plots.token_panels(pieces, explanation.arrays["attributions"], explanation.arrays["shares"], shown, title)


def _rows(pieces: list[str], columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Turn named columns [T] into one row a piece."""
    return [{"piece": piece} | {n: float(v[t]) for n, v in columns.items()} for t, piece in enumerate(pieces)]


def _summaries(maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One number a step of each map [T, H]: the norm of a state, the mean of a gate."""
    named = {name.replace("states", "state norm").replace(" ", "_"): values for name, values in maps.items()}
    return {n: np.linalg.norm(v, axis=-1) if n.endswith("norm") else v.mean(axis=-1) for n, v in named.items()}
