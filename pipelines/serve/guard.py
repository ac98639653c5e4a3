"""What stands before the service: the page, unknown paths, and the limits of size, number and time. Pure ASGI."""

import asyncio
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from pipelines.serve.limits import Inside, Limits
from pipelines.serve.requests import sayable

SYSTEM = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Recurrent task pipelines</title>
<link rel="stylesheet" href="./static_content/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script src="./static_content/swagger-ui-standalone-preset.js"></script>
<script src="./static_content/swagger-initializer.js"></script></body></html>
"""
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
HEADERS = {405: {"Allow": "POST"}, 503: {"Retry-After": "1"}}

Scope = dict[str, Any]


def refusal(status: int, sentence: str) -> JSONResponse:
    """Return an error as every endpoint gives it: JSON with one sentence, whatever of the request that repeats."""
    return JSONResponse({"error": sayable(sentence)}, status, HEADERS.get(status))


def _model(path: str) -> str:
    return path[1:].partition("/")[0]


class Door:
    """Answers what the service has no endpoint for, so that its metrics count endpoints, not what somebody typed.

    The page is our own: BentoML's loads a tracker, also where its tracking is turned off.
    """

    def __init__(self, app: Any, endpoints: frozenset[str], described: dict[str, Any]) -> None:
        """Take the service, its endpoints, and their OpenAPI description."""
        self.app, self.known, self.described = app, SYSTEM | endpoints, described

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle one connection of ASGI."""
        path = scope.get("path", "")
        if scope["type"] == "lifespan" or path in self.known or path.startswith("/static_content/"):
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            page: Response = refusal(404, f"there is nothing at {path[:100]}; the page at / lists the endpoints")
            if path == "/docs.json":
                page = JSONResponse(self.described)
            if path == "/":
                page = HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})
            await page(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})


class Guard:
    """Refuses what is too large, too much at a time, or takes too long, before and around the endpoints.

    Both endpoints of a model count together: what they hold waits for the same model.
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
        if refused is not None:
            await refused(scope, receive, send)
            return
        with inside.let_in(int(headers[b"content-length"])):
            await self._in_time(scope, receive, send)

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

    async def _in_time(self, scope: Scope, receive: Any, send: Any) -> None:
        begun = False

        async def noted(message: dict[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(self.limits.timeout):
                await self.app(scope, receive, noted)
        except TimeoutError:
            if begun:
                raise
            await refusal(504, f"there was no answer within {self.limits.timeout:g} s")(scope, receive, send)
