"""Types in the interface of a task: modes, fields, phases, networks between numbers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines.data.batching import Encoded, Transform
from pipelines.data.source import Source

Mode = Literal["train", "score", "predict"]
"""Why examples are encoded: to learn from them, to score answers to them, or to answer inputs without references."""
Prediction = dict[str, Any]
"""One line of predictions.jsonl: ``id``, ``input``, ``references``, ``answer``, ``score``, and what a task adds.

All values are JSON types; an answer is a text, or an array or object where a task predicts numbers.
"""
Card = Mapping[str, Any]
"""Facts that a client of an export needs, as JSON types; ``Task.card`` returns it."""
Row = Mapping[str, np.ndarray]
"""The outputs of one example: each tensor of ``Task.outputs`` without its batch axis."""
Loss = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Any, Any]]
"""(x, y) -> (value float32 [B], weight float32 [B]), see ``Task.loss``."""
SCORES = "log_probabilities"
"""The output that every network between numbers has: natural logarithms, float32 [B, ..., V]."""
Arrays = dict[str, np.ndarray]
TOLERANCE = 1e-4
"""Largest difference of a float output between run and export; relative for values above 1."""


class Preprocessor(Protocol):
    """What is learned from the training split: kept in the run, and the same object in training and export."""

    FILES: ClassVar[tuple[str, ...]]

    def save(self, folder: Path) -> None:
        """Write the files named in ``FILES`` into ``folder``."""


@dataclass(frozen=True)
class Modality:
    """The kind of a raw input.

    Attributes:
        kind: what it is.
        rank: axes of one input given as an array: 1 for samples [N], 2 for a series [T, D], 3 for a picture [Y, X, 3],
            4 for a clip [T, Y, X, 3]; 0 where an input is no array.
        media: media type of an uploaded file, such as ``image/*``; empty where the input is text.
    """

    kind: Literal["text", "audio", "image", "series", "clip"]
    rank: int = 0
    media: str = ""


@dataclass(frozen=True)
class Field:
    """One tensor of a batch.

    Attributes:
        dtype: its type.
        axes: names of its axes; the first is ``batch``, and a padded one is called ``time``.
        optional: present in some batches only, such as in those of a training with augmentation.
    """

    dtype: str
    axes: tuple[str, ...]
    optional: bool = False


@dataclass(frozen=True)
class DecodingData:
    """Data that a task may read before it decodes, see ``Task.prepared``.

    Attributes:
        scored: the data to be decoded; None when single inputs are answered.
        trained_on: opens the data that the run was trained on; raises ValueError when it is gone.
        encoded: encodes a split of a source for scoring.
    """

    scored: Source | None
    trained_on: Callable[[], Source]
    encoded: Callable[[Source, str], Encoded]


@dataclass(frozen=True)
class Phase:
    """Epochs at the end of a training with another loss, such as self-critical training.

    Attributes:
        epochs: how many.
        loss: see `Loss`.
        transform: in-graph change of a batch.
        rate: learning rate, as a share of the settings' own; it falls linearly to 0.
        share: final weights lie between those before (0) and after (1) the phase.
    """

    epochs: int
    loss: Loss
    transform: Transform
    rate: float
    share: float = 1.0


@dataclass(frozen=True)
class Port:
    """One input or output of a network: ``axes`` names its dimensions, the first of which is ``batch``."""

    name: str
    dtype: str
    axes: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Numeric:
    """A network between numbers, for ONNX and LiteRT, see `pipelines.export.numeric`.

    Attributes:
        function: the inputs by name -> the outputs by name, in TensorFlow; every axis of the inputs is open.
        inputs: what it takes.
        outputs: what it gives; among it ``SCORES``, and ``steps`` int32 [B] where only
            so many of its steps are real.
        random: a generator -> random inputs of one example each, from the shortest to the longest.
        files: files of the run that a consumer needs.
        preprocessing: settings of the way from raw input to numbers, as JSON types.
        decoding: what a consumer must know to turn numbers into an answer, as JSON types.
        sheltered: the same function where constants that 8 bits would spoil are hidden from converters; None if the
            function has no such.
    """

    function: Callable[..., dict[str, Any]]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    random: Callable[[np.random.Generator], Iterable[Arrays]]
    files: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    decoding: Mapping[str, Any]
    sheltered: Callable[..., dict[str, Any]] | None = None

    def signature(self, batch: int | None = None) -> list[tf.TensorSpec]:
        """Describe the inputs to ``tf.function``; ``batch`` fixes the first axis."""
        return [tf.TensorSpec([batch, *[None] * (len(p.axes) - 1)], p.dtype, name=p.name) for p in self.inputs]

    def traced(self, batch: int | None = None, unmasked: bool = False, sheltered: bool = False) -> Any:
        """The function as a ``tf.function``, traced already, with plain operations; ``unmasked`` as in ``portable``."""
        chosen = self.sheltered if sheltered and self.sheltered else self.function
        function = tf.function(chosen, input_signature=self.signature(batch), autograph=False)
        with portable(unmasked):
            function.get_concrete_function()
        return function
