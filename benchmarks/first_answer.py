"""How long the first answer of a trained run takes in a new process, with its files in the page cache.

    python benchmarks/first_answer.py [RUN] [INPUT]

One start is not counted; then three are, and their median is printed beside the CPU time, which other work on
the machine changes less.
"""

import resource
import statistics
import subprocess
import sys
import time

STARTS = 3


def main() -> None:
    """Start, measure and print."""
    run = sys.argv[1] if len(sys.argv) > 1 else "pretrained/sentiment"
    text = sys.argv[2] if len(sys.argv) > 2 else "A wonderful, moving film."
    command = [sys.executable, "-m", "pipelines", "predict", run, text]
    seconds, processor = [], []
    for _ in range(STARTS + 1):
        before, used = time.monotonic(), _used()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds.append(time.monotonic() - before)
        processor.append(_used() - used)
    print(done.stdout, end="")
    wall, own = (statistics.median(values[1:]) for values in (seconds, processor))
    print(f"median of {STARTS}: {wall:.2f} s, processor {own:.2f} s")


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
