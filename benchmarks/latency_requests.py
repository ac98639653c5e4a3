"""Requests for ``latency.py``, written to disk: raw ones for the SavedModel, numbers for the network alone."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.latency import REQUESTS, SECONDS, WORDS
from models.recurrent.kernels import portable
from pipelines.export import numeric
from pipelines.runs.load import Loaded, load_run


def write(run: str, home: str, alone: bool, **decoding: Any) -> None:
    """Write ``HOME/requests``; where the network can leave ``alone``, also that as a SavedModel, ``HOME/network``.

    ``decoding`` is as for `pipelines.runs.load.load_run`.
    """
    unfinished = Path(home, ".requests")
    shutil.rmtree(unfinished, ignore_errors=True)
    loaded = load_run(run, **decoding)
    examples = built_in(loaded)
    for number, example in enumerate(examples):
        save(
            unfinished / "raw" / f"{number:02}",
            loaded.task.serving_inputs([example], loaded.task.card()),
        )
    if alone:
        loaded, network = numeric.load(run)
        encoded = loaded.task.encode(examples, "predict")
        for number, x in enumerate(numeric.singles(network, encoded)):
            save(unfinished / "numbers" / f"{number:02}", x)
        with portable():
            module = tf.Module()
            module.model = loaded.model  # tracked, so that its variables are saved
            tf.saved_model.save(module, str(Path(home, "network")), signatures=network.traced())
    unfinished.rename(Path(home, "requests"))


def built_in(loaded: Loaded) -> list[dict[str, Any]]:
    """Built-in examples of a usual length: theirs for a sentence or a picture, joined for a text or a recording."""
    source = loaded.task.builtin_source()
    examples = list(itertools.islice(source.read("test"), 300))
    if loaded.task.name == "sentiment":
        words = itertools.cycle(word for example in examples for word in str(example["text"]).split())
        return loaded.task.parse([" ".join(itertools.islice(words, WORDS)) for _ in range(REQUESTS)])
    if loaded.task.name == "speech":
        sound = np.concatenate([np.asarray(example["audio"], np.float32) for example in examples])
        count = int(SECONDS * loaded.config.rate)
        return loaded.task.parse([sound[start : start + count] for start in range(0, REQUESTS * count, count)])
    return examples[:REQUESTS]


def save(folder: Path, inputs: dict[str, Any]) -> None:
    """Write inputs as ``latency_child`` reads them."""
    folder.mkdir(parents=True)
    for name, value in inputs.items():
        tensor = tf.convert_to_tensor(value)
        (folder / f"{name}.tensor").write_bytes(tf.io.serialize_tensor(tensor).numpy())
        if tensor.dtype != tf.string:
            np.save(folder / f"{name}.npy", tensor.numpy(), allow_pickle=False)
