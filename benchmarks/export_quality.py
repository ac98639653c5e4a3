"""Does less precision cost answers? The scores of a run on a split, from each file of its ONNX and LiteRT exports.

    python benchmarks/export_quality.py RUN ONNX_FOLDER LITERT_FOLDER [--data SPEC] [--split test] [--limit N]

Examples are answered one at a time, at their own length, and scored as ``pipelines evaluate`` scores the run. Speech is
decoded by the best path.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from pipelines.data.source import limited
from pipelines.export import litert as export_litert
from pipelines.export import numeric
from pipelines.export.numeric import SCORES, Arrays
from pipelines.search.ctc import best_path
from pipelines.tasks.speech.features import seconds_per_step
from pipelines.tasks.speech.text import worded
from pipelines.training.encode import encode_split


def classified(task: Any, got: Arrays) -> dict[str, Any]:
    """The outputs of a classification, from its log-probabilities."""
    probabilities = np.exp(got[SCORES])
    label = np.array([task.preprocessor.labels[row.argmax()].encode() for row in probabilities], object)
    return {"label": label, "score": probabilities.max(-1), "probabilities": probabilities}


def transcribed(task: Any, got: Arrays) -> dict[str, Any]:
    """The outputs of a speech recognition, from its log-probabilities, by the best path."""
    found = best_path(tf.constant(got[SCORES]), tf.constant(got["steps"]))
    return worded(found, task.preprocessor.alphabet, seconds_per_step(task.config))


DECODE: dict[str, Callable[[Any, Arrays], Any]] = {"sentiment": classified, "speech": transcribed}


def main() -> None:
    """Score and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("onnx", type=Path)
    parser.add_argument("litert", type=Path)
    parser.add_argument("--data", help="data to score on (default: the run's own)")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, default=0, help="at most this many examples")
    a = parser.parse_args()
    loaded, network = numeric.load(a.run)
    source = loaded.open_source(a.data)
    encoded = encode_split(loaded.task, limited(source, a.limit) if a.limit else source, a.split)
    inputs = numeric.singles(network, encoded)
    run = network.traced()
    print(f"{loaded.task.name}, {len(inputs)} examples of {a.split}")
    for name, answer in (("run", lambda x: numeric.answers(run, x)), *answerers(a.onnx, a.litert, network)):
        scores = loaded.task.scorer(predicted(loaded, encoded, inputs, answer))(np.arange(len(inputs)))
        print(f"  {name:<20} " + "  ".join(f"{metric} {value:.4f}" for metric, value in scores.items()), flush=True)


def answerers(onnx: Path, litert: Path, network: numeric.Numeric) -> Iterator[tuple[str, Callable[[Arrays], Arrays]]]:
    """Each exported file and how it answers one example."""
    session = onnxruntime.InferenceSession(str(onnx / "model.onnx"))
    names = [output.name for output in session.get_outputs()]
    yield "model.onnx", lambda x: dict(zip(names, session.run(None, x), strict=True))
    for name in export_litert.VARIANTS:
        if (file := litert / f"{name}.tflite").exists():
            interpreter = Interpreter(str(file))
            yield file.name, lambda x, interpreter=interpreter: export_litert.run(interpreter, x, network)


def predicted(loaded: Any, encoded: Any, inputs: list[Arrays], answer: Callable[[Arrays], Arrays]) -> list[Any]:
    """One prediction an example."""
    task, found = loaded.task, []
    card = task.card()
    for example, x in zip(encoded.examples, inputs, strict=True):
        outputs = {name: np.asarray(value)[0] for name, value in DECODE[task.name](task, answer(x)).items()}
        found.append(task.answer(card, example, outputs, task.references(example)))
    return found


if __name__ == "__main__":
    main()
