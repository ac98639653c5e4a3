"""Numeric networks for ONNX and LiteRT, and their comparison with the run."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines.config import VERSION
from pipelines.data.batching import Encoded, batches
from pipelines.log import set_aside
from pipelines.runs.load import Loaded, load_run
from pipelines.task import SCORES, Arrays, Numeric, Port

CARD = "model.json"
BOUND = 1e-4
"""Largest difference of a float32 output from the run's, relative above 1; see docs/exports.md."""


def load(path: str | Path) -> tuple[Loaded, Numeric]:
    """Load a run for a numeric export; the network computes in float32, whatever its training precision.

    Raises:
        ValueError: the run cannot be loaded, or its network is useless alone.
    """
    loaded = load_run(path)
    if loaded.config.precision != "float32":
        keras.config.set_dtype_policy("float32")
        config = replace(loaded.config, precision="float32")
        task = type(loaded.task)(config, loaded.preprocessor)
        model = task.network()
        model.set_weights(loaded.model.get_weights())
        loaded = replace(loaded, task=task, model=model)
    numeric = loaded.task.numeric(loaded.model)
    if numeric is None:
        raise ValueError(f"{path}: is a {loaded.task.name} run, whose network is of no use alone")
    return loaded, numeric


def cases(loaded: Loaded, numeric: Numeric, count: int = 8) -> list[tuple[Arrays, Arrays]]:
    """Return test inputs with the run's answers: hard cases, built-in and random examples, one each, unpadded."""
    source = loaded.task.builtin_source()
    examples = [example for example, _ in zip(source.read("test"), range(count), strict=False)]
    encoded = loaded.task.encode(loaded.task.hard_cases() + examples, "predict")
    inputs = [*singles(numeric, encoded), *numeric.random(np.random.default_rng(0))]
    run = numeric.traced()
    return [(x, answers(run, x)) for x in inputs]


def singles(numeric: Numeric, encoded: Encoded) -> list[Arrays]:
    """Return encoded examples as unpadded inputs of one example each."""
    found = batches(encoded, [np.array([row]) for row in range(len(encoded))])
    return [{port.name: np.asarray(x[port.name]) for port in numeric.inputs} for x, _ in found]


def batch(numeric: Numeric, inputs: Iterable[Arrays]) -> tuple[Arrays, Arrays]:
    """Pad inputs of one example each with zeros to one batch, and return it with the run's answers."""
    rows = list(inputs)
    together = {port.name: _padded([row[port.name] for row in rows]) for port in numeric.inputs}
    return together, answers(numeric.traced(), together)


def answers(function: Any, x: Arrays) -> Arrays:
    """Call a traced function on the CPU with plain operations: inputs by name -> outputs by name."""
    with portable(), tf.device("CPU:0"):  # a GPU would use TF32 products
        outputs = function(**{name: tf.constant(value) for name, value in x.items()})
        return {name: value.numpy() for name, value in outputs.items()}


def _padded(rows: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    longest = np.max([row.shape for row in rows], axis=0)
    return np.concatenate([np.pad(r, [(0, 0), *((0, m - n) for n, m in zip(r.shape[1:], longest[1:], strict=True))])
                           for r in rows])  # fmt: skip


def attempt(work: Callable[[], Any], failed: str) -> Any:
    """Call a foreign library, which may raise anything, with its stderr output suppressed.

    Raises:
        RuntimeError: it raised; the message begins with ``failed``.
    """
    with set_aside():
        try:
            return work()
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
    raise RuntimeError(f"{failed}: {reason}")


def largest_error(expected: Mapping[str, np.ndarray[Any, Any]], got: Mapping[str, np.ndarray[Any, Any]]) -> float:
    """The largest difference of a float output, relative above 1; integers must be equal.

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
    """The shift of probability in an export of one example: total variation distance, averaged over its real steps."""
    one, two = (np.exp(np.float64(outputs[SCORES][0])).reshape(-1, outputs[SCORES].shape[-1])
                for outputs in (expected, got))  # fmt: skip
    real = int(expected["steps"][0]) if "steps" in expected else len(one)
    steps = 0.5 * np.abs(one - two).sum(-1)[:real]
    return float(np.where(np.isfinite(steps), steps, 1.0).mean()) if real else 0.0


def deliver(folder: Path, loaded: Loaded, numeric: Numeric, form: str, files: Mapping[str, Any]) -> None:
    """Complete an export in ``folder`` with its model card and files of the run; ``files`` holds facts on each file."""
    for name in numeric.files:
        shutil.copy(loaded.run.verified(name), folder / name)
    card = {
        "task": loaded.task.name,
        "version": VERSION,
        "format": form,
        "files": {name: {"bytes": (folder / name).stat().st_size, **facts} for name, facts in files.items()},
        "inputs": _described(numeric.inputs),
        "outputs": _described(numeric.outputs),
        "preprocessing": dict(numeric.preprocessing),
        "decoding": dict(numeric.decoding),
    }
    (folder / CARD).write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _described(ports: Iterable[Port]) -> dict[str, Any]:
    return {port.name: {key: value for key, value in asdict(port).items() if key != "name"} for port in ports}
