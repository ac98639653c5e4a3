"""Training reads its data as a stream: ten times the data takes hardly more memory."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = """
import json, sys, threading, time
peak = 0
def watch():  # what the process holds itself: pages of files are the kernel's, and it takes them back
    global peak
    while True:
        held = next(line for line in open("/proc/self/status") if line.startswith("RssAnon"))
        peak = max(peak, int(held.split()[1]) // 1024)
        time.sleep(0.05)
threading.Thread(target=watch, daemon=True).start()
from pipelines.data import storage
storage.load.__defaults__ = (4 * 2**20,)  # with 256 MiB even the large table's numbers would be held
from pipelines import train
settings = {"batch_size": 256, "validation_share": 0.002, "max_tokens": 200, "units": 4, "embedding_size": 4}
settings |= {"embedding_init": "neighbours"}  # which counts all pieces before the first step
train("sentiment", data=sys.argv[1], run=sys.argv[2], preset="tiny", **settings)
print(json.dumps(peak))
"""


def table(path: Path, megabytes: int) -> Path:
    """Write reviews of 200 words, each of its own, into a table of about so many megabytes."""
    random = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(2000)])
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        while file.tell() < megabytes * 2**20:
            writer.writerow([" ".join(random.choice(words, 200)), "good" if random.random() < 0.5 else "bad"])
    return path


@pytest.mark.slow
def test_ten_times_the_data_takes_hardly_more_memory(tmp_path: Path) -> None:
    peaks = []
    for megabytes in (20, 200):
        data = table(tmp_path / f"{megabytes}.csv", megabytes)
        command = [sys.executable, "-c", PROGRAM, str(data), str(tmp_path / f"run{megabytes}")]
        environment = os.environ | {"PIPELINES_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        peaks.append(json.loads(done.stdout.splitlines()[-1]))
    # The texts are 180 MB more, their pieces as numbers about 100 MB.
    assert peaks[1] - peaks[0] < 60, f"{peaks} MiB"
