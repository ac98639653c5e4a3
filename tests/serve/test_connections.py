"""Connections without a model: deadlines, room for those that speak, and answers after a half-close."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("uvicorn")

import uvicorn

from pipelines.serve.connections import most_connections, protocol

pytestmark = pytest.mark.serve
GET = b"GET /n%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def answer_later(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, wait a little, and answer with the path."""
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.disconnect":
        return
    await asyncio.sleep(0.1)
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def served(work: Callable[[Callable[[bytes], Awaitable[Streams]]], Awaitable[Any]], **limits: Any) -> Any:
    """Run a server; ``work`` is given what opens a connection and sends something."""

    async def run() -> Any:
        listener = socket.create_server(("127.0.0.1", 0))
        limited = protocol(**({"head_seconds": 30.0, "most": 100} | limits))
        config = uvicorn.Config(answer_later, http=limited, ws="none", lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server._serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)

        async def opened(said: bytes = b"") -> Streams:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(said)
            return reader, writer

        try:
            return await asyncio.wait_for(work(opened), 20)
        finally:
            server.should_exit = server.force_exit = True
            await running

    return asyncio.run(run())


def error_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def test_a_client_that_has_closed_its_side_is_answered() -> None:
    async def work(opened: Any) -> list[bytes]:
        answers = []
        for said in (GET % 1, POST + b"0123456789", GET % 1 + GET % 2 + GET % 3):
            reader, writer = await opened(said)
            writer.write_eof()
            answers.append(await reader.read())
        return answers

    one, posted, three = served(work)
    assert one.startswith(b"HTTP/1.1 200") and one.endswith(b"/n1") and posted.endswith(b"/")
    assert [three.count(b"\r\n\r\n/n%d" % number) for number in (1, 2, 3)] == [1, 1, 1]


def test_a_body_that_was_cut_short_ends_the_connection() -> None:
    async def work(opened: Any) -> bytes:
        reader, writer = await opened(POST + b"012")
        writer.write_eof()
        return await reader.read()

    assert served(work) == b""


def test_headers_have_a_deadline() -> None:
    async def work(opened: Any) -> tuple[bytes, bytes, bytes]:
        silent, _ = await opened()
        begun, _ = await opened(b"GET / HTTP/1.1\r\nHo")
        second, again = await opened(GET % 1)
        first = await second.readuntil(b"/n1")
        again.write(b"GET /n2 HT")
        return await silent.read(), await begun.read(), (first + await second.read()).partition(b"/n1")[2]

    silent, begun, second = served(work, head_seconds=0.3)
    assert silent == b"", "who has said nothing is told nothing"
    assert error_of(begun) == (408, "the headers were not complete within 0.3 s")
    assert error_of(second[second.index(b"HTTP/1.1 408") :])[0] == 408


def test_silent_connections_make_room_for_those_that_speak() -> None:
    async def work(opened: Any) -> None:
        silent = [await opened() for _ in range(4)]
        half = [await opened(POST) for _ in range(4)]
        await asyncio.sleep(0.05)
        good = [await opened(GET % number) for number in range(3)]
        for number, (reader, _) in enumerate(good):
            assert (await reader.readuntil(b"/n%d" % number)).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.05)
        assert [reader.at_eof() for reader, _ in silent] == [True, True, True, False], "the oldest first"
        for reader, writer in half:
            writer.write(b"0123456789")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200"), "a request that comes is kept"

    served(work, most=8)


def test_bodies_that_do_not_come_have_half_of_the_places() -> None:
    async def work(opened: Any) -> None:
        half = [await opened(POST) for _ in range(8)]
        await asyncio.sleep(0.05)
        reader, _ = await opened(GET % 1)
        assert (await reader.readuntil(b"/n1")).startswith(b"HTTP/1.1 200")
        assert error_of(await half[0][0].read()) == (503, "too many connections; try again in a moment")

    served(work, most=8)


def test_where_all_are_being_answered_one_more_is_told_so() -> None:
    async def work(opened: Any) -> list[bytes]:
        busy = [await opened(GET % number) for number in range(4)]
        await asyncio.sleep(0.05)
        reader, _ = await opened()
        assert error_of(await reader.read()) == (503, "too many connections; try again in a moment")
        return [await reader.readuntil(b"/n%d" % number) for number, (reader, _) in enumerate(busy)]

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in served(work, most=4))


@pytest.mark.parametrize(
    "said", [b"no request at all\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 99_999]
)
def test_what_is_no_http_is_refused_in_json(said: bytes) -> None:
    async def work(opened: Any) -> bytes:
        reader, _ = await opened(said)
        return await reader.read()

    assert error_of(served(work)) == (400, "this is no HTTP request, or its headers are too large")


def test_there_are_fewer_connections_than_files_that_may_be_open() -> None:
    import resource

    assert 16 <= most_connections() < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
