"""How fast cells that are parallel in time are on this CPU, beside three LSTMs; their cost over T; their memory.

    python benchmarks/parallel_cells.py [--quick] [--torch-python PYTHON] [--out FILE.json]

Three parts, each of training steps (gradients of weights and input, full lengths):

1. ``shapes``: at three shapes (batch, time, features, units), every side once a round, in turn, each round beginning
   with another side, with a rest between; medians, and how many times faster than our LSTM of the same round. A shape
   gets ``--rounds`` at most, and no more after ``--part-s`` seconds. The LSTMs are ours, stock Keras's and PyTorch's.
2. ``line``: the cells alone over sequences from 1,000 to 100,000 steps of one row: milliseconds a thousand steps, which
   stay the same where the cost is linear in T.
3. ``memory`` (Linux): the peak that a step of a batch adds, in a process of its own each, less that of a short
   sequence, which traces, compiles and holds the weights all the same; MiB, and the share of our LSTM's.

PyTorch runs in a process of its own, with the interpreter named; without it, its column stays empty. No number means
anything while other programs use the cores.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SHAPES = ((16, 400, 80, 320), (8, 2000, 64, 256), (4, 8000, 64, 128))
CELLS = ("MinGRU", "MinLSTM", "RGLRU")
LINE = (1_000, 3_000, 10_000, 30_000, 100_000)
LINE_SHAPE = (1, 64, 128)
MEMORY_SHAPE = (8, 2000, 64, 256)
BARS = {"MinGRU": (10, 8, 6), "MinLSTM": (6, 5, 4), "RGLRU": (6, 6, 4)}
REST_S = 0.02


def case(kind: str, shape: Any) -> dict[str, Any]:
    """Describe a training step as `recurrent.layer_step` and `recurrent_torch.py` read it."""
    return {"kind": kind, "shape": list(shape), "train": True, "lengths": None}


def sides(shape: Any, torch: Any) -> dict[str, Any]:
    """Prepare every side of a shape and warm it up: two steps compile, trace and fill caches."""
    import keras  # noqa: PLC0415  # the parent of the memory part needs none of it
    from recurrent import layer_step  # noqa: PLC0415

    from models import recurrent  # noqa: PLC0415

    steps = {kind: layer_step(recurrent, case(kind, shape), False) for kind in ("LSTM", *CELLS)}
    steps["stock LSTM"] = layer_step(keras.layers, case("LSTM", shape), False)
    if torch:
        torch.send(json.dumps(case("LSTM", shape)))
        steps["torch LSTM"] = torch.step
    for step in (*steps.values(), *steps.values()):
        step()
    return steps


def compare(shape: Any, torch: Any, rounds: int, part_s: float) -> dict[str, Any]:
    """Measure one shape: medians, and the median, least and greatest of the rounds' ratios to our LSTM."""
    steps, times = sides(shape, torch), {}
    start = time.perf_counter()
    for number in range(rounds):
        order = deque(steps.items())
        order.rotate(number)
        for name, step in order:
            time.sleep(REST_S)
            times.setdefault(name, []).append(step())
        if number >= 2 and time.perf_counter() - start > part_s:
            break
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = {}
    for name in CELLS:
        each = sorted(lstm / own for lstm, own in zip(times["LSTM"], times[name], strict=True))
        ratios[name] = {"median": medians["LSTM"] / medians[name], "min": each[0], "max": each[-1]}
    return {"shape": shape, "rounds": len(times["LSTM"]), "ms": medians, "times_our_lstm": ratios}


def report(found: dict[str, Any], place: int) -> None:
    """Print one shape."""
    print("x".join(map(str, found["shape"])), f"({found['rounds']} rounds), ms a step:")
    for name, ms in found["ms"].items():
        line = f"  {name:12}{ms:9.1f}"
        if name in CELLS:
            ratio = found["times_our_lstm"][name]
            spread = f"{ratio['min']:.1f}-{ratio['max']:.1f}"
            line += f"   {ratio['median']:5.1f} x our LSTM ({spread}; aim {BARS[name][place]})"
            others = [f"{found['ms'][o] / ms:.1f} x {o}" for o in ("stock LSTM", "torch LSTM") if o in found["ms"]]
            line += "".join(f", {other}" for other in others)
        print(line, flush=True)


