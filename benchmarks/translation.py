"""How fast translation trains and decodes: target pieces a second, and the share of time spent waiting for input.

    python benchmarks/translation.py [--data DIR --source en --target de] [--updates 200]
    python benchmarks/translation.py --run RUN [--data DIR] [--sentences 1000]

Sizes are those of a usual attentive GRU (embedding 256, bidirectional encoder 256, decoder 512, 8,000 joint pieces,
batch 64). Every padded width is run once before the clock starts, so compilation is reported apart. Training is timed
over whole updates in the order of a real epoch. Decoding needs a trained run, because an untrained model does not know
when to stop; whole test sentences are translated, batched by length.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras
import numpy as np
import tensorflow as tf

from pipelines.data.batching import Encoded, batches, epoch_plan, padding_share, sorted_plan
from pipelines.data.source import limited
from pipelines.runs.load import Loaded, load_run
from pipelines.search.search import shrinking
from pipelines.tasks.translation.config import Config
from pipelines.tasks.translation.task import Translation
from pipelines.training.step import Average, make_optimizer, make_step

BATCH = 64


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--source", default="source")
    parser.add_argument("--target", default="target")
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="other sizes")
    parser.add_argument("--run", help="a trained run, whose decoding is timed")
    given = parser.parse_args()
    print(json.dumps(decoding(given) if given.run else training(given), indent=1))


def training(given: argparse.Namespace) -> dict[str, Any]:
    """Build, and time the updates of an untrained model."""
    extra = {name: json.loads(value) for name, value in (pair.split("=") for pair in given.set)}
    config = Config(source=given.source, target=given.target, batch_size=BATCH, **extra)
    keras.utils.set_random_seed(config.seed)
    source = Translation.open_source(given.data, config)
    task = Translation(config, Translation.fit(config, source.read("train")))
    train, model = task.encode(source.read("train"), "train"), task.network()
    about = {"data": given.data, "parameters": model.count_params(), "cores": os.cpu_count(), "batch": BATCH}
    return about | time_training(task, model, train, given.updates)


def decoding(given: argparse.Namespace) -> dict[str, Any]:
    """Load a run, and time greedy and beam search over a test set."""
    loaded = load_run(given.run)
    source = loaded.open_source(None if given.data == "synthetic" else given.data)
    test = loaded.task.encode(limited(source, given.sentences).read("test"))
    about = {"run": given.run, "parameters": loaded.model.count_params(), "cores": os.cpu_count(), "batch": BATCH}
    widths = (1, loaded.config.beam_width if loaded.config.beam_width > 1 else 5)
    return about | {f"beam {width}": time_decoding(loaded, test, width) for width in widths}


def time_training(task: Translation, model: Any, train: Encoded, updates: int) -> dict[str, float]:
    """Time `updates` steps after one step of every padded shape among them."""
    config = task.config
    plan = epoch_plan(train.lengths, BATCH, config.seed, 0, config.bucket_window)[:updates]
    optimizer = make_optimizer(config.learning_rate, len(plan))
    optimizer.build(model.trainable_variables)
    average = Average(model.trainable_variables, 0.0)
    step = make_step(model, partial(task.loss, model), optimizer, average, mean_weight=task.mean_weight(train))
    begin = time.perf_counter()
    for x, y in _one_of_each_shape(train, plan, config.bucket_growth):
        float(step(x, y)[0])
    compiled = time.perf_counter() - begin
    pieces, wait, data = 0, 0.0, iter(batches(train, plan, growth=config.bucket_growth))
    begin = time.perf_counter()
    for _ in plan:
        asked = time.perf_counter()
        x, y = next(data)
        wait += time.perf_counter() - asked
        float(step(x, y)[0])
        pieces += int(tf.reduce_sum(y["target_lengths"]))
    seconds = time.perf_counter() - begin
    return {
        "target_pieces_a_second": round(pieces / seconds, 1),
        "milliseconds_an_update": round(1000 * seconds / len(plan), 2),
        "input_wait_share": round(wait / seconds, 4),
        "padding_share": round(padding_share(train, plan, config.bucket_growth), 4),
        "compile_seconds": round(compiled, 1),
    }


def _one_of_each_shape(encoded: Encoded, plan: list[np.ndarray], growth: float) -> list[Any]:
    shapes: dict[tuple[int, ...], Any] = {}
    for x, y in batches(encoded, plan, growth=growth):
        shapes.setdefault((x["source"].shape[1], y["target"].shape[1]), (x, y))
    return list(shapes.values())


def time_decoding(loaded: Loaded, test: Encoded, width: int) -> dict[str, float]:
    """Time the translation of all test sentences, once they have been translated to compile the search."""
    task, model = loaded.task, loaded.model
    chosen = Translation(dataclasses.replace(task.config, beam_width=width), task.preprocessor)
    dataset = batches(test, sorted_plan(test.lengths, BATCH))
    function = tf.function(lambda x: chosen.search(model, x), input_signature=[dataset.element_spec[0]])
    with shrinking():
        function.get_concrete_function()
    begin = time.perf_counter()
    for x, _ in dataset:
        function(x)
    first = time.perf_counter() - begin
    pieces, wait, data = 0, 0.0, iter(dataset)
    begin = time.perf_counter()
    for _ in range(len(dataset)):
        asked = time.perf_counter()
        x, _ = next(data)
        wait += time.perf_counter() - asked
        pieces += int(tf.reduce_sum(function(x).lengths[:, 0]))
    seconds = time.perf_counter() - begin
    return {
        "target_pieces_a_second": round(pieces / seconds, 1),
        "input_wait_share": round(wait / seconds, 4),
        "sentences_a_second": round(len(test) / seconds, 1),
        "seconds": round(seconds, 2),
        "compile_seconds": round(first - seconds, 1),
    }


if __name__ == "__main__":
    main()
