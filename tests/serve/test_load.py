"""Sixty-four clients: nothing is lost or mixed up, also when the service is killed and started again under them."""

import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("uvicorn")

import tensorflow as tf

from pipelines import TASKS, load_task
from tests.serve.serving_client import Question, Seen, client, questions, service

pytestmark = [pytest.mark.serve, pytest.mark.slow]

CLIENTS, EACH = 64, 25


@pytest.fixture(scope="module")
def asked(small_run: Any) -> dict[str, list[Question]]:
    return {task: questions(task, small_run(task), 16) for task in TASKS}


def together(port: int, plans: list[list[Question]], seen: Seen) -> float:
    """Run a client for each plan at the same time; seconds it took."""
    threads = [threading.Thread(target=client, args=(port, plan, seen)) for plan in plans]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(500)
    assert not any(thread.is_alive() for thread in threads), "a client still waits for its answer"
    return time.monotonic() - begin


def told(name: str, seconds: list[float], total: float) -> None:
    p50, p95, p99 = 1000 * np.percentile(seconds, [50, 95, 99])
    print(f"{name:<34} {len(seconds) / total:7.0f} a second, p50 {p50:6.1f} p95 {p95:6.1f} p99 {p99:6.1f} ms")


def direct(name: str, folder: Path, plan: list[Question]) -> None:
    """Call the SavedModel with one input after the other; files are decoded before, as the service does."""
    task, model = load_task(name), tf.saved_model.load(str(folder))
    serve, seconds = model.signatures["serving_default"], []
    for question in plan:
        raw = question.body if isinstance(question.body, bytes) else question.body[task.raw]
        begin = time.monotonic()
        serve(**task.serving_inputs(task.parse([raw]), {}))
        seconds.append(time.monotonic() - begin)
    told(f"{name}: SavedModel called directly", seconds[len(plan) // 2 :], sum(seconds[len(plan) // 2 :]))


def test_sixty_four_clients_lose_nothing(
    small_run: Any, small_export: Any, asked: dict[str, list[Question]], tmp_path: Path
) -> None:
    with service(tmp_path, *(small_run(task) for task in TASKS), "--timeout", 300) as running:
        print()
        for task in TASKS:
            direct(task, small_export(task), asked[task] * 10)
            for count in (1, CLIENTS):
                seen = Seen()
                total = together(running.port, [(asked[task] * 3)[:EACH]] * count, seen)
                told(f"{task}: service, {count} client{'s' * (count > 1)}", seen.seconds, total)
                assert seen.statuses == {200: count * EACH} and not seen.wrong, (seen.statuses, seen.wrong[:3])
        plans = [[question for some in asked.values() for question in some] for _ in range(CLIENTS)]
        for number, plan in enumerate(plans):
            random.Random(number).shuffle(plan)
        seen = Seen()
        total = together(running.port, [plan[:EACH] for plan in plans], seen)
        told(f"all four tasks: service, {CLIENTS} clients", seen.seconds, total)
        assert seen.statuses == {200: CLIENTS * EACH}
        assert not seen.wrong, seen.wrong[:3]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_under_load_gives_clean_errors_and_right_answers_only(
    small_run: Any, asked: dict[str, list[Question]], tmp_path: Path, number: int
) -> None:
    sources = [small_run("sentiment"), small_run("translation")]
    plan = (asked["sentiment"] + asked["translation"]) * 200
    seen, stop = Seen(), threading.Event()

    def until_stopped(port: int, seed: int) -> None:
        mixed = list(plan)
        random.Random(seed).shuffle(mixed)
        for question in mixed:
            if stop.is_set():
                return
            client(port, [question], seen, (503,))

    threads: list[threading.Thread] = []
    with service(tmp_path, *sources) as first:
        port = first.port
        threads = [threading.Thread(target=until_stopped, args=(port, seed)) for seed in range(16)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        first.process.send_signal(number)
        first.process.wait(60)
    before = seen.statuses[200]
    with service(tmp_path, *sources, port=port) as second:
        while seen.statuses[200] < before + 200:
            assert second.process.poll() is None
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in threads)
    assert before > 0 and not seen.wrong, seen.wrong[:3]
    clean = {200, 503, "ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected", "BrokenPipeError"}
    assert set(seen.statuses) <= clean | {"IncompleteRead"}, seen.statuses
