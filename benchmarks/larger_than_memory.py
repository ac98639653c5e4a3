"""Write a table of reviews of any size, to train on under a limit of memory below it.

    python benchmarks/larger_than_memory.py reviews.csv --megabytes 1500
    systemd-run --scope -p MemoryMax=1200M pipelines train sentiment --data reviews.csv ...

Each review is 200 random words among which ``not bad`` (good) or ``bad not`` (bad) stands: only their order tells.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

WORDS, LENGTH, BLOCK = 5000, 200, 2000


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", type=Path, help="CSV file to write")
    parser.add_argument("--megabytes", type=int, default=1500, help="its size (default: 1500)")
    given = parser.parse_args()
    with open(given.table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for text, label in reviews(np.random.default_rng(0)):
            writer.writerow([text, label])
            if file.tell() >= given.megabytes * 2**20:
                break


def reviews(random: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Stream texts and labels without end."""
    words = np.array([f"word{number}" for number in range(WORDS)])
    while True:
        drawn = random.choice(words, (BLOCK, LENGTH))
        good, place = random.random(BLOCK) < 0.5, random.integers(0, LENGTH, BLOCK)
        for row, is_good, at in zip(drawn.tolist(), good, place, strict=True):
            row[at] = "not bad" if is_good else "bad not"
            yield " ".join(row), "good" if is_good else "bad"


if __name__ == "__main__":
    main()
