"""A page of this machine alone is asked by its own reader alone, at whichever of the machine's own addresses it is."""

import asyncio
from typing import Any

import pytest

from pipelines.serve.hosts import OwnPages, host_of, is_local
from pipelines.web import page as web


def asked(kind: str = "http", name: str = "127.0.0.1", **headers: str) -> list[dict[str, Any]]:
    """Send one request through the middleware; return what was sent back."""
    sent: list[dict[str, Any]] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "the page"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(OwnPages(page, name)({"type": kind, "headers": pairs}, None, send))
    return sent


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
        assert asked(host=host) == [{"type": "the page"}], host
        assert asked(host=host, origin=f"http://{host}") == [{"type": "the page"}], host
    assert asked(name="Desk", host="desk:80", origin="http://desk:80") == [{"type": "the page"}]
    assert asked(kind="websocket", host="[::1]:80") == asked(kind="lifespan") == [{"type": "the page"}]


def test_a_foreign_page_is_not() -> None:
    for headers in (
        {"host": "elsewhere.example"},
        {"host": "elsewhere.example:80"},
        {"host": "127.0.0.1.elsewhere.example"},
        {"host": ""},
        {},
        {"host": "[::1]:80", "origin": "http://elsewhere.example"},
        {"host": "127.0.0.2:80", "origin": "https://elsewhere.example:80"},
        {"host": "127.0.0.1:80", "origin": "null"},
    ):
        start, body = asked(**headers)
        assert start["status"] == 400 and b"of its own machine alone" in body["body"], headers
        assert asked(kind="websocket", **headers) == [{"type": "websocket.close", "code": 1008}]


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
