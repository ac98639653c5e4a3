"""Host and Origin check: a server is asked by its own reader, by the names of its machine and those allowed."""

import asyncio
import json
import socket
from typing import Any

import pytest

from pipelines.serve.hosts import HostCheck, host_of, is_local
from pipelines.web import page as web


def asked(
    kind: str = "http",
    name: str = "127.0.0.1",
    listening: str = "127.0.0.1",
    allowed: tuple[str, ...] = (),
    method: str = "GET",
    **headers: str,
) -> list[dict[str, Any]]:
    """Send one request through the check; return what was sent back."""
    sent: list[dict[str, Any]] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "the page", "headers": dict(scope["headers"])})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    check = HostCheck(page, listening, name, allowed)
    asyncio.run(check({"type": kind, "headers": pairs, "method": method}, None, send))
    return sent


def let_in(**request: Any) -> bool:
    return asked(**request)[0]["type"] == "the page"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "::ffff:127.0.0.1", "localhost"])
def test_addresses_that_never_leave_the_machine_are_local(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "fe80::1", "::ffff:192.0.2.1", "elsewhere.example", ""])
def test_other_addresses_and_names_are_not(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("localhost:7860", "localhost"), ("127.0.0.2", "127.0.0.2"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("", ""),
        ("::1", ""), ("[::1].elsewhere.example", ""), ("localhost:80@elsewhere.example", ""),
    ],
)  # fmt: skip
def test_a_host_has_no_brackets_and_no_port(authority: str, host: str) -> None:
    assert host_of(authority) == host


def test_the_reader_is_let_in_under_every_name_of_the_machine() -> None:
    for host in ("127.0.0.1:80", "127.0.0.2:80", "[::1]:80", "localhost", "LocalHost:7860"):
        assert let_in(host=host), host
        assert let_in(host=host, origin=f"http://{host}"), host
    assert let_in(name="Desk", host="desk:80", origin="http://desk:80")
    assert let_in(kind="websocket", host="[::1]:80") and let_in(kind="lifespan")


FOREIGN: tuple[dict[str, str], ...] = (
    {"host": "elsewhere.example"},
    {"host": "elsewhere.example:80"},
    {"host": "127.0.0.1.elsewhere.example"},
    {"host": "192.0.2.1"},
    {"host": ""},
    {},
    {"host": "[::1]:80", "origin": "http://elsewhere.example"},
    {"host": "127.0.0.2:80", "origin": "https://elsewhere.example:80"},
    {"host": "127.0.0.1:80", "origin": "null"},
    {"host": "127.0.0.1:80", "sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
    {"host": "127.0.0.1:80", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
)


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_page_is_not(headers: dict[str, str]) -> None:
    start, body = asked(**headers)  # type: ignore[arg-type]
    assert start["status"] == 400 and "another site's page" in json.loads(body["body"])["error"], headers
    assert asked("websocket", **headers) == [{"type": "websocket.close", "code": 1008}]  # type: ignore[arg-type]


def test_a_link_to_a_page_may_be_followed() -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert let_in(host="localhost", **link) and not let_in(host="localhost", method="POST", **link)


def test_further_hosts_can_be_allowed() -> None:
    allowed = ("Proxy.example",)
    assert not let_in(host="proxy.example") and let_in(host="proxy.example:443", allowed=allowed)
    assert let_in(host="proxy.example", origin="https://proxy.example", allowed=allowed)
    assert let_in(host="127.0.0.1", origin="https://proxy.example", allowed=allowed)
    assert let_in(host="anything.example", allowed=("*",))
    assert not let_in(host="anything.example", origin="http://other.example", allowed=("*",))


def test_a_server_that_others_reach_has_the_addresses_and_the_name_of_its_machine() -> None:
    reached: dict[str, Any] = {"listening": "0.0.0.0", "name": "0.0.0.0"}
    for host in ("192.0.2.1:3000", "[2001:db8::1]:3000", "localhost:3000", socket.gethostname()):
        assert let_in(host=host, origin=f"http://{host}", **reached), host
    assert not let_in(host="elsewhere.example", **reached)
    assert not let_in(host="192.0.2.1", origin="http://192.0.2.2", **reached)
    assert not let_in(host="192.0.2.1", origin="http://localhost", **reached)


def test_a_foreign_host_in_another_header_is_not_passed_on() -> None:
    for name in ("x_forwarded_host", "x_gradio_server"):
        for value, passed in (("elsewhere.example", False), ("localhost, elsewhere.example", False), ("[::1]:1", True)):
            (message,) = asked(host="localhost", **{name: value})
            assert (name.replace("_", "-").encode() in message["headers"]) == passed, (name, value)


@pytest.mark.parametrize(("host", "told"), [("127.0.0.2", False), ("::1", False), ("0.0.0.0", True)])
def test_the_command_says_where_others_can_reach_the_page(
    host: str, told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop() -> None:
        raise RuntimeError("loads TensorFlow here")

    monkeypatch.setattr(web, "need", lambda extra, sentence: None)
    monkeypatch.setattr(web, "chosen", lambda runs: [])
    monkeypatch.setattr(web, "import_tensorflow", stop)
    with pytest.raises((RuntimeError, ValueError), match=r"loads TensorFlow|cannot be opened|is no address"):  # no IPv6
        web.run([], host, 0, {})
    assert ("everybody who can reach" in capsys.readouterr().err) == told
