"""A service started for real, and clients that compare every answer with the one its input must have."""

import http.client
import io
import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipelines import Predictor, load_task

ROOT = Path(__file__).parents[2]
JSON = {"Content-Type": "application/json"}


@dataclass
class Service:
    """A running process, its port, and where its standard error goes."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Send one request over a connection of its own; the answer is parsed where it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            return exchange(connection, path, body, headers)
        finally:
            connection.close()


def exchange(
    connection: http.client.HTTPConnection, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Send one request over a connection; a body that is no bytes goes as JSON."""
    if body is None:
        connection.request("GET", path)
    elif isinstance(body, bytes):
        connection.request("POST", path, body, headers or {})
    else:
        connection.request("POST", path, json.dumps(body), JSON | (headers or {}))
    response = connection.getresponse()
    content = response.read()
    is_json = (response.getheader("Content-Type") or "").startswith("application/json")
    return response.status, json.loads(content) if is_json else content.decode()


@contextmanager
def service(folder: Path, *arguments: Any, port: int = 0) -> Iterator[Service]:
    """Start a service; end it when it has not been ended."""
    log = folder / f"serve-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "pipelines", "serve", *map(str, arguments), "--port", str(port)]
    with open(log, "w") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | {"HOME": str(folder)}
        )
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), log.read_text()
            yield Service(process, int(address.rpartition(":")[2]), log)
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Question:
    """One input as a request, and the answer that it must have."""

    path: str
    body: Any
    headers: dict[str, str]
    answer: str
    score: float

    def check(self, status: int, answer: Any) -> None:
        """Fail unless this is the answer to this question."""
        assert status == 200, (status, answer)
        assert answer["answer"] == self.answer
        np.testing.assert_allclose(answer["score"], self.score, atol=1e-4)


def questions(name: str, run: Path, count: int) -> list[Question]:
    """Return built-in test examples of a task as requests, with what the run's predictor answers."""
    task = load_task(name)
    examples = itertools.islice(task.builtin_source().read("test"), count)
    inputs = [wav(example[task.raw]) if name == "speech" else example[task.raw] for example in examples]
    kinds = {"speech": {"Content-Type": "audio/wav"}, "captioning": {"Content-Type": "image/png"}}
    bodies = [one if isinstance(one, bytes) else {task.raw: one} for one in inputs]
    return [
        Question(f"/{name}", body, kinds.get(name, JSON), prediction["answer"], prediction["score"])
        for body, prediction in zip(bodies, Predictor(run)(inputs), strict=True)
    ]


def wav(samples: Any) -> bytes:
    """Return a recording as the bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format="WAV", subtype="FLOAT")
    return file.getvalue()


@dataclass
class Seen:
    """What clients saw: statuses and broken connections by name, and seconds of each right answer."""

    statuses: Counter[Any] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)


def client(port: int, asked: list[Question], seen: Seen, allowed: tuple[int, ...] = ()) -> None:
    """Ask questions one after the other over one connection, which is opened again when it breaks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for question in asked:
        begin = time.monotonic()
        try:
            status, answer = exchange(connection, question.path, question.body, question.headers)
        except (OSError, http.client.HTTPException) as error:
            seen.statuses[type(error).__name__] += 1
            connection.close()
            time.sleep(0.05)
            continue
        seen.statuses[status] += 1
        if status in allowed:
            continue
        try:
            question.check(status, answer)
        except AssertionError as error:
            seen.wrong.append((question, str(error)))
        seen.seconds.append(time.monotonic() - begin)
    connection.close()
