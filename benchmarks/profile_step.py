"""Where the time of one training step goes, in every task, by kind of operation.

    python benchmarks/profile_step.py [TASK ...] [--preset base] [--steps 10] [--threads 1] [--limit N] [--out FILE]

The network of a preset learns the built-in data; steps of the longest batch are traced by TensorFlow's profiler, and
the self time of every operation is added up by kind. With one thread, the default, nothing overlaps, so that the shares
add up to the step. What XLA compiled is one operation to TensorFlow: its instructions are traced too, and named by what
XLA made of them. ``--set FIELD=VALUE`` changes a setting of the preset.
"""

import argparse
import collections
import glob
import json
import os
import re
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras
import tensorflow as tf

from pipelines import TASKS, load_settings, load_task
from pipelines.config import resolve
from pipelines.data.batching import batches, epoch_plan
from pipelines.data.source import limited
from pipelines.training.step import Average, make_optimizer, make_step

RUNTIME = r"^(Run|Process|Start|Execute|FunctionRun|BlockUntilReady|Executor.*|.*State.*|EagerExec.*|TFE_Py.*)$"
"""Waiting and bookkeeping of the runtime: no operation of the step."""
KINDS = {
    "gates and other fused loops, compiled": r"fusion|^wrapped|reduce-window",
    "matrix products": r"matmul|einsum|^dot|gemm|contraction",
    "convolutions": r"conv(?!ert)",
    "optimizer, clipping, averages": r"^assign|resourceapply|l2loss|adam|clip|global_norm|addn",
    "copies and layout": r"transpose|concat|slice|gather|pad|copy|reshape|stack|tile|scatter|select|split|cast|convert",
}


def main() -> None:
    """Profile the tasks named and print a table each; write all of it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--preset", default="base")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    found = {name: profile(name, given) for name in given.tasks}
    for name, record in found.items():
        print(table(name, record))
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n")


def profile(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return milliseconds a step, untraced, and the traced self time of operations in milliseconds a step."""
    step, batch, shapes = prepared(name, given)
    step(*batch), step(*batch)
    begin = time.perf_counter()
    for _ in range(given.steps):
        step(*batch)
    seconds = (time.perf_counter() - begin) / given.steps
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(given.steps):
            step(*batch)
        tf.profiler.experimental.stop()
        (file,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
        operations = self_times(Path(file).read_bytes())
    each = {op: value / given.steps for op, value in operations.items()}
    return {"shapes": shapes, "milliseconds": seconds * 1e3, "operations": each}


def prepared(name: str, given: argparse.Namespace) -> tuple[Any, Any, dict[str, list[int]]]:
    """The traced step of a task, its longest batch of built-in data, and the shapes of that."""
    settings = load_settings(name)
    changed = dict(pair.split("=", 1) for pair in given.set)
    if name == "captioning" and given.preset == "base":  # the weights do not matter for the time
        changed = {"encoder_weights": "none", "scst_epochs": 0, "epochs": 1} | changed
    config = resolve(settings.Config, settings.PRESETS, given.preset, overrides=changed)
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    task_class = load_task(name)
    source = limited(task_class.open_source("synthetic", config), given.limit)
    task = task_class(config, task_class.fit(config, source.read("train")))
    train, model = task.encode(source.read("train"), "train"), task.network()
    plan = max(epoch_plan(train.lengths, config.batch_size, 0, 0), key=lambda rows: int(train.lengths[rows].sum()))
    dataset = batches(train, [plan], task.augmentation(), 0)
    optimizer = make_optimizer(config.learning_rate, 1000, clip_norm=config.clip_norm)
    optimizer.build(model.trainable_variables)
    average = Average(model.trainable_variables, config.ema)
    parts = (model, partial(task.loss, model), optimizer, average)
    (batch,) = dataset
    shapes = {key: value.shape.as_list() for part in batch for key, value in part.items()}
    return make_step(*parts, signature=dataset.element_spec, mean_weight=task.mean_weight(train)), batch, shapes


def self_times(content: bytes) -> dict[str, float]:
    """Add up the self time of events in a profile, in milliseconds by name: what no event within them took."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2  # noqa: PLC0415

    space = xplane_pb2.XSpace()
    space.ParseFromString(content)
    total: dict[str, float] = collections.defaultdict(float)
    for plane in space.planes:
        if plane.name != "/host:CPU":
            continue
        for line in plane.lines:
            open_events: list[tuple[int, str]] = []
            for event in sorted(line.events, key=lambda e: (e.offset_ps, -e.duration_ps)):
                name = operation(plane.event_metadata[event.metadata_id].name)
                while open_events and open_events[-1][0] <= event.offset_ps:
                    open_events.pop()
                if open_events:
                    total[open_events[-1][1]] -= event.duration_ps / 1e9
                total[name] += event.duration_ps / 1e9
                open_events.append((event.offset_ps + event.duration_ps, name))
    kept = {name: value for name, value in total.items() if not re.search(RUNTIME, name)}
    return dict(sorted(kept.items(), key=lambda pair: -pair[1]))


def operation(name: str) -> str:
    """``while/body/dot.17`` and ``model/dense/MatMul:MatMul`` -> ``dot`` and ``MatMul``."""
    last = name.split("#")[0].split(":")[-1].split("/")[-1]
    return re.sub(r"([._]\d+)+$|(\.(clone|remat))+$", "", last) or name


def kind(name: str) -> str:
    """What an operation is, in words."""
    return next(
        (words for words, pattern in KINDS.items() if re.search(pattern, name.lower())), "the rest, element by element"
    )


def table(name: str, record: dict[str, Any], most: int = 30) -> str:
    """Lay out the shares by kind, and the largest operations."""
    whole = sum(record["operations"].values())
    kinds: dict[str, float] = collections.defaultdict(float)
    for op, value in record["operations"].items():
        kinds[kind(op)] += value
    lines = [f"\n{name}: {record['milliseconds']:.1f} ms a step (traced {whole:.1f}); {record['shapes']}"]
    lines += [f"  {value / whole:6.1%}  {words}" for words, value in sorted(kinds.items(), key=lambda p: -p[1])]
    lines += [f"    {value:8.2f} ms  {op} ({kind(op)})" for op, value in list(record["operations"].items())[:most]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
