"""How fast the recurrent layers and the CTC loss are on this CPU, beside stock Keras, PyTorch and the floor.

    python benchmarks/recurrent.py [--quick] [--kinds KIND ...] [--torch-python PYTHON] [--out FILE.json]

Every round runs each side once, in turn, so that a disturbance of the machine meets all of them, beginning with another
side than the round before; after each step all rest, because threads that still wait actively for work would slow down
whoever comes next. A cell gives the median of each side and the median, least and greatest of the rounds' ratios; short
steps get more rounds. ``stock`` is the Keras layer as ``fit``
runs it on a CPU (no XLA), ``stock_xla`` the same under ``jit_compile=True``. The floor is the operations of the
matrix products, 2 B T (D + H) G forward and three times that for a training step (G: 4 H for the LSTM, 3 H for the
GRU, both directions counted), over the rate of a product of two matrices of 2048 x 2048 in the same run. PyTorch
runs in a process of its own, with the interpreter named (benchmarks/requirements.txt); without it its columns stay
empty.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from models import recurrent
from models.ctc import ctc_loss

KINDS = ("LSTM", "GRU", "BiLSTM")
SHAPES = ((32, 100, 128, 256), (64, 50, 256, 512), (16, 400, 80, 320), (32, 30, 64, 64))
CTC_SHAPE = (16, 400, 32)
GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
REST_S, SHORT_S, MOST_ROUNDS = 0.01, 1.0, 45
LIMITS = {"stock": 2.4, "stock_xla": 1.9, "torch": 1.0}


class Torch:
    """The PyTorch process; ``step`` runs what was last prepared and gives its time in milliseconds."""

    def __init__(self, python: str) -> None:
        worker = Path(__file__).with_name("recurrent_torch.py")
        self.process = subprocess.Popen(
            [python, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.version = self.process.stdout.readline().strip()

    def send(self, line: str) -> None:
        """Write one request."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def step(self) -> float:
        """Run the prepared step once."""
        self.send("go")
        return float(self.process.stdout.readline())


def timed(function: Any, *arguments: Any) -> Any:
    """Make a function that runs ``function`` once and gives its time in milliseconds."""

    def run() -> float:
        start = time.perf_counter()
        function(*arguments)
        return 1e3 * (time.perf_counter() - start)

    return run


def layer_step(module: Any, cell: dict[str, Any], jit: bool) -> Any:
    """Prepare a step of a Keras layer of ``module``: gradients of weights and input, or inference."""
    batch, steps, width, units = cell["shape"]
    kind = cell["kind"].removeprefix("Bi")
    layer = getattr(module, kind)(units, return_sequences=True)
    layer = layer if kind == cell["kind"] else module.Bidirectional(layer)
    layer.build((batch, steps, width))
    x = tf.random.normal([batch, steps, width])
    upstream = tf.random.normal(layer.compute_output_shape(x.shape))
    mask = tf.sequence_mask(cell["lengths"], steps) if cell["lengths"] else None

    def train(x: Any, upstream: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, mask=mask, training=True)
        return tape.gradient(y, [x, *layer.trainable_weights], output_gradients=upstream)

    def infer(x: Any, upstream: Any) -> Any:
        return layer(x, mask=mask, training=False)

    return timed(tf.function(train if cell["train"] else infer, jit_compile=jit or None), x, upstream)


