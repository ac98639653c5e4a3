"""Who may ask a page of this machine alone: its own reader, and no foreign page in the reader's browser. Pure ASGI."""

import ipaddress
import re
from typing import Any

AUTHORITY = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::\d*)?")
PLAIN = [(b"content-type", b"text/plain; charset=utf-8")]


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


class OwnPages:
    """Middleware of a page at an address of this machine alone: refuses what a foreign page asks for.

    A foreign page may reach such an address under a name of its own, which the Host header then has (DNS rebinding),
    or ask for it directly, which browsers say in the Origin header.
    """

    def __init__(self, app: Any, name: str) -> None:
        """Stand before ``app``, an ASGI application, which the reader may also call ``name``."""
        self.app, self.name = app, name.lower()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass one connection on, or refuse it."""
        if scope["type"] in ("http", "websocket") and not self._own(scope["headers"]):
            await _refuse(scope["type"], send)
        else:
            await self.app(scope, receive, send)

    def _own(self, headers: Any) -> bool:
        hosts = [host_of(value.decode("latin-1")) for name, value in headers if name == b"host"]
        origins = [value.decode("latin-1").partition("://")[2] for name, value in headers if name == b"origin"]
        called = [*hosts, *map(host_of, origins)]  # the origin of a page without any is the word null: no host
        return bool(hosts) and all(is_local(host) or (host and host.lower() == self.name) for host in called)


async def _refuse(kind: str, send: Any) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 400, "headers": PLAIN})
    await send({"type": "http.response.body", "body": b"this page answers requests of its own machine alone"})
