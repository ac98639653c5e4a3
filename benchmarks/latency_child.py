"""One export in a fresh process: seconds to load, seconds to the first answer, and milliseconds of the next ones.

    python -I latency_child.py KIND FILE REQUESTS CORES SECONDS

``KIND`` is saved_model, onnx or litert; ``REQUESTS`` a folder with one folder for each request that holds its inputs,
``NAME.npy`` for numbers, ``NAME.tensor`` for a serialised tensor of a SavedModel. Prints one JSON object. Nothing but
the runtime itself is imported, and its import counts.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LEAST, MOST = 10, 200

Answer = Callable[[Any], Any]
"""What a request takes: inputs as the runtime wants them -> outputs in memory."""


def main(kind: str, file: Path, requests: Path, cores: int, seconds: float) -> None:
    """Measure and print."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    folders = sorted(path for path in requests.iterdir() if path.is_dir())
    begin = time.perf_counter()
    answer, read = OPENERS[kind](file, cores)
    loaded = time.perf_counter() - begin
    first = read(folders[0])
    answer(first)
    cold = time.perf_counter() - begin
    inputs = [first, *(read(folder) for folder in folders[1:])]
    for x in inputs:  # shapes that are new cost more once
        answer(x)
    times, end = [], time.perf_counter() + seconds
    while len(times) < LEAST or (time.perf_counter() < end and len(times) < MOST):
        x = inputs[len(times) % len(inputs)]
        start = time.perf_counter()
        answer(x)
        times.append(1000 * (time.perf_counter() - start))
    found = {"load_seconds": loaded, "cold_seconds": cold, "p50_ms": statistics.median(times), "requests": len(times)}
    print(json.dumps(found))


def open_saved_model(folder: Path, cores: int) -> tuple[Answer, Callable[[Path], Any]]:
    """Load with TensorFlow alone."""
    import tensorflow as tf  # noqa: PLC0415  # its import is part of what is measured

    tf.config.threading.set_intra_op_parallelism_threads(cores)
    tf.config.threading.set_inter_op_parallelism_threads(cores)
    module = tf.saved_model.load(str(folder))
    serve = module.signatures["serving_default"]
    kinds = {name: spec.dtype for name, spec in serve.structured_input_signature[1].items()}

    def read(request: Path) -> Any:
        return {n: tf.io.parse_tensor((request / f"{n}.tensor").read_bytes(), kind) for n, kind in kinds.items()}

    def answer(x: Any) -> Any:
        return module and {name: value.numpy() for name, value in serve(**x).items()}  # the module keeps its variables

    return answer, read


def open_onnx(file: Path, cores: int) -> tuple[Answer, Callable[[Path], Any]]:
    """Load in onnxruntime."""
    import onnxruntime  # noqa: PLC0415  # its import is part of what is measured

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, x), _arrays


def open_litert(file: Path, cores: int) -> tuple[Answer, Callable[[Path], Any]]:
    """Load in the LiteRT interpreter; every request brings its own length."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  # its import is part of what is measured

    interpreter = Interpreter(str(file), num_threads=cores)
    details = interpreter.get_input_details()

    def answer(x: Any) -> Any:
        for detail in details:
            interpreter.resize_tensor_input(detail["index"], x[detail["name"]].shape)
        interpreter.allocate_tensors()
        for detail in details:
            interpreter.set_tensor(detail["index"], x[detail["name"]])
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]

    return answer, _arrays


def _arrays(request: Path) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415  # each runtime imports it anyway

    return {path.stem: np.load(path, allow_pickle=False) for path in request.glob("*.npy")}


OPENERS = {"saved_model": open_saved_model, "onnx": open_onnx, "litert": open_litert}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
