"""SavedModel export: raw inputs, TensorFlow only, verified against the run in a fresh process."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from models.recurrent.kernels import portable
from pipelines.config import VERSION
from pipelines.data.source import Example
from pipelines.export.formats import OLDER
from pipelines.predictor import CARD
from pipelines.runs.files import replacing
from pipelines.runs.load import Loaded, load_run

FORBIDDEN = ("Cudnn", "PyFunc", "EagerPyFunc", "NumpyFunc", "Xla")
Answers = Callable[[], list[dict[str, np.ndarray]]]


@dataclass(frozen=True)
class Proven:
    """A verified export and its answers in a fresh process.

    Attributes:
        folder: the SavedModel.
        examples: the inputs: the task's hard cases, then built-in test examples.
        answers: outputs of the default signature, one row per example.
    """

    folder: Path
    examples: list[Example]
    answers: dict[str, np.ndarray]


def export(run: str | Path, out: str | Path | None = None, samples: int = 16, **decoding: Any) -> Path:
    """Export a run as a SavedModel and verify it; arguments and errors of `prove`, returns the folder."""
    return prove(run, out, samples, **decoding).folder


def prove(
    run: str | Path,
    out: str | Path | None = None,
    samples: int = 16,
    meanwhile: Callable[[], object] = lambda: None,
    **decoding: Any,
) -> Proven:
    """Export a run as a SavedModel, run it in a fresh process, and compare the answers with the run's.

    Args:
        run: the run folder.
        out: the folder to write, by default ``export`` in the run; an older export is replaced after verification.
        samples: number of built-in test examples to compare.
        meanwhile: called while the fresh process works.
        **decoding: decoding settings that override the run's own, e.g. ``beam_width=1``.

    Raises:
        ValueError: the run cannot be loaded, or ``out`` is not an export.
        RuntimeError: the export differs from the run or holds operations that TensorFlow Serving lacks.
    """
    loaded = load_run(run, **decoding)
    target = Path(out).expanduser() if out is not None else loaded.run.path / "export"
    with replacing(target, *OLDER["saved_model"]) as staging, fresh() as ask:
        source = loaded.task.builtin_source()
        examples = [*loaded.task.hard_cases(), *itertools.islice(source.read("test"), samples)]
        inputs = dict(loaded.task.serving_inputs(examples, loaded.task.card()))
        expected = _save(loaded, staging, inputs)
        bad = sorted(op for op in operations(staging) if op.startswith(FORBIDDEN))
        if bad:
            raise RuntimeError(f"the export holds operations that a plain server cannot run: {', '.join(bad)}")
        answered = ask(staging, inputs)
        meanwhile()
        answers, served = answered()
        for found in (answers, served):
            _compare(found, expected, loaded.task.tolerance())
    return Proven(target, examples, answers)


def _save(loaded: Loaded, folder: Path, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    task = loaded.task
    serving = task.serving(loaded.model)
    with portable():
        expected = {name: value.numpy() for name, value in serving(**inputs).items()}
        signatures = {"serving_default": serving.concrete(), **task.further_signatures(loaded.model)}
        try:
            tf.saved_model.save(_owner(serving, signatures), str(folder), signatures=signatures)
        except (tf.errors.OpError, OSError) as error:
            reason = " ".join(str(error).split())[-200:]
            raise RuntimeError(f"the export cannot be written to {folder.parent}: {reason}") from None
    card = {"task": task.name, "version": VERSION, "answer": task.answer_output} | task.card()
    (folder / CARD).parent.mkdir(exist_ok=True)
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    return expected


def _owner(serving: tf.Module, signatures: dict[str, Any]) -> tf.Module:
    """Return the module to save: the functions with their variables and tables.

    The variables are TensorFlow's own. TensorFlow would save a copy of a Keras variable in the module, and restore only
    the copy in TensorFlow Serving, so that the functions lack their variables (Keras issue 20096);
    `tf.saved_model.load` is not affected.
    """
    module = tf.Module()
    module.serve = signatures["serving_default"]  # a concrete function, which is not traced again
    module.weights = list({id(v): v for one in signatures.values() for v in one.variables}.values())
    parts = (value for part in (serving, *serving.submodules) for value in vars(part).values())
    module.tables = [part for part in parts if isinstance(part, tf.saved_model.experimental.TrackableResource)]
    return module


def operations(folder: Path) -> set[str]:
    """Return the types of all operations in a SavedModel, including its functions."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    found: set[str] = set()
    for graph in (meta.graph_def for meta in saved.meta_graphs):
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        found |= {node.op for node in nodes}
        compiled = [f for f in graph.library.function if f.attr["_XlaMustCompile"].b]
        found |= {"XlaMustCompile"} if compiled else set()
    return found


