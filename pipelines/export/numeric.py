"""A network as numbers in and numbers out: what an ONNX or LiteRT file can hold, and the proof that it does.

A task that can be exported so has a module ``pipelines/TASK_numeric.py`` with ``numeric(model, preprocessor, config)``.
"""

import importlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines import __version__
from pipelines.data.batching import Encoded, batches
from pipelines.log import set_aside
from pipelines.runs.load import Loaded, load_run

CARD = "model.json"
SCORES = "log_probabilities"
"""The output that every task has: natural logarithms, float32 [B, ..., V]."""
BOUND = 1e-4
"""Largest difference of a float32 output from the run's, of values above 1 relative; see docs/exports.md."""

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Port:
    """One input or output: ``axes`` names its dimensions, the first of which is ``batch``."""

    name: str
    dtype: str
    axes: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Numeric:
    """A network between numbers.

    Attributes:
        function: the inputs by name -> the outputs by name, in TensorFlow; every axis of the inputs is open.
        inputs: what it takes.
        outputs: what it gives; among it ``SCORES``, and ``steps`` int32 [B] where only so many of its steps are real.
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


def load(path: str | Path) -> tuple[Loaded, Numeric]:
    """Load a run for an export between numbers; its network computes in float32 whatever it was trained in.

    Raises:
        ValueError: the run cannot be loaded.
    """
    loaded = load_run(path)
    if loaded.config.precision != "float32":
        keras.config.set_dtype_policy("float32")
        config = replace(loaded.config, precision="float32")
        model = loaded.task.build(config, loaded.preprocessor)
        model.set_weights(loaded.model.get_weights())
        loaded = replace(loaded, config=config, model=model)
    module = importlib.import_module(f"pipelines.tasks.{loaded.task.NAME}.numeric")
    return loaded, module.numeric(loaded.model, loaded.preprocessor, loaded.config)


def cases(loaded: Loaded, numeric: Numeric, count: int = 8) -> list[tuple[Arrays, Arrays]]:
    """Return what an export is tried on, with the run's answers: hard cases, built-in and random inputs of one example.

    Their lengths are their own: nothing is padded.
    """
    source = loaded.task.open_source("synthetic", loaded.task.Config())
    examples = [example for example, _ in zip(source.read("test"), range(count), strict=False)]
    encoded = loaded.task.encode(
        loaded.preprocessor, loaded.config, loaded.task.hard_cases() + examples, labelled=False
    )
    inputs = [*singles(numeric, encoded), *numeric.random(np.random.default_rng(0))]
    run = numeric.traced()
    return [(x, answers(run, x)) for x in inputs]


def singles(numeric: Numeric, encoded: Encoded) -> list[Arrays]:
    """Return encoded examples as inputs of one example each, nothing padded."""
    found = batches(encoded, [np.array([row]) for row in range(len(encoded))])
    return [{port.name: np.asarray(x[port.name]) for port in numeric.inputs} for x, _ in found]


def batch(numeric: Numeric, inputs: Iterable[Arrays]) -> tuple[Arrays, Arrays]:
    """Pad inputs of one example each with zeros into one batch, and give it with the run's answers."""
    rows = list(inputs)
    together = {port.name: _padded([row[port.name] for row in rows]) for port in numeric.inputs}
    return together, answers(numeric.traced(), together)


def answers(function: Any, x: Arrays) -> Arrays:
    """Call a traced function on the CPU, with plain operations: the inputs by name -> the outputs by name."""
    with portable(), tf.device("CPU:0"):  # a GPU would round its products to TF32
        outputs = function(**{name: tf.constant(value) for name, value in x.items()})
        return {name: value.numpy() for name, value in outputs.items()}


def _padded(rows: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    longest = np.max([row.shape for row in rows], axis=0)
    return np.concatenate([np.pad(r, [(0, 0), *((0, m - n) for n, m in zip(r.shape[1:], longest[1:], strict=True))])
                           for r in rows])  # fmt: skip


def attempt(work: Callable[[], Any], failed: str) -> Any:
    """Do work in a foreign library, which may raise anything, without what it writes to stderr.

    Raises:
        RuntimeError: it raised something; ``failed`` begins the sentence.
    """
    with set_aside():
        try:
            return work()
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
    raise RuntimeError(f"{failed}: {reason}")


def largest_error(expected: Mapping[str, np.ndarray[Any, Any]], got: Mapping[str, np.ndarray[Any, Any]]) -> float:
    """The largest difference of a float output, of values above 1 relative; integers must be equal.

    Raises:
        RuntimeError: an output is missing, of another type or shape, or an integer differs.
    """
    if set(expected) != set(got):
        raise RuntimeError(f"the export answers {sorted(got)}, the run {sorted(expected)}")
    worst = 0.0
    for name, value in expected.items():
        other = got[name]
        if (value.dtype, value.shape) != (other.dtype, other.shape):
            shapes = f"{other.dtype} {other.shape}, the run's {value.dtype} {value.shape}"
            raise RuntimeError(f"the export's {name} is {shapes}")
        if not np.issubdtype(value.dtype, np.floating):
            if not np.array_equal(value, other):
                raise RuntimeError(f"the export's {name} differs from the run's")
            continue
        gap = np.abs(value - other) / np.maximum(1, np.abs(value))
        worst = max(worst, float(np.max(np.where(np.isfinite(gap), gap, np.inf), initial=0.0)))
    return worst


def moved(expected: Mapping[str, np.ndarray[Any, Any]], got: Mapping[str, np.ndarray[Any, Any]]) -> float:
    """The share of probability that lies elsewhere in an export of one example, in the mean over its real steps.

    Half the sum of the absolute differences of the probabilities: 0 where they are equal, 1 where they share nothing.
    """
    one, two = (np.exp(np.float64(outputs[SCORES][0])).reshape(-1, outputs[SCORES].shape[-1])
                for outputs in (expected, got))  # fmt: skip
    real = int(expected["steps"][0]) if "steps" in expected else len(one)
    steps = 0.5 * np.abs(one - two).sum(-1)[:real]
    return float(np.where(np.isfinite(steps), steps, 1.0).mean()) if real else 0.0


def deliver(folder: Path, loaded: Loaded, numeric: Numeric, form: str, files: Mapping[str, Any]) -> None:
    """Write beside the ``files`` of an export what its consumer needs: the card, and files of the run.

    Args:
        folder: where the files lie.
        loaded: the run.
        numeric: its network.
        form: the format.
        files: what is known about each file.
    """
    for name in numeric.files:
        shutil.copy(loaded.run.verified(name), folder / name)
    card = {
        "task": loaded.task.NAME,
        "version": __version__,
        "format": form,
        "files": {name: {"bytes": (folder / name).stat().st_size, **facts} for name, facts in files.items()},
        "inputs": dict(_described(numeric.inputs)),
        "outputs": dict(_described(numeric.outputs)),
        "preprocessing": dict(numeric.preprocessing),
        "decoding": dict(numeric.decoding),
    }
    (folder / CARD).write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _described(ports: Iterable[Port]) -> Iterator[tuple[str, Any]]:
    for port in ports:
        yield port.name, {key: value for key, value in asdict(port).items() if key != "name"}