def line(lengths: Any, repeats: int) -> dict[str, dict[int, float]]:
    """Measure milliseconds a thousand steps of every cell over sequences of these lengths, batch 1."""
    from recurrent import layer_step  # noqa: PLC0415

    from models import recurrent  # noqa: PLC0415

    batch, width, units = LINE_SHAPE
    found: dict[str, dict[int, float]] = {kind: {} for kind in CELLS}
    for steps in lengths:
        for kind in CELLS:
            run = layer_step(recurrent, case(kind, (batch, steps, width, units)), False)
            run(), run()
            found[kind][steps] = 1e3 * statistics.median(run() for _ in range(repeats)) / steps
    return found


def peak(kind: str, shape: Any) -> float:
    """Run `child` in a new process and return the MiB that three steps added to the most it held."""
    command = [sys.executable, __file__, "--child", json.dumps([kind, shape])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def child(kind: str, shape: Any) -> None:
    """Run three steps and print what they added to the most that was held."""
    import tensorflow as tf  # noqa: PLC0415
    from recurrent import layer_step  # noqa: PLC0415
    from recurrent_memory import held  # noqa: PLC0415

    from models import recurrent  # noqa: PLC0415

    tf.function(tf.matmul)(tf.ones([64, 64]), tf.ones([64, 64]))  # what TensorFlow itself starts
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = held("VmRSS")
    step = layer_step(recurrent, case(kind, shape), False)
    for _ in range(3):
        step()
    print(held("VmHWM") - before)


def memory() -> dict[str, float]:
    """Measure the MiB that the batch of ``MEMORY_SHAPE`` needs in a training step of every cell."""
    batch, steps, *widths = MEMORY_SHAPE
    return {kind: peak(kind, (batch, steps, *widths)) - peak(kind, (1, 2, *widths)) for kind in ("LSTM", *CELLS)}


def open_torch(python: str) -> Any:
    """Start PyTorch's process, or return None where that interpreter has none."""
    from recurrent import Torch  # noqa: PLC0415

    probe = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    return Torch(python) if probe.returncode == 0 else None


def main() -> None:
    """Measure the three parts, print them, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the first shape, a short line, no memory: does it work?")
    parser.add_argument("--rounds", type=int, default=15, help="most rounds of a shape (default 15)")
    parser.add_argument("--part-s", type=float, default=45, help="seconds after which a shape ends (default 45)")
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter that has PyTorch")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(*json.loads(options.child))
    record: dict[str, Any] = {"command": " ".join(["python", *sys.argv]), "processor": platform.processor()}
    record |= (
        {"memory_mib": {}} if options.quick or not Path("/proc/self/clear_refs").exists() else {"memory_mib": memory()}
    )
    for kind, mib in record["memory_mib"].items():
        print(f"memory {kind:8}{mib:7.0f} MiB, {mib / record['memory_mib']['LSTM']:.2f} of our LSTM's")
    torch, record["shapes"] = open_torch(options.torch_python), []
    for place, shape in enumerate(SHAPES[:1] if options.quick else SHAPES):
        rounds = 3 if options.quick else options.rounds
        record["shapes"].append(compare(shape, torch, rounds, options.part_s))
        report(record["shapes"][-1], place)
    record["line_ms_per_1000_steps"] = line(LINE[:2] if options.quick else LINE, 3 if options.quick else 7)
    for kind, found in record["line_ms_per_1000_steps"].items():
        print(f"{kind:8} ms a thousand steps: " + ", ".join(f"T={t:,} {ms:.2f}" for t, ms in found.items()))
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
