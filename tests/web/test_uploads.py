"""Which files a visitor of the page may name: what the same session uploaded, and the examples."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.web import uploads
from pipelines.web.uploads import COOKIE, Uploads

JOIN, UPLOAD, FILE = "/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/file="
ANNE, BEN = {"cookie": f"{COOKIE}=anne"}, {"cookie": f"other=1; {COOKIE}=ben"}


class Page:
    """Stands for Gradio: stores uploads in a folder, and remembers what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked, self.count = folder, [], 0  # type: ignore[var-annotated]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        content, body = (await receive())["body"], b"{}"
        if scope["path"] == UPLOAD:
            self.count += 1
            path = self.folder / f"{self.count}.txt"
            path.write_bytes(content)
            body = json.dumps([str(path)]).encode()
        elif content:
            assert dict(scope["headers"])[b"content-length"] == str(len(content)).encode()
            self.asked.append(json.loads(content))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def page(tmp_path: Path) -> Page:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "outside.txt").write_text("harmless")
    return Page(tmp_path / "uploads")


def sent(app: Any, path: str, content: Any = None, headers: dict[str, str] | None = None, method: str = "") -> Any:
    """Send one request; return the status, the headers and the body of the answer."""
    body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
    found: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        found.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    scope = {"type": "http", "path": path, "method": method or ("POST" if body else "GET"), "headers": pairs}
    asyncio.run(app(scope | {"client": ("127.0.0.1", 5)}, receive, send))
    return found[0]["status"], dict(found[0]["headers"]), json.loads(found[1]["body"])


def naming(path: Any) -> dict[str, Any]:
    return {"data": [{"path": path, "url": "http://127.0.0.1/x", "meta": {"_type": "gradio.FileData"}}], "fn_index": 3}


def test_a_session_may_name_what_it_uploaded_and_nobody_else_may(page: Page) -> None:
    app = Uploads(page)
    (path,) = sent(app, UPLOAD, b"a file", ANNE)[2]
    assert sent(app, JOIN, naming(path), ANNE)[0] == 200 and sent(app, FILE + path, headers=ANNE)[0] == 200
    assert page.asked == [naming(path) | {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}]
    for headers in (BEN, None):
        assert sent(app, JOIN, naming(path), headers)[0] == sent(app, FILE + path, headers=headers)[0] == 403
    (path,) = sent(app, UPLOAD, b"a file")[2]  # a client without cookies is known by its address
    assert sent(app, JOIN, naming(path))[0] == 200 and sent(app, JOIN, naming(path), BEN)[0] == 403


def test_no_other_file_can_be_named_whether_it_is_there_or_not(page: Page) -> None:
    app, folder = Uploads(page), page.folder
    (path,) = sent(app, UPLOAD, b"a file", ANNE)[2]
    (folder / "link.txt").symlink_to(folder.parent / "outside.txt")
    (folder / "another.txt").write_text("nobody's")
    answers = []
    for other in (
        str(folder.parent / "outside.txt"), str(folder.parent / "missing.txt"), str(folder / "link.txt"),
        str(folder / "another.txt"), f"{folder}/../outside.txt", f"{folder}/./1.txt", "outside.txt",
        "http://127.0.0.1:9/x.txt", "", None, 3, [path], {"path": path},
    ):  # fmt: skip
        for body in (
            naming(other),
            [naming(other)],
            {"data": [{"more": {"deep": naming(other)}}]},
            naming(path) | naming(other),
        ):
            answers.append(sent(app, JOIN, body, ANNE)[::2])
        if isinstance(other, str):
            answers.append(sent(app, FILE + other, headers=ANNE)[::2])
    assert {status for status, _ in answers} == {403} and len({str(body) for _, body in answers}) == 1
    assert sent(app, JOIN, {"data": [{"meta": {"_type": "gradio.FileData"}}]}, ANNE)[0] == 403
    twice = b'{"data": [{"path": "%s", "path": "/x"}]}' % path.encode()
    assert sent(app, JOIN, twice, ANNE)[0] == 403
    assert not page.asked


def test_examples_are_everybodys(page: Page) -> None:
    app = Uploads(page, [str(page.folder / "example.txt")])
    for headers in (ANNE, BEN, None):
        assert sent(app, JOIN, naming(str(page.folder / "example.txt")), headers)[0] == 200


def test_a_text_that_looks_like_a_reference_is_a_text(page: Page) -> None:
    body = {"data": ['{"path": "/x"}', "path", None, 1.5], "session_hash": "abc"}
    assert sent(Uploads(page), JOIN, body)[0] == 200 and page.asked == [body]


def test_what_the_page_does_not_need_is_not_there(page: Page) -> None:
    app = Uploads(page)
    for path in ("/", "/config", "/assets/index.js", "/gradio_api/queue/data", "/gradio_api/heartbeat/abc"):
        assert sent(app, path)[0] == 200, path
    for path in ("/docs", "/monitoring", "/gradio_api/proxy=http://127.0.0.1:9/", "/gradio_api/file/x", "/runs"):
        assert sent(app, path)[0] == 404, path
    for path in ("/gradio_api/component_server", "/gradio_api/process_recording", "/gradio_api/call/x", "/"):
        assert sent(app, path, {})[0] == 404, path
    assert sent(app, JOIN, b"no JSON")[0] == 400 and sent(app, JOIN, b"[" * 100_000)[0] == 400
    assert sent(app, JOIN, b" " * 1_000_001)[0] == 413


def test_a_visitor_gets_a_session_with_the_page(page: Page) -> None:
    app = Uploads(page)
    cookies = [sent(app, "/")[1][b"set-cookie"].decode() for _ in range(2)]
    assert cookies[0] != cookies[1] and all("HttpOnly" in one and "SameSite=Strict" in one for one in cookies)
    assert b"set-cookie" not in sent(app, "/", headers=ANNE)[1] and b"set-cookie" not in sent(app, "/config")[1]


def test_what_is_remembered_is_bounded(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_SESSIONS", 2)
    monkeypatch.setattr(uploads, "MOST_FILES", 2)
    app = Uploads(page)
    paths = [sent(app, UPLOAD, b"a file", ANNE)[2][0] for _ in range(3)]
    assert [sent(app, JOIN, naming(path), ANNE)[0] for path in paths] == [403, 200, 200]
    for name in "bc":
        sent(app, UPLOAD, b"a file", {"cookie": f"{COOKIE}={name}"})
    assert len(app._sessions) == 2 and sent(app, JOIN, naming(paths[2]), ANNE)[0] == 403
