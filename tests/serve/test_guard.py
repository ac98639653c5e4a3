"""The limits around an endpoint, without a server: what is refused, when, and what happens to what takes too long."""

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("starlette")

from pipelines.serve.guard import Door, Guard, refusal
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


async def status_of(app: Any, path: str = "/a", headers: Any = HEADERS, method: str = "POST") -> tuple[int, Any]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "path": path, "method": method, "headers": headers}, None, send)
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
    door = Door(endpoint, frozenset({"/a"}), {"openapi": "3"})
    found = [
        asyncio.run(status_of(door, path)) for path in ("/a", "/livez", "/static_content/x.js", "/b", "/docs.json")
    ]
    assert [status for status, _ in found] == [200, 200, 200, 404, 200] and endpoint.begun == 3
    assert found[4][1] == {"openapi": "3"} and "there is nothing at /b" in found[3][1]["error"]
    assert "swagger" in asyncio.run(status_of(door, "/"))[1]
