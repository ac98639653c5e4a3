"""SavedModel export: raw inputs in, TensorFlow alone needed, compared with the run in a fresh process."""

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
    """An export, and what it answered in a fresh process when it was compared with the run.

    Attributes:
        folder: the SavedModel.
        examples: what was asked: the task's hard cases, then built-in test examples.
        answers: each output of the default signature, a row for each example.
    """

    folder: Path
    examples: list[Example]
    answers: dict[str, np.ndarray]


def export(run: str | Path, out: str | Path | None = None, samples: int = 16, **decoding: Any) -> Path:
    """Write a run as a SavedModel and prove that it answers as the run does: the folder of `prove`.

    Args, errors: as there.
    """
    return prove(run, out, samples, **decoding).folder


def prove(
    run: str | Path,
    out: str | Path | None = None,
    samples: int = 16,
    meanwhile: Callable[[], object] = lambda: None,
    **decoding: Any,
) -> Proven:
    """Write a run as a SavedModel, ask it in a fresh process, and compare with the run.

    Args:
        run: the run folder.
        out: the folder to write; ``export`` within the run when left out. An older export there is replaced once the
            new one is proven.
        samples: built-in test examples on which run and export are compared.
        meanwhile: is called once the process has been asked, and done while it answers.
        **decoding: settings of the decoding that replace the run's own, e.g. ``beam_width=1``.

    Returns:
        The folder, and what the comparison saw.

    Raises:
        ValueError: the run cannot be loaded, or ``out`` is something else than an export.
        RuntimeError: the export differs from the run or holds operations that TensorFlow Serving lacks.
    """
    loaded = load_run(run, **decoding)
    target = Path(out).expanduser() if out is not None else loaded.run.path / "export"
    with replacing(target, *OLDER["saved_model"]) as staging, fresh() as ask:
        examples = _samples(loaded, samples)
        inputs = dict(loaded.task.serving_inputs(examples, loaded.task.card()))
        expected = _save(loaded, staging, inputs)
        _refuse_operations(staging)
        answered = ask(staging, inputs)
        meanwhile()
        answers, served = answered()
        allowed = loaded.task.tolerance()
        _compare(answers, expected, allowed)
        _compare(served, expected, allowed)
    return Proven(target, examples, answers)


def _samples(loaded: Loaded, count: int) -> list[Example]:
    source = loaded.task.builtin_source()
    return [*loaded.task.hard_cases(), *itertools.islice(source.read("test"), count)]


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
    """Return what is saved: a module that has the functions, and the variables and tables they read, and nothing else.

    The variables are TensorFlow's own. Of a Keras variable within the module TensorFlow would save a copy, and restore
    that one where the graph restores itself, as in TensorFlow Serving: the functions then find no variable (Keras issue
    20096). `tf.saved_model.load` goes another way and would not notice.
    """
    module = tf.Module()
    module.serve = signatures["serving_default"]  # traced already: a function would be traced again
    module.weights = list({id(v): v for one in signatures.values() for v in one.variables}.values())
    parts = (value for part in (serving, *serving.submodules) for value in vars(part).values())
    module.tables = [part for part in parts if isinstance(part, tf.saved_model.experimental.TrackableResource)]
    return module


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
    """Start a process that imports tensorflow and nothing of ours, which takes as long as writing an export does.

    The function yielded asks it to answer ``inputs`` with the SavedModel in ``folder``, once, and returns another one
    that waits for the answers: the outputs by name, each [B, ...], as `tf.saved_model.load` gives them, and as
    TensorFlow Serving does. That one raises RuntimeError with the last words of a process that failed.
    """
    command = [sys.executable, "-P", str(Path(__file__).with_name("fresh_process.py"))]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (
        tempfile.TemporaryDirectory() as exchange,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process,
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
    with suppress(BrokenPipeError), process.stdin as question:  # what has failed already says so when it is waited for
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
