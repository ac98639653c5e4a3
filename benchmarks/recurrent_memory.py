"""How much memory a training step of the recurrent layers needs at most, beside stock Keras. Linux.

    python benchmarks/recurrent_memory.py [--out FILE.json]

Every side runs in processes of its own, three training steps each (gradients of weights and input, full lengths), once
with the batch and once with one sequence of two steps, which traces, compiles and holds the weights all the same.
``batch`` is the difference of the two peaks, what the batch itself needs; ``all`` is the peak less what was held before
the layer was made. MiB of resident memory.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

KINDS = ("LSTM", "GRU", "BiLSTM")
SHAPES = ((64, 50, 256, 512), (16, 400, 80, 320))
SIDES = ("ours", "stock", "stock_xla")


def held(field: str) -> float:
    """Return a line of the process's status in MiB: VmRSS, what it holds, or VmHWM, the most it held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) / 1024


def child(side: str, kind: str, shape: list[int]) -> None:
    """Run three steps of one side and print what they added to the most that was held."""
    import keras  # noqa: PLC0415  # the parent needs none of it
    import tensorflow as tf  # noqa: PLC0415
    from recurrent import layer_step  # noqa: PLC0415

    from models import recurrent  # noqa: PLC0415

    tf.function(tf.matmul)(tf.ones([64, 64]), tf.ones([64, 64]))  # what TensorFlow itself starts
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = held("VmRSS")
    cell = {"kind": kind, "shape": shape, "train": True, "lengths": None}
    step = layer_step(recurrent if side == "ours" else keras.layers, cell, side == "stock_xla")
    for _ in range(3):
        step()
    print(held("VmHWM") - before)


def peak(side: str, kind: str, shape: list[int]) -> float:
    """Run `child` in a new process and return its figure."""
    command = [sys.executable, __file__, "--child", json.dumps([side, kind, shape])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure all sides and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(*json.loads(options.child))
    rows = []
    print(f"{'':8}{'MiB, batch (all)':18}" + "".join(f"{side:>14}" for side in SIDES))
    for kind in KINDS:
        for shape in SHAPES:
            found = {}
            for side in SIDES:
                every = peak(side, kind, list(shape))
                found[side] = {"all": round(every), "batch": round(every - peak(side, kind, [1, 2, *shape[2:]]))}
            rows.append({"kind": kind, "shape": shape, "peak_mib": found})
            cells = (f"{found[side]['batch']} ({found[side]['all']})" for side in SIDES)
            print(f"{kind:8}{'x'.join(map(str, shape)):18}" + "".join(f"{cell:>14}" for cell in cells), flush=True)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
