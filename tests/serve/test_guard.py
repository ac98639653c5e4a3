"""The limits around an endpoint, without a server: what is refused, when, and what happens to what takes too long."""

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.responses import JSONResponse

from pipelines.serve.app import Door
from pipelines.serve.guard import Guard, refusal
from pipelines.serve.limits import Limits

pytestmark = pytest.mark.serve
HEADERS = [(b"content-length", b"10")]


class Endpoint:
    """Answers after a while; remembers who was cancelled."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.begun, self.cancelled = seconds, 0, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


async def status_of(
    app: Any, path: str = "/a", headers: Any = HEADERS, method: str = "POST", receive: Any = None
) -> tuple[int, Any]:
    sent: list[dict[str, Any]] = []

    async def at_once() -> dict[str, Any]:
        return {"type": "http.request", "body": b"0123456789"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "path": path, "method": method, "headers": headers}, receive or at_once, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    body = sent[1]["body"]
    return sent[0]["status"], json.loads(body) if body[:1] == b"{" else body.decode()


def guard(endpoint: Endpoint, **limits: Any) -> Guard:
    return Guard(endpoint, Limits(**limits), frozenset({"/a", "/a/batch", "/b", "/b/batch"}))


def test_what_takes_too_long_is_cancelled_and_said() -> None:
    endpoint = Endpoint(5)
    status, body = asyncio.run(status_of(guard(endpoint, timeout=0.05)))
    assert (status, body) == (504, {"error": "there was no answer within 0.05 s"})
    assert endpoint.cancelled == 1


async def together(app: Any, paths: list[str], headers: Any = HEADERS) -> list[tuple[int, Any]]:
    return await asyncio.gather(*(status_of(app, path, headers) for path in paths))


def test_so_many_are_let_in_at_a_time_for_each_model() -> None:
    app = guard(Endpoint(0.1), waiting=3, instances=3)
    paths = ["/a", "/a/batch"] * 2 + ["/a"] + ["/b"] * 3
    assert [status for status, _ in asyncio.run(together(app, paths))] == [200, 200, 200, 503, 503, 200, 200, 200]
    assert asyncio.run(status_of(app))[0] == 200, "the places are free again"


def test_so_many_bytes_are_let_in_at_a_time_for_each_model() -> None:
    app, headers = guard(Endpoint(0.1), megabytes=1, held=2), [(b"content-length", b"900000")]
    found = asyncio.run(together(app, ["/a", "/a/batch", "/a", "/a/batch", "/b", "/b"], headers))
    assert [status for status, _ in found] == [200, 200, 503, 503, 200, 200]
    assert found[2][1] == {
        "error": "1800000 bytes are waiting, 900000 more would be beyond 2000000; try again in a moment"
    }
    assert asyncio.run(status_of(app, headers=headers))[0] == 200, "the room is free again"


def test_a_body_is_refused_by_its_length_before_the_endpoint_sees_it() -> None:
    endpoint = Endpoint()
    app = guard(endpoint, megabytes=0.001)
    for headers, status in (
        ([(b"content-length", b"1000")], 200),
        ([(b"content-length", b"1001")], 413),
        ([(b"content-length", b"-5")], 411),
        ([], 411),
        ([(b"transfer-encoding", b"chunked")], 411),
        ([(b"content-length", b"10"), (b"transfer-encoding", b"chunked")], 411),
    ):
        assert asyncio.run(status_of(app, headers=headers))[0] == status
    status, body = asyncio.run(status_of(app, headers=[], method="GET"))
    assert status == 405 and "expected POST, came GET" in body["error"]
    assert endpoint.begun == 1
    assert asyncio.run(status_of(app, path="/livez", headers=[], method="GET"))[0] == 200, "no endpoint, no limit"


def test_a_refusal_may_repeat_what_has_no_utf8() -> None:
    answer = refusal(400, "expected the field text alone, came text, \ud800")
    assert json.loads(bytes(answer.body)) == {"error": "expected the field text alone, came text, \\ud800"}


def test_the_door_lets_in_endpoints_and_answers_the_rest_itself() -> None:
    endpoint = Endpoint()
    door = Door(endpoint, frozenset({"/a"}), {"/docs.json": JSONResponse({"openapi": "3"})})
    found = [asyncio.run(status_of(door, path)) for path in ("/a", "/livez", "/b", "/docs.json")]
    assert [status for status, _ in found] == [200, 200, 404, 200] and endpoint.begun == 2
    assert found[3][1] == {"openapi": "3"} and "there is nothing at /b" in found[2][1]["error"]


def parts(*bodies: bytes, then: Any = None) -> Any:
    """Return a ``receive`` that gives parts of a body; after them it waits for ever, or gives ``then``."""
    rest = list(bodies)

    async def receive() -> dict[str, Any]:
        if rest:
            return {"type": "http.request", "body": rest.pop(0), "more_body": True}
        if then is None:
            await asyncio.sleep(60)
        return then

    return receive


def test_bodies_that_never_come_take_no_place_and_end() -> None:
    app = guard(Endpoint(), waiting=2, instances=2, body=0.2)

    async def work() -> tuple[list[Any], list[Any]]:
        slow = [asyncio.create_task(status_of(app, receive=parts(b"01"))) for _ in range(20)]
        await asyncio.sleep(0.05)
        good = [await status_of(app) for _ in range(5)]
        assert len(app.inside["a"].coming) == 20, "they wait beside the good ones"
        return good, await asyncio.gather(*slow)

    good, slow = asyncio.run(work())
    assert [status for status, _ in good] == [200] * 5
    assert slow == [(408, {"error": "the body was not complete within 0.2 s"})] * 20
    assert not app.inside["a"].coming and app.inside["a"]._coming_bytes == 0


def test_of_too_many_bytes_that_are_coming_the_oldest_are_given_up() -> None:
    app, whole = guard(Endpoint(), megabytes=1, held=2), {"type": "http.request", "body": b"."}
    headers = [(b"content-length", b"900001")]

    async def work() -> list[Any]:
        slow = [asyncio.create_task(status_of(app, "/a", headers, receive=parts(b"." * 900_000))) for _ in range(2)]
        await asyncio.sleep(0.05)
        new = await status_of(app, "/a", headers, receive=parts(b"." * 900_000, then=whole))
        assert not slow[1].done()
        slow[1].cancel()
        return [new, await slow[0]]

    new, oldest = asyncio.run(work())
    assert new[0] == 200 and oldest == (503, {"error": "too much is coming; try again in a moment"})


def test_who_goes_before_the_body_is_complete_gets_no_answer() -> None:
    endpoint = Endpoint()
    app = guard(endpoint)
    receive = parts(b"01", then={"type": "http.disconnect"})

    async def send(message: Any) -> None:
        raise AssertionError(message)

    asyncio.run(app({"type": "http", "path": "/a", "method": "POST", "headers": HEADERS}, receive, send))
    assert not endpoint.begun and not app.inside["a"].coming
