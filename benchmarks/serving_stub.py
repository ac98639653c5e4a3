"""The HTTP service before a model that costs nothing: what is measured is the service. Started by serving.py."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.serve import server
from pipelines.serve.batching import Batcher
from pipelines.serve.limits import Limits


class Echo:
    """What the service needs of a task."""

    NAME, RAW = "sentiment", "text"


def answer(instances: list[Any]) -> list[dict[str, Any]]:
    """Answer each text with itself."""
    return [{"answer": text, "score": 1.0} for text in instances]


if __name__ == "__main__":
    limits = Limits()
    with server.listening("127.0.0.1", 0) as listener:
        batcher = Batcher(answer, limits.batch, limits.waiting)
        sys.exit(server._serve({"sentiment": (Echo, batcher)}, limits, listener, "127.0.0.1", []))
