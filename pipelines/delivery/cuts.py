"""What is said of inputs that are longer than a model reads, for their answer does not show it."""

import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

SENTENCE = "longer than the model reads; only its beginning was answered"
NAMED = 5
"""Inputs of a job that get a line of their own; of the others the number is told, or millions would drown the rest."""


class Cuts:
    """Counts the answers whose ``cut`` is true; names the first ``NAMED`` of them on standard error."""

    def __init__(self) -> None:
        self.count = 0

    def see(self, number: int, prediction: Mapping[str, Any]) -> None:
        """Look at the answer of input ``number``, counted from 1."""
        if prediction.get("cut"):
            self.count += 1
            if self.count <= NAMED:
                tqdm.write(f"input {number}: {SENTENCE}", file=sys.stderr)

    def close(self) -> None:
        """Say how many there were beside those that were named."""
        if self.count > NAMED:
            tqdm.write(f"{self.count - NAMED} more inputs: {SENTENCE}", file=sys.stderr)
