"""The service before a model that costs nothing: its memory stays, and slow clients take nothing from good ones."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")

pytestmark = [pytest.mark.serve, pytest.mark.slow]
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serving.py"


def measured(*arguments: Any) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=300).stdout)
    print(json.dumps(found))
    return found


def test_memory_does_not_grow_with_the_number_of_requests() -> None:
    assert measured("memory", "--requests", 20_000)["grew_mb"] < 5


def test_good_clients_lose_nothing_beside_silent_and_trickling_ones() -> None:
    found = measured("slow", "--idle", 500, "--trickling", 100, "--seconds", 12)
    assert set(found["beside"]["statuses"]) == {"200"}
    assert found["silent_connections_ended"].keys() >= {"closed", "408"}, "they were given up in the meantime"
