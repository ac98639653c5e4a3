"""Host and Origin check of both servers, against foreign web pages in the reader's browser. Pure ASGI."""

import argparse
import ipaddress
import json
import re
import socket
from collections.abc import Iterable
from typing import Any

AUTHORITY = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::\d*)?")
ANY = "*"
"""Stands for every name in ``--allow-host``."""
FORWARDED = (b"x-forwarded-host", b"x-gradio-server")
"""Headers that name a host beside Host; what they name is repeated in pages, so only an allowed name is passed on."""
SENTENCE = "requests for another host or from another site's page are refused; --allow-host NAME allows a host"
BODY = json.dumps({"error": SENTENCE}).encode()

Headers = list[tuple[bytes, bytes]]


def add_option(command: argparse.ArgumentParser) -> None:
    """Describe the option that allows further hosts."""
    text = "further host name by which this server may be asked, such as that of a proxy; * allows all (repeatable)"
    command.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=text)


def is_local(host: str) -> bool:
    """Say whether a host is this machine and no other: ``localhost``, or an address that never leaves the machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def host_of(authority: str) -> str:
    """Return the host of ``HOST:PORT`` or ``[ADDRESS]:PORT`` without brackets and port; "" where it is neither."""
    found = AUTHORITY.fullmatch(authority)
    return (found[1] or found[2] or "") if found else ""


def is_address(host: str) -> bool:
    """Say whether a host is an IP address, which no foreign page can make its own name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class HostCheck:
    """Middleware that refuses with 400 what a foreign web page asks for.

    A foreign page may reach a server under a name of its own, which the Host header then has (DNS rebinding), or ask
    directly, which browsers say in the headers Origin and Sec-Fetch-Site. A server at a loopback address is called by
    the names of this machine alone. One that other machines reach may also be called by any IP address. Following a
    link to a page is no foreign request.
    """

    def __init__(self, app: Any, listening: str, name: str = "", allowed: Iterable[str] = ()) -> None:
        """Stand before ``app``, an ASGI application.

        Args:
            app: what answers.
            listening: the address at which the server listens.
            name: as the user called that address; may be a host name.
            allowed: further host names; "*" allows all of them.
        """
        self.app, self.local = app, is_local(listening)
        own = [name] if self.local else [name, socket.gethostname()]
        self.names = {host.lower() for host in (*own, *allowed) if host}
        self.any = ANY in self.names

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass one connection on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif self._ours(scope):
            if any(name in FORWARDED for name, _ in scope["headers"]):
                scope = {**scope, "headers": self._without_foreign(scope["headers"])}
            await self.app(scope, receive, send)
        else:
            await _refuse(scope["type"], send)

    def _ours(self, scope: Any) -> bool:
        headers = scope["headers"]
        hosts, origins = _values(headers, b"host"), _values(headers, b"origin")
        if len(hosts) != 1 or not self._called(host := host_of(hosts[0])):
            return False
        for origin in origins:  # the origin of a page without any is the word null: no host
            if not self._sent_by(host_of(origin.partition("://")[2]), host):
                return False
        return bool(origins) or not _cross_site(scope.get("method", "GET"), dict(headers))

    def _called(self, host: str) -> bool:
        known = is_local(host) or host.lower() in self.names or (not self.local and is_address(host))
        return bool(host) and (known or self.any)

    def _sent_by(self, origin: str, host: str) -> bool:
        same = origin.lower() == host.lower() or (is_local(origin) and is_local(host))
        return bool(origin) and (same or origin.lower() in self.names)

    def _without_foreign(self, headers: Headers) -> Headers:
        def allowed(value: bytes) -> bool:
            return all(self._called(host_of(one.strip())) for one in value.decode("latin-1").split(","))

        return [(name, value) for name, value in headers if name not in FORWARDED or allowed(value)]


def _values(headers: Headers, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name == wanted]


def _cross_site(method: str, headers: dict[bytes, bytes]) -> bool:
    """Whether a browser says that another site's page asks, and that it is not its reader who follows a link."""
    if headers.get(b"sec-fetch-site") != b"cross-site":
        return False
    link = headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
    return not (link and method in ("GET", "HEAD"))


async def _refuse(kind: str, send: Any) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})
