"""Which files a visitor may name: those that the same session uploaded, and the examples. Pure ASGI.

Gradio's inputs take a reference to a file of the server, and its own check is off where its application is mounted into
another. This middleware stands before it: paths that the page does not need do not exist, and a request that names any
other file is refused, so that it says nothing about whether there is such a file.
"""

import json
import secrets
from collections import OrderedDict
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from typing import Any

API = "/gradio_api/"
FILE, UPLOAD = f"{API}file=", f"{API}upload"
POSTS = frozenset({f"{API}queue/join", f"{API}cancel", f"{API}reset", f"{API}run/predict", UPLOAD})
GETS = frozenset({"/", "/config", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json"}) | {
    f"{API}{name}" for name in ("info", "app_id", "startup-events", "queue/data", "upload_progress", "theme.css")
}
GETS_BELOW = ("/assets/", "/static/", f"{API}heartbeat/", FILE)
COOKIE = "pipelines_session"
MOST_JSON = 1_000_000  # bytes of a request that is no upload
MOST_SESSIONS, MOST_FILES = 4096, 64  # remembered, and files of each; the oldest are forgotten

Scope = dict[str, Any]


class Uploads:
    """Middleware that knows who uploaded what."""

    def __init__(self, app: Any, examples: Collection[str] = ()) -> None:
        """Stand before ``app``, an ASGI application, where every session may also name the files ``examples``."""
        self._app, self._examples = app, frozenset(examples)
        self._sessions: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass one connection on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, method, session = scope["path"], scope["method"], _session(scope)
        if method == "POST" and path == UPLOAD:
            await self._app(scope, receive, self._remembering(session, send))
        elif method == "POST" and path in POSTS:
            await self._post(scope, receive, send, session)
        elif method not in ("GET", "HEAD") or not (path in GETS or path.startswith(GETS_BELOW)):
            await _refuse(404, "there is nothing here", send)
        elif path.startswith(FILE) and not self._may_name(session, path.removeprefix(FILE)):
            await _refuse(403, "this session has not uploaded such a file", send)
        else:
            await self._app(scope, receive, _with_cookie(send) if path == "/" and _no_cookie(scope) else send)

    def _may_name(self, session: str, path: Any) -> bool:
        return isinstance(path, str) and (path in self._examples or path in self._sessions.get(session, ()))

    def _remember(self, session: str, paths: Any) -> None:
        files = self._sessions.setdefault(session, OrderedDict())
        self._sessions.move_to_end(session)
        for path in paths if isinstance(paths, list) else []:
            files[str(path)] = None
            files.move_to_end(str(path))
        while len(files) > MOST_FILES:
            files.popitem(last=False)
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)

    def _remembering(self, session: str, send: Any) -> Any:
        """Return a ``send`` that takes note of the paths that an upload is answered with."""
        content, status = bytearray(), 0

        async def noted(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                content.extend(message.get("body", b""))
                if status == 200 and not message.get("more_body", False):
                    self._remember(session, json.loads(content))
            await send(message)

        return noted

    async def _post(self, scope: Scope, receive: Any, send: Any, session: str) -> None:
        """Pass a request in JSON on, when it names no file but those of its session."""
        content = await _content(receive)
        if content is None:
            await _refuse(413, f"at most {MOST_JSON:,} bytes are read here", send)
            return
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            await _refuse(400, "the body is no JSON", send)
            return
        if not all(self._may_name(session, file.get("path")) for file in _files(body)):
            await _refuse(403, "this session has not uploaded such a file", send)
            return
        content = json.dumps(body).encode()  # as it was understood here, without addresses and doubled keys
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        length = (b"content-length", str(len(content)).encode())
        await self._app({**scope, "headers": [*headers, length]}, _once(content, receive), send)


def _files(body: Any) -> list[dict[str, Any]]:
    """Return all references to files in a body, without the addresses in them: only the path counts."""
    found, rest = [], [body]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            if {"path", "url", "meta"} & set(value):
                found.append(value)
                value.pop("url", None)
            rest += value.values()
        elif isinstance(value, list):
            rest += value
    return found


def _cookie(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            except CookieError:
                return ""
            return found.value[:100] if found else ""
    return ""


def _no_cookie(scope: Scope) -> bool:
    return not _cookie(scope)


def _session(scope: Scope) -> str:
    """Return the name of a session: its cookie; for clients that keep none, their address."""
    client = scope.get("client")
    return _cookie(scope) or f"address {client[0] if client else ''}"


def _with_cookie(send: Any) -> Any:
    value = f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; HttpOnly; SameSite=Strict"

    async def headed(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"set-cookie", value.encode())]
        await send(message)

    return headed


async def _content(receive: Any) -> bytes | None:
    """Return a body, None where it is too large."""
    content = bytearray()
    while True:
        message = await receive()
        content += message.get("body", b"")
        if len(content) > MOST_JSON:
            return None
        if not message.get("more_body", False):
            return bytes(content)


def _once(content: bytes, receive: Any) -> Any:
    """Return a ``receive`` that gives a body that was read before, then what else comes."""
    given = False

    async def again() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return again


async def _refuse(status: int, sentence: str, send: Any) -> None:
    body = json.dumps({"error": sentence, "detail": sentence}).encode()  # Gradio's script shows the detail
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
