"""The memory budget for pictures: never more pixels at a time, whoever asks, and nobody waits for ever."""

import io
import threading
import time
from typing import Any

import pytest
from PIL import Image

from pipelines.serve.pixels import PixelBudget, pixels_of


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_pixels_are_counted_by_headers() -> None:
    assert pixels_of([png(20, 10), b"no picture", png(3, 1), b""]) == 203


def test_models_together_never_hold_more_than_the_budget() -> None:
    budget, inside, most, lock = PixelBudget(100), 0, 0, threading.Lock()

    def model(pictures: list[bytes]) -> list[dict[str, Any]]:
        nonlocal inside, most
        with lock:
            inside += min(pixels_of(pictures), 100)
            most = max(most, inside)
        time.sleep(0.005)
        with lock:
            inside -= min(pixels_of(pictures), 100)
        return [{"answer": "a"} for _ in pictures]

    batches = [[png(5, 5)], [png(7, 7), png(2, 2)], [png(30, 30)], [b"x"]] * 5
    answers: list[Any] = []
    answer = budget.bounding(model)
    threads = [threading.Thread(target=lambda batch=batch: answers.append(answer(batch))) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(answers) == len(batches) and most == 100 and budget.taken == 0


def test_what_fails_gives_its_pixels_back() -> None:
    budget = PixelBudget(100)
    with pytest.raises(RuntimeError), budget.take(60):
        raise RuntimeError("broken")
    assert budget.taken == 0
