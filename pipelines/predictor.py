"""Predictions from a trained run or from an export."""

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.runs.load import Loaded, load_run
from pipelines.task import Prediction, Serving, Task
from pipelines.tasks import load_task
from pipelines.training.decode import COMPILED_FROM, Decoder, prepared

CARD = Path("assets.extra") / "pipelines.json"
NUMBERS = "biufc"
"""Kinds of NumPy types that hold numbers."""
SMALL = 32
"""More inputs at once are taken as a sign that many follow, for which layers are worth compiling."""


class Predictor:
    """Raw inputs in, answers out.

    Example::

        predictor = Predictor("runs/reviews")
        predictor(["A wonderful, moving film."])[0]["answer"]  # 'positive'

    Attributes:
        task: the task's class; of a run, with its configuration.
    """

    def __init__(self, path: str | Path, **decoding: Any) -> None:
        """Load a run folder, or a SavedModel that ``pipelines export`` wrote.

        Args:
            path: the folder.
            **decoding: settings of the decoding that replace the run's own, e.g. ``beam_width=1``.

        Raises:
            ValueError: ``path`` is neither, or was changed; an export does not take settings.
        """
        self.path = Path(path).expanduser()
        self.loaded: Loaded | None = None
        if (self.path / "saved_model.pb").exists():
            if decoding:
                raise ValueError(f"{self.path}: an export decodes as it was exported; {next(iter(decoding))} is fixed")
            self._load_export()
        else:
            self.loaded = prepared(load_run(self.path, **decoding))
            self.task: Task | type[Task] = self.loaded.task
            self._few, self._many = Decoder(self.loaded), Decoder(self.loaded, passes=COMPILED_FROM)

    def traced(self) -> "Predictor":
        """Answer with one graph from the raw input on, as an export does: for few inputs at a time, many times."""
        if self.loaded is not None:
            task, model = self.loaded.task, self.loaded.model
            self._module: Serving | Any = task.serving(model)
            self._serve = self._module.concrete()
            self.card = task.card()
            self.loaded = None
        return self

    def _load_export(self) -> None:
        try:
            self.card = json.loads((self.path / CARD).read_text("utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise ValueError(f"{self.path / CARD}: cannot be read: {error}; was it written by export?") from None
        self.task = load_task(self.card["task"])
        self._module = tf.saved_model.load(self.path)  # kept: its variables die with it
        self._serve = self._module.signatures["serving_default"]

    def __call__(self, inputs: Any) -> list[Prediction]:
        """Answer one input or many; always a list, in the order given.

        Args:
            inputs: one raw input (text, bytes, path, or an array of samples [N]), or a list, tuple, NumPy array or
                pandas Series of them, see `as_list`.

        Returns:
            One prediction an input, with at least ``id``, ``input``, ``answer`` and ``score``.

        Raises:
            ValueError: an input is of a kind that the task does not take.
        """
        examples = self.task.parse(as_list(inputs, self.task.modality.rank))
        if not examples:
            return []
        if self.loaded is None:
            return self._from_export(examples)
        encoded = self.loaded.task.encode(examples, "predict")
        return (self._many if len(encoded) > SMALL else self._few)(encoded)

    def _from_export(self, examples: list[dict[str, Any]]) -> list[Prediction]:
        outputs = {k: v.numpy() for k, v in self._serve(**self.task.serving_inputs(examples, self.card)).items()}
        rows = [{name: values[row] for name, values in outputs.items()} for row in range(len(examples))]
        return [self.task.answer(self.card, example, row) for example, row in zip(examples, rows, strict=True)]

    def each(self, inputs: list[Any]) -> list[Prediction]:
        """Answer inputs of which each may be unusable: where the whole list fails, its halves are tried.

        Returns:
            One prediction an input, in order; a failed one has an empty answer of score 0 and its reason under
            ``error``.
        """
        if not inputs:
            return []
        try:
            return self(inputs)
        except Exception as error:  # whatever one input causes must not take its neighbours along
            if len(inputs) == 1:
                reason = " ".join(str(error).split())[:500] or type(error).__name__
                return [Predictor.failed(inputs[0], reason)]
        half = len(inputs) // 2
        return self.each(inputs[:half]) + self.each(inputs[half:])

    @staticmethod
    def failed(given: Any, reason: str) -> Prediction:
        """Return the prediction of an input that cannot be answered."""
        return {"id": "0", "input": _shown(given), "answer": "", "score": 0.0, "error": reason}

    def stream(self, inputs: Iterable[Any], chunk: int = 512) -> Iterator[Prediction]:
        """Answer an endless or very long iterable, ``chunk`` inputs at a time; ids count through."""
        source, number = iter(inputs), itertools.count()
        while part := list(itertools.islice(source, chunk)):
            yield from (prediction | {"id": str(next(number))} for prediction in self(part))


def as_list(inputs: Any, rank: int = 1) -> list[Any]:
    """Return one input, a sequence, an array or a pandas Series as a list; NumPy strings become ``str``.

    Args:
        inputs: one input or many.
        rank: axes of one input that is an array of numbers: with so many (or fewer) it is one input, such as samples
            [N], a series [T, D] or a clip [T, Y, X, 3]; with one more it is a batch of inputs.
    """
    if isinstance(inputs, str | bytes | Path):
        return [inputs]
    if hasattr(inputs, "__array__") and not hasattr(inputs, "to_numpy"):
        array = np.asarray(inputs)
        if array.dtype.kind in NUMBERS:
            return [inputs] if array.ndim <= max(rank, 1) else list(array)
        values = array.tolist()
    else:
        values = inputs.tolist() if hasattr(inputs, "to_numpy") else list(inputs)
    values = values if isinstance(values, list) else [values]
    return [str(value) if isinstance(value, np.str_) else value for value in values]


def _shown(given: Any) -> str:
    return given if isinstance(given, str) else str(given) if isinstance(given, Path) else f"<{type(given).__name__}>"
