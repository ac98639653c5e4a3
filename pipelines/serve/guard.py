"""What stands before the endpoints: the limits of size, number and time. Pure ASGI."""

import asyncio
from typing import Any

from starlette.responses import JSONResponse

from pipelines.serve.limits import Body, Inside, Limits
from pipelines.serve.requests import sayable

HEADERS = {405: {"Allow": "POST"}, 408: {"Connection": "close"}, 503: {"Retry-After": "1"}}

Scope = dict[str, Any]


class Gone(Exception):
    """The client has closed its connection before its request was complete."""


def refusal(status: int, sentence: str) -> JSONResponse:
    """Return an error as every endpoint gives it: JSON with one sentence, whatever of the request that repeats."""
    return JSONResponse({"error": sayable(sentence)}, status, HEADERS.get(status))


def _model(path: str) -> str:
    return path[1:].partition("/")[0]


class Guard:
    """Refuses what is too large, too much at a time, or takes too long, before and around the endpoints.

    Both endpoints of a model count together: what they hold waits for the same model. Bodies are read here, so that a
    request takes a place when it is complete, and a body that never comes takes none.
    """

    def __init__(self, app: Any, limits: Limits, endpoints: frozenset[str]) -> None:
        self.app, self.limits, self.endpoints = app, limits, endpoints
        self.inside = {_model(path): Inside(limits) for path in endpoints}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle one request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path not in self.endpoints:
            await self.app(scope, receive, send)
            return
        inside, headers = self.inside[_model(path)], dict(scope["headers"])
        refused = self._refused(inside, headers, scope["method"])
        if refused is None:
            try:
                refused = await self._answered(inside, int(headers[b"content-length"]), scope, receive, send)
            except Gone:
                return
        if refused is not None:
            await refused(scope, receive, send)

    def _refused(self, inside: Inside, headers: dict[bytes, bytes], method: str) -> JSONResponse | None:
        length = headers.get(b"content-length", b"")
        if method != "POST":
            return refusal(405, f"expected POST, came {method}; the page at / shows a request")
        # The length of a body in chunks is whatever comes, also where a Content-Length says otherwise (RFC 9112, 6.3).
        if not length.isdigit() or b"transfer-encoding" in headers:
            return refusal(411, "expected a Content-Length header and no Transfer-Encoding")
        if int(length) > self.limits.bytes:
            return refusal(413, f"the body has {int(length)} bytes, at most {self.limits.bytes} are taken")
        later = inside.problem(int(length))
        return refusal(503, later) if later else None

    async def _answered(
        self, inside: Inside, length: int, scope: Scope, receive: Any, send: Any
    ) -> JSONResponse | None:
        """Read the body and let the endpoint answer, or return why not."""
        end = asyncio.get_running_loop().time() + self.limits.timeout
        content = await self._read(inside, receive)
        if not isinstance(content, bytes):
            return content
        if later := inside.problem(length):  # others were complete sooner
            return refusal(503, later)
        with inside.let_in(length):
            return await self._in_time(end, scope, content, send)

    async def _read(self, inside: Inside, receive: Any) -> bytes | JSONResponse:
        """Return the body, or why there is none.

        Raises:
            Gone: the client has gone.
        """
        too_much = False

        def give_up() -> None:
            nonlocal too_much
            too_much = True
            if not deadline.expired():
                deadline.reschedule(0)

        body = Body(give_up)
        try:
            async with asyncio.timeout(self.limits.body) as deadline:
                with inside.receiving(body):
                    return await _whole(inside, body, receive)
        except TimeoutError:
            if too_much:
                return refusal(503, "too much is coming; try again in a moment")
            return refusal(408, f"the body was not complete within {self.limits.body:g} s")

    async def _in_time(self, end: float, scope: Scope, content: bytes, send: Any) -> JSONResponse | None:
        begun = False

        async def noted(message: dict[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        try:
            async with asyncio.timeout_at(end):
                await self.app(scope, receive, noted)
        except TimeoutError:
            if begun:
                raise
            return refusal(504, f"there was no answer within {self.limits.timeout:g} s")
        return None


async def _whole(inside: Inside, body: Body, receive: Any) -> bytes:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part, more = message.get("body", b""), message.get("more_body", False)
        if not (more or body.content):
            return bytes(part)  # came at once, as most do
        inside.received(body, part)
        if not more:
            return bytes(body.content)