def ctc_step(cell: dict[str, Any], ours: bool) -> Any:
    """Prepare the CTC loss, forward and backward, through our wrapper or ``keras.ops.ctc_loss``."""
    batch, frames, symbols = cell["shape"]
    counts, lengths = tf.constant(cell["lengths"]), tf.fill([batch], frames)
    labels = tf.random.uniform([batch, max(cell["lengths"])], 1, symbols, tf.int32)
    labels = tf.where(tf.sequence_mask(counts), labels, 0)

    def step(logits: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            if ours:
                value = ctc_loss(logits, lengths, labels, counts)
            else:
                value = keras.ops.ctc_loss(labels, logits, counts, lengths, mask_index=0)
            total = tf.reduce_sum(value)
        return tape.gradient(total, logits)

    return timed(tf.function(step), tf.random.normal(cell["shape"]))


def sides(cell: dict[str, Any], torch: Torch | None) -> dict[str, Any]:
    """Prepare every side of a cell and warm it up: two runs compile, trace and fill caches."""
    if cell["kind"] == "CTC":
        steps = {"ours": ctc_step(cell, True), "stock": ctc_step(cell, False)}
    else:
        steps = {
            "ours": layer_step(recurrent, cell, False),
            "stock": layer_step(keras.layers, cell, False),
            "stock_xla": layer_step(keras.layers, cell, True),
        }
    if torch:
        torch.send(json.dumps(cell))
        steps["torch"] = torch.step
    start = time.perf_counter()
    steps["ours"]()
    cell["first_run_s"] = round(time.perf_counter() - start, 2)
    for step in (*steps.values(), *steps.values()):
        step()
    return steps


def floor(cell: dict[str, Any], rate: float) -> float | None:
    """Give the least time of a cell in milliseconds at ``rate`` operations a second."""
    if cell["kind"] == "CTC":
        return None
    batch, steps, width, units = cell["shape"]
    kind = cell["kind"].removeprefix("Bi")
    directions = 1 + (kind != cell["kind"])
    real = sum(cell["lengths"]) if cell["lengths"] else batch * steps
    work = 2 * real * (width + units) * GATES[kind] * units * directions
    return 1e3 * work * (3 if cell["train"] else 1) / rate


def measure(cell: dict[str, Any], torch: Torch | None, rate: float, rounds: int) -> dict[str, Any]:
    """Measure one cell: medians in milliseconds, and how many times faster ours is than each other side."""
    steps = sides(cell, torch)
    once = sum(step() for step in steps.values()) / 1e3
    rounds = max(rounds, min(MOST_ROUNDS, int(SHORT_S / once)))
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        order = deque(steps.items())
        order.rotate(number)
        for name, step in order:
            time.sleep(REST_S)
            times[name].append(step())
    ratios = {}
    for name in steps:
        if name != "ours":
            each = [other / own for other, own in zip(times[name], times["ours"], strict=True)]
            median = statistics.median(times[name]) / statistics.median(times["ours"])
            ratios[name] = {"median": median, "min": min(each), "max": max(each)}
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {**cell, "rounds": rounds, "ms": medians, "floor_ms": floor(cell, rate), "times_faster": ratios}


def gemm_rate() -> float:
    """Measure the rate of a 2048 x 2048 x 2048 product in single precision, operations a second."""
    a = tf.random.normal([2048, 2048])
    run = timed(tf.function(lambda a: tf.matmul(a, a)), a)
    run()
    return 2 * 2048**3 / (statistics.median(run() for _ in range(9)) / 1e3)


def cells(quick: bool, kinds: list[str]) -> list[dict[str, Any]]:
    """List what is measured; lengths are drawn once for a shape, uniform in T / 2 to T."""
    draw = np.random.default_rng(0)
    result = []
    for kind in kinds:
        for shape in SHAPES[:1] if quick else SHAPES:
            lengths = draw.integers(shape[1] // 2, shape[1] + 1, size=shape[0]).tolist()
            for train in (True, False):
                for ragged in (None,) if quick else (None, lengths):
                    result.append({"kind": kind, "shape": shape, "train": train, "lengths": ragged})
    counts = draw.integers(30, 61, size=CTC_SHAPE[0]).tolist()
    return [*result, {"kind": "CTC", "shape": CTC_SHAPE, "train": True, "lengths": counts}]


def row(cell: dict[str, Any]) -> str:
    """Write a cell as a line of the table."""
    work = "train" if cell["train"] else "infer"
    floor_ms = f"{cell['floor_ms']:7.1f}" if cell["floor_ms"] else "      -"
    columns = [
        f"{cell['ms'][n]:8.1f}" if n in cell["ms"] else "       -" for n in ("ours", "stock", "stock_xla", "torch")
    ]
    ratios = [f"{n} {r['median']:.2f} ({r['min']:.2f}-{r['max']:.2f})" for n, r in cell["times_faster"].items()]
    lengths = "ragged" if cell["lengths"] and cell["kind"] != "CTC" else "full"
    shape = "x".join(map(str, cell["shape"]))
    return f"{cell['kind']:7}{shape:15}{work:6}{lengths:7}{floor_ms}{''.join(columns)}   x " + ", ".join(ratios)


def summary(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Give the geometric means of how many times faster ours is, by kind, work and side."""
    groups: dict[str, dict[str, list[float]]] = {}
    for cell in results:
        group = groups.setdefault(f"{cell['kind']} {'train' if cell['train'] else 'infer'}", {})
        for name, ratio in cell["times_faster"].items():
            group.setdefault(name, []).append(ratio["median"])
    return {key: {n: statistics.geometric_mean(v) for n, v in group.items()} for key, group in groups.items()}


def main() -> None:
    """Measure, print the table, write the JSON file, and end with one line of geometric means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one shape, three rounds: under 45 seconds")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="layers to measure (default all)")
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter that has PyTorch")
    parser.add_argument("--rounds", type=int, help="fewest rounds of a cell (default 9, quick 3)")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    probe = subprocess.run([options.torch_python, "-c", "import torch"], capture_output=True, check=False)
    torch = Torch(options.torch_python) if probe.returncode == 0 else None
    rate = gemm_rate()
    rounds = options.rounds or (3 if options.quick else 9)
    print(f"{'':35}{'floor':>7}{'ours':>8}{'stock':>8}{'+XLA':>8}{'torch':>8}   ms, medians; ours is x times faster")
    results = []
    for cell in cells(options.quick, options.kinds):
        results.append(measure(cell, torch, rate, rounds))
        print(row(results[-1]), flush=True)
    record = {
        "command": " ".join(["python", *sys.argv]),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "torch": torch and torch.version},
        "gemm_gflops": rate / 1e9,
        "rounds": rounds,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "targets_train": LIMITS,
        "geometric_means": summary(results),
        "cells": results,
    }
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n")
    means = [f"{key}: " + " ".join(f"{n} {v:.2f}" for n, v in group.items()) for key, group in summary(results).items()]
    print("times faster, geometric means | " + " | ".join(means))


if __name__ == "__main__":
    main()
