"""Connections of both servers: a deadline for headers, room for those that speak, and answers after a half-close.

Uvicorn waits for a request without end, counts a silent connection like a busy one, and gives up the answer of a client
that has closed its side (RFC 9112, 9.6). The protocol here is uvicorn's own, on h11, with these three changed.
"""

import asyncio
import json
import resource
from typing import ClassVar, Literal

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

CONNECTIONS = 4096
"""Connections open at a time. One more takes the place of one that is silent; where none is, it is refused."""
SPARE = 128
"""File descriptors for what is no connection."""
HEAD_BYTES = 16_384
"""Bytes of a request's headers; more are refused with 400."""
FULL = "too many connections; try again in a moment"

Phase = Literal["new", "body", "answer", "idle"]


def most_connections() -> int:
    """Return how many connections may be open: ``CONNECTIONS``, or fewer where the process may open fewer files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(CONNECTIONS, soft - SPARE))


def protocol(head_seconds: float, most: int, half_closed: bool = True) -> type[H11Protocol]:
    """Return the protocol with its limits, for ``uvicorn.Config(http=...)``.

    Args:
        head_seconds: until the headers of a request are complete.
        most: connections that are open at a time.
        half_closed: answer clients that have closed their side; else that ends answers without an end, such as events.
    """
    limits = {"head_seconds": head_seconds, "most": most, "half_closed": half_closed}
    return type("LimitedConnection", (Connection,), {**limits, "new": {}})


class Connection(H11Protocol):
    """One connection.

    Attributes:
        phase: ``new`` without a request yet, ``body`` while one is coming, ``answer`` while it is answered, ``idle``
            between requests.
        since: when that began, in seconds of the event loop.
        new: connections without a request yet, the oldest first; of all connections.
    """

    head_seconds = 10.0
    most = CONNECTIONS
    half_closed = True
    new: ClassVar[dict["Connection", None]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Wait for a request; where too many connections are open, close one of those that are silent."""
        super().connection_made(transport)
        self.since, self._ended = self.loop.time(), False
        self._deadline: asyncio.TimerHandle | None = None
        self.new[self] = None
        self._wait_for_head()
        if len(self.connections) > self.most:
            self._make_room()

    @property
    def phase(self) -> Phase:
        """What the connection waits for."""
        if self.cycle is None:
            return "new"
        if self.cycle.response_complete:
            return "idle"
        return "body" if self.cycle.more_body else "answer"

    def data_received(self, data: bytes) -> None:
        """Read; the deadline of headers ends with them, and begins with the first byte of the next ones."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._head_came()
        elif self._deadline is None and self.phase == "idle":
            self._wait_for_head()

    def eof_received(self) -> bool:
        """Keep the connection of a client that has said everything, until its complete requests are answered."""
        self._ended = self.half_closed and self.phase == "answer"
        return self._ended

    def on_response_complete(self) -> None:
        """Go on with the next request, or close where the client has said that there is none."""
        before = self.cycle
        super().on_response_complete()
        if self.cycle is not before:
            self._head_came()
        else:
            self.since = self.loop.time()
            if self._ended:
                self.timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in JSON as everything is refused."""
        self.refuse(400, "this is no HTTP request, or its headers are too large")

    def refuse(self, status: int, sentence: str) -> None:
        """Answer with an error in place of the application, and close; where an answer has begun, just close."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": sentence}).encode()
            headers: list[tuple[str, str]] = [
                ("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")
            ]  # fmt: skip
            if status == 503:
                headers.append(("retry-after", "1"))
            response = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _wait_for_head(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._too_slow)

    def _head_came(self) -> None:
        self._stop_waiting()
        self.since = self.loop.time()

    def _stop_waiting(self) -> None:
        self.new.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._give_up(408, f"the headers were not complete within {self.head_seconds:g} s")

    def _give_up(self, status: int, sentence: str) -> None:
        """Close; whoever has begun a request is told why. Others are not: they would take it for a later answer."""
        self._stop_waiting()
        if self.phase == "body" or self.conn.trailing_data[0]:
            self.refuse(status, sentence)
        else:
            self.transport.close()

    def _make_room(self) -> None:
        """Close a silent connection: one without a request first, then one between requests, the oldest of them.

        Bodies that are still coming may have half of the places; beyond that the oldest of them is given up first.
        """
        if (oldest := next(iter(self.new))) is not self:
            oldest._give_up(503, FULL)
            return
        kinds: dict[Phase, list[Connection]] = {"body": [], "idle": []}
        for connection in self.connections:
            if connection.phase in kinds and not connection.transport.is_closing():
                kinds[connection.phase].append(connection)
        first: Phase = "body" if len(kinds["body"]) > self.most // 2 else "idle"
        silent = kinds[first] or kinds["body"]
        if silent:
            min(silent, key=lambda connection: connection.since)._give_up(503, FULL)
        else:
            self.refuse(503, FULL)
