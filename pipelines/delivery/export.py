"""Export: a SavedModel that takes the raw input and needs TensorFlow alone, proven in a fresh process."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from models.kernels import portable
from pipelines import __version__
from pipelines.delivery.predictor import CARD
from pipelines.training.loading import Loaded, load_run

FORBIDDEN = ("Cudnn", "PyFunc", "EagerPyFunc", "NumpyFunc", "Xla")
TOLERANCE = 1e-4
"""Largest difference of a float output between run and export, of values above 1 relative; both are float32."""


def export(run: str | Path, out: str | Path | None = None, samples: int = 16, **decoding: Any) -> Path:
    """Write a run as a SavedModel and prove that it answers as the run does.

    Args:
        run: the run folder.
        out: the folder to write; ``export`` within the run when left out. An older export there is replaced once the
            new one is proven.
        samples: built-in test examples on which run and export are compared.
        **decoding: settings out of ``config.DECODING`` that replace the run's own, e.g. ``beam_width=1``.

    Returns:
        The folder.

    Raises:
        ValueError: the run cannot be loaded, or ``out`` is something else than an export.
        RuntimeError: the export differs from the run or holds operations that TensorFlow Serving lacks.
    """
    loaded = load_run(run, **decoding)
    target = Path(out).expanduser() if out is not None else loaded.run.path / "export"
    if target.exists() and not (target / "saved_model.pb").exists():
        raise ValueError(f"--out {target}: exists and is no SavedModel; name another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        inputs = _samples(loaded, samples)
        expected = _save(loaded, staging, inputs)
        _refuse_operations(staging)
        _prove(staging, inputs, expected)
        _replace(staging, target)
    except OSError as error:
        raise RuntimeError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _samples(loaded: Loaded, count: int) -> dict[str, Any]:
    source = loaded.task.open_source("synthetic", loaded.task.Config())
    examples = [example for example, _ in zip(source.read("test"), range(count), strict=False)]
    return dict(loaded.task.serving_inputs(loaded.task.hard_cases() + examples))


def _save(loaded: Loaded, folder: Path, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    serving = loaded.task.serving(loaded.model, loaded.preprocessor, loaded.config)
    with portable():
        expected = {name: value.numpy() for name, value in serving(**inputs).items()}
        function = tf.function(serving.__call__, input_signature=serving.signature)
        serving.serve = function  # tracked, so that tables and variables are saved with it
        more = serving.further() if hasattr(serving, "further") else {}  # other signatures, such as one for streams
        signatures = {"serving_default": function.get_concrete_function(), **more}
        try:
            tf.saved_model.save(serving, str(folder), signatures=signatures)
        except (tf.errors.OpError, OSError) as error:
            reason = " ".join(str(error).split())[-200:]
            raise RuntimeError(f"the export cannot be written to {folder.parent}: {reason}") from None
    card = {"task": loaded.task.NAME, "version": __version__, "answer": loaded.task.ANSWER}
    (folder / CARD).parent.mkdir(exist_ok=True)
    (folder / CARD).write_text(json.dumps(card | loaded.task.describe(loaded.preprocessor), indent=1) + "\n", "utf-8")
    return expected


def operations(folder: Path) -> set[str]:
    """Return the kinds of all operations in a SavedModel, those of its functions included."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    found: set[str] = set()
    for graph in (meta.graph_def for meta in saved.meta_graphs):
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        found |= {node.op for node in nodes}
        compiled = [f for f in graph.library.function if f.attr["_XlaMustCompile"].b]
        found |= {"XlaMustCompile"} if compiled else set()
    return found


def _refuse_operations(folder: Path) -> None:
    bad = sorted(op for op in operations(folder) if op.startswith(FORBIDDEN))
    if bad:
        raise RuntimeError(f"the export holds operations that a plain server cannot run: {', '.join(bad)}")


def _prove(folder: Path, inputs: dict[str, Any], expected: dict[str, np.ndarray]) -> None:
    answers = run_fresh(folder, inputs)
    if set(answers) != set(expected):
        raise RuntimeError(f"the export answers {sorted(answers)}, the run {sorted(expected)}")
    for name, value in expected.items():
        got = answers[name]
        if got.shape != value.shape:
            raise RuntimeError(f"the export's {name} has shape {got.shape}, the run's {value.shape}")
        if np.issubdtype(value.dtype, np.floating):
            gap = float(np.max(np.abs(got - value) / np.maximum(1, np.abs(value)), initial=0.0))
            if not gap <= TOLERANCE:
                raise RuntimeError(f"the export's {name} differs from the run's by {gap:.2g}, allowed is {TOLERANCE}")
        elif not np.array_equal(got, value):
            raise RuntimeError(f"the export's {name} differs from the run's")


def run_fresh(folder: Path, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Answer ``inputs`` with a SavedModel in a new process that imports tensorflow and nothing of ours.

    Raises:
        RuntimeError: the process failed; holds its last words.
    """
    with tempfile.TemporaryDirectory() as exchange:
        for name, value in inputs.items():
            Path(exchange, f"{name}.in").write_bytes(tf.io.serialize_tensor(value).numpy())
        kinds = {name: tf.convert_to_tensor(value).dtype.name for name, value in inputs.items()}
        Path(exchange, "kinds.json").write_text(json.dumps(kinds))
        script = Path(__file__).with_name("fresh_process.py")
        command = [sys.executable, "-I", str(script), str(folder), exchange]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise RuntimeError(f"the export fails in a fresh process: {done.stderr.strip().splitlines()[-1:]}")
        kinds = json.loads(Path(exchange, "answers.json").read_text())
        return {
            name: tf.io.parse_tensor(Path(exchange, f"{name}.out").read_bytes(), kind).numpy()
            for name, kind in kinds.items()
        }


def _replace(staging: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}-old-{os.getpid()}")
    staging.chmod(0o755)
    if target.exists():
        target.rename(old)
    staging.rename(target)
    shutil.rmtree(old, ignore_errors=True)
