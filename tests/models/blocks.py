"""Every block of ``models/`` as the contract needs it: how it is made, and what the axes of its tensors mean.

An axis is a letter: B batch, T source steps, U target steps, S steps after subsampling, and ``.`` for a fixed size. The
sizes are shared on purpose: recurrent kernels are compiled for every width, batch and time they meet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from models import recurrent
from models.attention import POOLING_KINDS, AdditiveAttention, MultiplicativeAttention, Pooling
from models.convolution import ConvolutionalGrid, ConvolutionalSubsampling
from models.decoders import AttentionDecoder
from models.encoders import GridEncoder, TextEncoder

REAL = {"T": np.array([5, 2, 1]), "U": np.array([4, 3, 1]), "S": np.array([2, 1, 1])}
"""Real steps of each of the three rows, for each kind of time."""
SIZE = {"B": 3, "T": 5, "U": 4}
FEATURES, VOCABULARY = 4, 11


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        layer: its class.
        options: arguments of the constructor.
        inputs: axes of what it reads, in order; a leading word says what the numbers are when they are not features.
        outputs: axes of what it returns, flattened.
        call: how it is called, where that is not simply with its inputs.
    """

    layer: Any
    options: dict[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    call: Callable[..., Any] = lambda layer, *inputs, **how: layer(*inputs, **how)

    def make(self, **more: Any) -> Any:
        """Return a new layer."""
        keras.utils.set_random_seed(5)
        return self.layer(**self.options, **more)


def draw(axes: str, junk: int = 0) -> np.ndarray:
    """Return an input; what lies in its padding depends on ``junk``, the rest does not."""
    kind, _, axes = axes.rpartition(" ")
    shape = [SIZE.get(axis, FEATURES) for axis in axes]
    if kind.startswith("length"):
        return REAL[kind[-1]].astype("int32")
    if kind == "mask":
        return np.arange(SIZE["T"])[None] < REAL["T"][:, None]
    values, other = (_numbers(kind, shape, seed) for seed in (7, 8 + junk))
    real = np.ones(shape, bool)
    for axis, letter in enumerate(axes):
        if letter in REAL:
            steps = np.arange(shape[axis]) < REAL[letter].reshape(-1, 1)
            real &= steps.reshape([shape[0] if n == 0 else shape[axis] if n == axis else 1 for n in range(len(shape))])
    return np.where(real, values, other)


def _numbers(kind: str, shape: list[int], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    if kind == "tokens":
        return random.integers(1, VOCABULARY, shape).astype("int32")
    if kind == "pixels":
        return random.integers(0, 256, shape).astype("uint8")
    if kind == "words":
        random = np.random.default_rng([seed, 1])  # other numbers than those of the states beside them
    return random.normal(size=shape).astype("float32")


def cut(array: Any, axes: str, row: int) -> np.ndarray:
    """Return one row without its padding, with a batch axis of 1."""
    array = np.array(array)[row : row + 1]
    for axis, letter in enumerate(axes.rpartition(" ")[2]):
        if letter in REAL:
            array = array.take(range(REAL[letter][row]), axis=axis)
    return array


def _masked(layer: Any, x: Any, mask: Any, **how: Any) -> Any:
    return layer(x, mask=mask, **how)


def _lexical(layer: Any, tokens: Any, lengths: Any, states: Any, state_lengths: Any, words: Any, **how: Any) -> Any:
    return layer(tokens, lengths, states, state_lengths, words=words, **how)


KEPT = {"return_sequences": True, "return_state": True}
STACK = {"units": 4, "layers": 2, "dropout": 0.3, "residual": True, "layer_norm": True, "seed": 1}
DECODER = {"vocabulary_size": VOCABULARY, "embedding_size": 4, "units": 4, "dropout": 0.3, "seed": 1}
SEQUENCE, MASKED = ("BT.", "lengthsT B"), ("BT.", "mask BT")
ATTENTION, READ = ("BU.", "BT.", "lengthsT B"), ("BU.", "BUT")
TARGET = ("tokens BU", "lengthsU B", "BT.", "lengthsT B")

POOLING = {f"{kind} pooling": Block(Pooling, {"kind": kind}, SEQUENCE, ("B.", "BT")) for kind in POOLING_KINDS}
BLOCKS = POOLING | {
    "lstm": Block(recurrent.LSTM, {"units": 4, **KEPT}, MASKED, ("BT.", "B.", "B."), _masked),
    "gru": Block(recurrent.GRU, {"units": 4, **KEPT}, MASKED, ("BT.", "B."), _masked),
    "simple": Block(recurrent.SimpleRNN, {"units": 4, **KEPT}, MASKED, ("BT.", "B."), _masked),
    "mingru": Block(recurrent.MinGRU, {"units": 4, **KEPT}, MASKED, ("BT.", "B."), _masked),
    "minlstm": Block(recurrent.MinLSTM, {"units": 4, **KEPT}, MASKED, ("BT.", "B."), _masked),
    "rglru": Block(recurrent.RGLRU, {"units": 4, **KEPT}, MASKED, ("BT.", "B."), _masked),
    "bidirectional": Block(
        recurrent.Bidirectional,
        {"layer": recurrent.GRU(4, return_sequences=True)},
        MASKED,
        ("BT.",),
        _masked,
    ),
    "stack": Block(recurrent.RecurrentStack, {"cell": "lstm", **STACK}, SEQUENCE, ("BT.", *["B."] * 4)),
    "stack, both directions": Block(
        recurrent.RecurrentStack, {"cell": "gru", "bidirectional": True, **STACK}, SEQUENCE, ("BT.", *["B."] * 4)
    ),
    "stack, both directions, parallel": Block(
        recurrent.RecurrentStack, {"cell": "rglru", "bidirectional": True, **STACK}, SEQUENCE, ("BT.", *["B."] * 4)
    ),
    "additive": Block(AdditiveAttention, {"units": 7}, ATTENTION, READ),
    "general": Block(MultiplicativeAttention, {"kind": "general"}, ATTENTION, READ),
    "scaled dot": Block(MultiplicativeAttention, {"kind": "scaled_dot"}, ATTENTION, READ),
    "text encoder": Block(
        TextEncoder,
        {"vocabulary_size": VOCABULARY, "embedding_size": 4, "units": 4, "dropout": 0.3, "seed": 1},
        ("tokens BT", "lengthsT B"),
        ("BT.", "B.", "BT."),
    ),
    "grid encoder": Block(GridEncoder, {"units": 6, "dropout": 0.3, "seed": 1}, ("B...",), ("B..", "B")),
    "subsampling": Block(ConvolutionalSubsampling, {"units": 6, "filters": (3, 4)}, SEQUENCE, ("BS.", "B")),
    "convolutional grid": Block(ConvolutionalGrid, {"filters": (4, 6)}, ("pixels B...",), ("B...",)),
    "decoder": Block(AttentionDecoder, DECODER, TARGET, ("BU.", "BUT")),
    "decoder, two layers, gate": Block(
        AttentionDecoder,
        {**DECODER, "cell": "lstm", "layers": 2, "attention": "general", "context_gate": True},
        TARGET,
        ("BU.", "BUT"),
    ),
    "decoder, untied": Block(AttentionDecoder, {**DECODER, "attention": "scaled_dot", "tied": False}, TARGET, READ),
    "decoder, context recurrence": Block(
        AttentionDecoder, {**DECODER, "cell": "lstm", "context_recurrence": True, "context_gate": True}, TARGET, READ
    ),
    "decoder, context recurrence over two layers": Block(
        AttentionDecoder, {**DECODER, "layers": 2, "context_recurrence": True, "attention": "general"}, TARGET, READ
    ),
    "decoder, parallel cells": Block(
        AttentionDecoder, {**DECODER, "cell": "minlstm", "layers": 2, "context_recurrence": True}, TARGET, READ
    ),
    "decoder, lexical": Block(
        AttentionDecoder,
        {**DECODER, "context_recurrence": True, "lexical": True},
        (*TARGET, "words BT."),
        READ,
        _lexical,
    ),
}
DROPPED = {
    "stack": 1,
    "stack, both directions": 1,
    "stack, both directions, parallel": 1,
    "text encoder": 2,
    "grid encoder": 1,
    "decoder": 2,
    "decoder, two layers, gate": 3,
    "decoder, untied": 2,
    "decoder, context recurrence": 3,
    "decoder, context recurrence over two layers": 4,
    "decoder, parallel cells": 4,
    "decoder, lexical": 3,
}
"""Tensors of each block that lose units in training, counted in what its docstring promises for ``dropout``."""
