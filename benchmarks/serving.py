"""The HTTP service under load: its speed, its memory, and what good clients see beside slow ones.

    python benchmarks/serving.py speed [--clients 32] [--seconds 10]
    python benchmarks/serving.py memory [--requests 20000]
    python benchmarks/serving.py slow [--idle 200] [--trickling 40] [--seconds 10]

Starts the service on a free port of 127.0.0.1, before a model that costs nothing, or with ``--run FOLDER`` before a run
of a task that takes texts, and ends it. Prints one line of JSON. ``slow`` measures 16 good clients alone, then beside
connections that say nothing and others that send a byte of their headers or of their body now and then; it ends with
status 1 where a good client lost an answer, ``memory`` where memory grew by more than 10 MB.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAUSE = 0.2  # seconds between the bytes of a trickling client
MOST_GROWTH = 10.0  # MB
GOOD = 16


@dataclass
class Seen:
    """What clients saw: statuses, "lost" for a request without an answer, and seconds of each answer."""

    statuses: Counter[Any] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def summary(self, total: float) -> dict[str, Any]:
        """Return rates and percentiles; ``total`` is how many seconds the clients asked."""
        ordered = sorted(self.seconds)
        p50, p99 = (round(1000 * ordered[int(len(ordered) * share)], 2) for share in (0.5, 0.99))
        statuses = {str(status): count for status, count in self.statuses.items()}
        return {"a_second": round(len(ordered) / total, 1), "p50_ms": p50, "p99_ms": p99, "statuses": statuses}


@contextlib.contextmanager
def service(run: str) -> Iterator[tuple[int, int]]:
    """Start the service; give its port and process id."""
    serve = [sys.executable, "-m", "pipelines", "serve", run, "--port", "0"]
    command = serve if run else [sys.executable, str(ROOT / "benchmarks" / "serving_stub.py")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        try:
            yield int(line.rpartition(":")[2]), process.pid
        finally:
            process.terminate()


def request(path: str, body: bytes = b"") -> bytes:
    """Return a request as it is sent."""
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n".encode() + body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytes) -> tuple[int, bytes]:
    """Send a request, and return the status and the body of its answer."""
    writer.write(asked)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


async def client(port: int, asked: list[bytes], seen: Seen, until: float, most: int = sys.maxsize) -> None:
    """Ask again and again over one connection, which is opened anew when it was closed."""
    for start in range(0, most, 1_000):
        if time.monotonic() >= until:
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(start, min(start + 1_000, most)):
            began = time.monotonic()
            if began >= until:
                break
            try:
                status, _ = await asyncio.wait_for(exchange(reader, writer, asked[number % len(asked)]), 60)
            except (OSError, EOFError, TimeoutError):
                seen.statuses["lost"] += 1
                break
            seen.statuses[status] += 1
            seen.seconds.append(time.monotonic() - began)
        writer.close()


async def together(port: int, asked: list[bytes], count: int, seconds: float) -> dict[str, Any]:
    """Let so many clients ask for so long."""
    seen, began = Seen(), time.monotonic()
    await asyncio.gather(*(client(port, asked, seen, began + seconds) for _ in range(count)))
    return seen.summary(time.monotonic() - began)


async def silent(port: int, said: bytes, ends: Counter[str]) -> None:
    """Open connections, send ``said`` byte by byte, then nothing; open another one whenever one is closed."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            ends["refused"] += 1
            await asyncio.sleep(PAUSE)
            continue
        try:
            for byte in said:
                writer.write(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    ends[(await asyncio.wait_for(reader.read(100), PAUSE))[9:12].decode() or "closed"] += 1
                    break
            else:
                ends[(await reader.read(100))[9:12].decode() or "closed"] += 1
        except OSError:
            ends["reset"] += 1
        finally:
            writer.close()
        await asyncio.sleep(PAUSE)


async def slow(port: int, asked: list[bytes], a: argparse.Namespace) -> dict[str, Any]:
    """Measure good clients alone, then beside silent and trickling ones."""
    alone = await together(port, asked, GOOD, a.seconds)
    ends: Counter[str] = Counter()
    body = b"POST /" + asked[0].split()[1][1:] + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    said = [b""] * a.idle + [b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 10_000, body + b"x" * 10_000] * (a.trickling // 2)
    others = [asyncio.create_task(silent(port, one, ends)) for one in said]
    await asyncio.sleep(2)
    beside = await together(port, asked, GOOD, a.seconds)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return {"alone": alone, "beside": beside, "silent_connections_ended": dict(ends)}


async def memory(port: int, asked: list[bytes], pid: int, requests: int) -> dict[str, Any]:
    """Measure how much memory so many requests take for good; half of them are health probes."""
    asked = [*asked, request("/livez")]

    async def ask(count: int) -> float:
        each = count // 32
        await asyncio.gather(*(client(port, asked, Seen(), time.monotonic() + 3600, each) for _ in range(32)))
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    before = await ask(4_096)  # buffers and caches are filled
    series = [round(await ask(requests // 10), 1) for _ in range(10)]
    return {
        "requests": requests,
        "before_mb": round(before, 1),
        "rss_mb": series,
        "grew_mb": round(series[-1] - before, 1),
    }


async def measure(a: argparse.Namespace, port: int, pid: int) -> dict[str, Any]:
    """Find an endpoint for texts and measure what was asked for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    paths = json.loads((await exchange(reader, writer, request("/docs.json")))[1])["paths"]
    writer.close()
    path = next(path for path, what in paths.items() if "post" in what and not path.endswith("/batch"))
    schema = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    texts = ("A wonderful film.", "Two hours that I shall not get back.", "It rains.")
    asked = [request(path, json.dumps({schema["required"][0]: text}).encode()) for text in texts]
    if a.what == "speed":
        return await together(port, asked, a.clients, a.seconds)
    return await (slow(port, asked, a) if a.what == "slow" else memory(port, asked, pid, a.requests))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory", "slow"))
    parser.add_argument("--run", default="", help="run folder or export of a task that takes texts")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--idle", type=int, default=200)
    parser.add_argument("--trickling", type=int, default=40)
    a = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    with service(a.run) as (port, pid):
        found = asyncio.run(measure(a, port, pid))
    print(json.dumps({"what": a.what, **found}))
    lost = set(found.get("beside", {}).get("statuses", {"200": 0})) != {"200"}
    return int(lost or found.get("grew_mb", 0) > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
