"""PyTorch's side of ``benchmarks/recurrent.py``: one request a line on stdin, one time in milliseconds on stdout.

A process of its own, so that neither library's threads and allocator disturb the other's, and so that PyTorch may
live in another environment.
"""

import json
import sys
import time
from typing import Any

import torch

MODULES = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU, "SimpleRNN": torch.nn.RNN}


def recurrent(cell: dict[str, Any]) -> Any:
    """Prepare one step of a recurrent layer: training (gradients of weights and input) or inference."""
    batch, time_, width, units = cell["shape"]
    kind = cell["kind"].removeprefix("Bi")
    layer = MODULES[kind](width, units, batch_first=True, bidirectional=cell["kind"] != kind)
    x = torch.randn(batch, time_, width, requires_grad=cell["train"])
    upstream = torch.randn(batch, time_, units * (1 + (cell["kind"] != kind)))
    lengths = torch.tensor(cell["lengths"]) if cell["lengths"] else None

    def forward() -> Any:
        if lengths is None:
            return layer(x)[0]
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return torch.nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=time_)[0]

    def train() -> None:
        forward().backward(upstream)

    def infer() -> None:
        with torch.no_grad():
            forward()

    return train if cell["train"] else infer


def ctc(cell: dict[str, Any]) -> Any:
    """Prepare the CTC loss of ``cell`` (shape is batch, frames, symbols), forward and backward."""
    batch, frames, symbols = cell["shape"]
    logits = torch.randn(batch, frames, symbols, requires_grad=True)
    counts = torch.tensor(cell["lengths"])
    labels = torch.randint(1, symbols, (batch, max(cell["lengths"])))
    lengths = torch.full((batch,), frames)

    def step() -> None:
        log_probs = torch.log_softmax(logits, -1).transpose(0, 1)
        torch.nn.functional.ctc_loss(log_probs, labels, lengths, counts, reduction="sum").backward()

    return step


def main() -> None:
    """Answer requests until stdin ends: a JSON object prepares a step, ``go`` runs it once."""
    print(torch.__version__, flush=True)
    step: Any = None
    for line in sys.stdin:
        if line.strip() != "go":
            cell = json.loads(line)
            step = (ctc if cell["kind"] == "CTC" else recurrent)(cell)
            continue
        start = time.perf_counter()
        step()
        print(1e3 * (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
