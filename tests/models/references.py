"""Attention and pooling by the definition, in NumPy: one example without padding at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]


def softmax(x: np.ndarray) -> np.ndarray:
    shares = np.exp(x - x.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def additive(layer: Any, queries: np.ndarray, keys: np.ndarray) -> Arrays:
    """Bahdanau, Cho, Bengio 2015: v . tanh(W q + U k + b)."""
    w = {weight.name: weight.numpy() for weight in layer.weights}
    inner = (queries @ w["query_kernel"])[:, None] + (keys @ w["key_kernel"])[None] + w["bias"]
    return attended((np.tanh(inner) @ w["score"])[..., 0], keys)


def general(layer: Any, queries: np.ndarray, keys: np.ndarray) -> Arrays:
    """Luong, Pham, Manning 2015: q . W k."""
    return attended(queries @ layer.kernel.numpy() @ keys.T, keys)


def scaled_dot(layer: Any, queries: np.ndarray, keys: np.ndarray) -> Arrays:
    """Vaswani et al. 2017: q . k / sqrt(H)."""
    return attended(queries @ keys.T / np.sqrt(keys.shape[-1]), keys)


def attended(scores: np.ndarray, keys: np.ndarray) -> Arrays:
    return softmax(scores) @ keys, softmax(scores)


def attention_pooling(layer: Any, steps: np.ndarray) -> Arrays:
    """Yang et al. 2016: the softmax of v . tanh(W x + b) weighs the steps."""
    kernel, bias, score = (w.numpy() for w in (layer.kernel, layer.bias, layer.score))
    weights = softmax((np.tanh(steps @ kernel + bias) @ score)[:, 0])
    return weights @ steps, weights


def max_pooling(layer: Any, steps: np.ndarray) -> Arrays:
    winners = steps.argmax(axis=0)
    return steps.max(axis=0), np.bincount(winners, minlength=len(steps)) / steps.shape[1]


def mean_pooling(layer: Any, steps: np.ndarray) -> Arrays:
    return steps.mean(axis=0), np.full(len(steps), 1 / len(steps))


def last_pooling(layer: Any, steps: np.ndarray) -> Arrays:
    return steps[-1], np.eye(len(steps))[-1]


REFERENCES: dict[str, Callable[..., Arrays]] = {
    "additive": additive,
    "general": general,
    "scaled dot": scaled_dot,
    "attention pooling": attention_pooling,
    "max pooling": max_pooling,
    "mean pooling": mean_pooling,
    "last pooling": last_pooling,
}
