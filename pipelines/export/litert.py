"""LiteRT export of the network for single examples of any length, in three precisions, verified in ai-edge-litert.

Variables are frozen into constants and only built-in operations are allowed: a recurrent loop with variables or an open
batch converts to a model that fails or gives wrong numbers.
"""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from pipelines.export.formats import OLDER
from pipelines.export.numeric import BOUND, attempt, cases, deliver, largest_error, load, moved
from pipelines.log import say
from pipelines.runs.files import replacing
from pipelines.task import Arrays, Numeric

VARIANTS = {"float32": 0.0, "float16": 0.02, "dynamic": 0.1}
"""Weights in float32, float16, and 8-bit integers with dynamic activations; with the allowed shift of probability (see
``moved``). float32 must meet ``BOUND`` instead."""
TIMED = 5


def export(run: str | Path, out: str | Path | None = None) -> Path:
    """Export the network of a run for LiteRT and verify it against the run.

    Args:
        run: the run folder.
        out: the folder to write, by default ``litert`` in the run; an older export is replaced after verification.

    Returns:
        The folder: ``float32.tflite``, ``float16.tflite``, ``dynamic.tflite``, ``model.json``, and the files it names.
        A variant of lower precision that differs too much from the run is left out, with a message.

    Raises:
        ValueError: the run cannot be loaded, or ``out`` is not such an export.
        RuntimeError: the network cannot be converted, or the export differs from the run.
    """
    loaded, numeric = load(run)
    target = Path(out).expanduser() if out is not None else loaded.run.path / "litert"
    with replacing(target, *OLDER["litert"]) as staging:
        tried = cases(loaded, numeric)
        files: dict[str, Any] = {}
        for name, content in _convert(numeric).items():
            facts = _measured(content, numeric, tried)
            if _accepted(name, len(content), facts):
                (staging / f"{name}.tflite").write_bytes(content)
                files[f"{name}.tflite"] = facts | {"milliseconds": round(facts["milliseconds"], 3)}
        deliver(staging, loaded, numeric, "litert", files)
    return target


def _convert(numeric: Numeric) -> dict[str, bytes]:
    def converted(name: str) -> bytes:
        traced = numeric.traced(batch=1, unmasked=True, sheltered=name == "dynamic").get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(traced)])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if name != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if name == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())

    return attempt(lambda: {name: converted(name) for name in VARIANTS}, "the network cannot be converted to LiteRT")


def _measured(content: bytes, numeric: Numeric, tried: list[tuple[Arrays, Arrays]]) -> dict[str, float]:
    """Compare a variant with the run; ``milliseconds`` is the median of the longest input on one core."""
    longest = max((x for x, _ in tried), key=lambda x: max(value.size for value in x.values()))

    def work() -> tuple[list[Arrays], list[float]]:
        interpreter = Interpreter(model_content=content, num_threads=1)
        answers, times = [run(interpreter, x, numeric) for x, _ in tried], []
        for _ in range(TIMED):
            begin = time.perf_counter()
            run(interpreter, longest, numeric)
            times.append(1000 * (time.perf_counter() - begin))
        return answers, times

    answers, times = attempt(work, "the export fails in ai-edge-litert")
    pairs = [(expected, got) for (_, expected), got in zip(tried, answers, strict=True)]
    errors, shares = ([measure(*pair) for pair in pairs] for measure in (largest_error, moved))
    return {"largest_error": max(errors), "moved": max(shares), "milliseconds": statistics.median(times)}


def run(interpreter: Any, x: Mapping[str, Any], numeric: Numeric) -> Arrays:
    """Run one example: inputs by name, each [1, ...] -> outputs by name.

    Outputs are in the order of their names, independently of the names in the file.
    """
    details = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
    for name, value in x.items():
        interpreter.resize_tensor_input(details[name], value.shape)
    interpreter.allocate_tensors()
    for name, value in x.items():
        interpreter.set_tensor(details[name], value)
    interpreter.invoke()
    names = sorted(port.name for port in numeric.outputs)
    outputs = interpreter.get_output_details()
    return {name: interpreter.get_tensor(detail["index"]) for name, detail in zip(names, outputs, strict=True)}


def _accepted(name: str, size: int, facts: Mapping[str, float]) -> bool:
    """Report a variant, and return whether it is close enough to the run.

    Raises:
        RuntimeError: the float32 variant is not.
    """
    error, share, allowed = facts["largest_error"], 100 * facts["moved"], 100 * VARIANTS[name]
    if name == "float32" and not error <= BOUND:
        raise RuntimeError(f"the export differs from the run by {error:.2g}, allowed is {BOUND}")
    if name != "float32" and not facts["moved"] <= VARIANTS[name]:
        say(f"{name}.tflite: left out: it moves {share:.2g} % of the probability, allowed are {allowed:g} %")
        return False
    say(
        f"{name}.tflite: {size / 1e6:.2f} MB, largest error {error:.1g}, moves {share:.2g} % of the probability, "
        f"{facts['milliseconds']:.1f} ms for the longest input tried"
    )
    return True
