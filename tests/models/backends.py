"""Answers of every block, loss and search with one backend of Keras: run as a script in a process of its own.

KERAS_BACKEND=jax python -m tests.models.backends jax OUT.npz
"""

import sys
from typing import Any

import keras
import numpy as np
from keras import ops

from models.ctc import ctc_loss
from models.losses import (
    cider_d,
    document_frequencies,
    sentence_bleu,
    sequence_loss,
    unattended_penalty,
    word_detection_loss,
)
from pipelines.search.search import Rules, beam, greedy
from tests.models.blocks import BLOCKS, draw

RANDOM = np.random.default_rng(3)


def blocks() -> dict[str, list[Any]]:
    """Outputs of every block with weights that do not depend on the backend's random numbers."""
    found = {}
    for name, block in BLOCKS.items():
        layer, inputs = block.make(), [draw(axes) for axes in block.inputs]
        block.call(layer, *inputs)
        layer.set_weights([RANDOM.normal(scale=0.5, size=w.shape).astype("float32") for w in layer.get_weights()])
        found[name] = keras.tree.flatten(block.call(layer, *inputs))
    return found


def losses() -> dict[str, list[Any]]:
    """Losses and rewards of random tokens, right-padded with 0."""
    logits = RANDOM.normal(size=(3, 6, 9)).astype("float32")
    targets = RANDOM.integers(1, 9, (3, 6)).astype("int32") * (np.arange(6) < np.array([[6], [3], [1]]))
    answers, references = targets[:, None], RANDOM.integers(0, 9, (3, 2, 5)).astype("int32")
    frames, lengths = RANDOM.normal(size=(3, 12, 9)).astype("float32"), np.array([12, 9, 4])
    cells, weights = RANDOM.normal(size=(3, 4, 9)).astype("float32"), RANDOM.random((3, 6, 4)).astype("float32")
    frequencies = document_frequencies(references)
    return {
        "sequence loss": [sequence_loss(targets, logits, 0.1)],
        "ctc loss": [ctc_loss(frames, lengths, targets, np.array([6, 3, 1]))],
        "unattended": [unattended_penalty(weights, targets)],
        "word detection": [word_detection_loss(cells, references)],
        "bleu": [sentence_bleu(answers, references)],
        "cider": [cider_d(answers, references, frequencies)],
    }


def searches() -> dict[str, list[Any]]:
    """Answers of a step function whose logits depend on the last token and on the example."""

    def step(tokens: Any, state: Any, memory: Any) -> tuple[Any, Any]:
        table = np.random.default_rng(0).normal(size=(7, 7)).astype("float32") * 3
        return ops.take(table, tokens, axis=0) + state, state

    state = np.random.default_rng(1).normal(size=(3, 7)).astype("float32")
    rules = Rules(1, 2, 6, min_length=1, no_repeat_ngram=2)
    return {
        "greedy": list(greedy(step, state, rules)[:3]),
        "beam": list(beam(step, state, rules, width=4)[:3]),
    }


if __name__ == "__main__":
    assert keras.config.backend() == sys.argv[1]
    every = blocks() | losses() | searches()
    np.savez(
        sys.argv[2], **{f"{name}|{i}": np.asarray(v) for name, values in every.items() for i, v in enumerate(values)}
    )