def _compare(answers: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float) -> None:
    if set(answers) != set(expected):
        raise RuntimeError(f"the export answers {sorted(answers)}, the run {sorted(expected)}")
    for name, value in expected.items():
        got = answers[name]
        if got.shape != value.shape:
            raise RuntimeError(f"the export's {name} has shape {got.shape}, the run's {value.shape}")
        if np.issubdtype(value.dtype, np.floating):
            gap = float(np.max(np.abs(got - value) / np.maximum(1, np.abs(value)), initial=0.0))
            if not gap <= tolerance:
                raise RuntimeError(f"the export's {name} differs from the run's by {gap:.2g}, allowed is {tolerance}")
        elif not np.array_equal(got, value):
            rows = int((got != value).reshape(len(value), -1).any(axis=1).sum())
            raise RuntimeError(
                f"the export's {name} differs from the run's in {rows} of {len(value)} inputs (what has hardly learned "
                "has many answers that score alike: train longer)"
            )


@contextmanager
def fresh() -> Iterator[Callable[[Path, dict[str, Any]], Answers]]:
    """Start a process that imports only TensorFlow; its start overlaps with writing the export.

    The yielded function sends ``inputs`` to the SavedModel in ``folder``, once, and returns a function that waits for
    the outputs by name, each [B, ...]: as `tf.saved_model.load` gives them, and as TensorFlow Serving does. It raises
    RuntimeError with the last error output of a failed process.
    """
    command = [sys.executable, "-P", str(Path(__file__).with_name("fresh_process.py"))]
    env, pipe = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}, subprocess.PIPE
    with (
        tempfile.TemporaryDirectory() as exchange,
        subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, text=True, env=env) as process,
    ):
        try:
            yield lambda folder, inputs: _asked(process, Path(exchange), folder, inputs)
        finally:
            process.kill()


def _asked(process: subprocess.Popen[str], exchange: Path, folder: Path, inputs: dict[str, Any]) -> Answers:
    assert process.stdin
    for name, value in inputs.items():
        (exchange / f"{name}.in").write_bytes(tf.io.serialize_tensor(value).numpy())
    kinds = {name: tf.convert_to_tensor(value).dtype.name for name, value in inputs.items()}
    (exchange / "kinds.json").write_text(json.dumps(kinds))
    with suppress(BrokenPipeError), process.stdin as question:  # a failed process is reported by _answered
        question.write(json.dumps([str(folder.resolve()), str(exchange)]))
    return lambda: _answered(process, exchange)


def _answered(process: subprocess.Popen[str], exchange: Path) -> list[dict[str, np.ndarray]]:
    assert process.stderr
    words = process.stderr.read()
    if process.wait():
        raise RuntimeError(f"the export fails in a fresh process: {' '.join(words.split())[-300:]}")
    kinds = json.loads((exchange / "answers.json").read_text())
    return [
        {n: tf.io.parse_tensor((exchange / f"{n}.{way}").read_bytes(), kind).numpy() for n, kind in kinds.items()}
        for way in ("loaded", "served")
    ]
