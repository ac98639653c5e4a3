"""Downloads against a server on this machine that cuts, lies and refuses; archives that try to escape."""

import functools
import hashlib
import http.server
import io
import random
import tarfile
import threading
import zipfile

import pytest

from pipelines.data.download import fetch, unpack

CONTENT = random.Random(0).randbytes(700_000)
SUM = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; ``plan`` says for each request how many bytes to send before cutting (None: all)."""

    def __init__(self, state, *arguments):
        self.state = state
        super().__init__(*arguments)

    def do_GET(self):
        state = self.state
        asked = self.headers.get("Range")
        state["asked"].append(asked)
        if self.path == "/missing":
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state["ranges"] else 0
        if start and start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if asked and state["ranges"] else 200)
        if state["lengths"]:
            self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        cut = state["plan"].pop(0) if state["plan"] else None
        self.wfile.write(CONTENT[start:] if cut is None else CONTENT[start : start + cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    state = {"asked": [], "plan": [], "ranges": True, "lengths": True}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, state)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        state["url"] = f"http://127.0.0.1:{running.server_port}/x.tar"
        yield state
        running.shutdown()


@pytest.mark.parametrize("lengths", [True, False])
def test_a_download_is_whole_or_not_there(server, tmp_path, lengths):
    server["lengths"] = lengths
    fetch(server["url"], tmp_path / "deep" / "x", SUM, 10**6)
    assert (tmp_path / "deep" / "x").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x"]
    fetch(server["url"], tmp_path / "deep" / "x", SUM, 10**6)
    assert len(server["asked"]) == 1, "what is there and right is not fetched again"


def test_a_cut_connection_is_continued(server, tmp_path):
    server["plan"] = [300_000, 100_000]
    fetch(server["url"], tmp_path / "x", SUM, 10**6)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert server["asked"] == [None, "bytes=300000-", "bytes=400000-"]


def test_a_server_that_cannot_continue_is_asked_from_the_beginning(server, tmp_path):
    server["plan"], server["ranges"] = [300_000], False
    fetch(server["url"], tmp_path / "x", SUM, 10**6)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_after_too_many_cuts_the_next_call_goes_on(server, tmp_path):
    server["plan"] = [100_000] * 3
    with pytest.raises(RuntimeError, match="cut after 300000 of 700000 bytes; the same command continues"):
        fetch(server["url"], tmp_path / "x", SUM, 10**6)
    assert (tmp_path / "x.part").stat().st_size == 300_000 and not (tmp_path / "x").exists()
    fetch(server["url"], tmp_path / "x", SUM, 10**6)
    assert server["asked"][-1] == "bytes=300000-" and (tmp_path / "x").read_bytes() == CONTENT


def test_another_file_is_refused_and_not_kept(server, tmp_path):
    (tmp_path / "x").write_text("what was there before")
    with pytest.raises(RuntimeError, match=f"expected SHA-256 {'0' * 64}, came {SUM}"):
        fetch(server["url"], tmp_path / "x", "0" * 64, 10**6)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "what was there before"


def test_a_spoiled_part_is_found_by_its_sum(server, tmp_path):
    (tmp_path / "x.part").write_bytes(b"?" * len(CONTENT))
    with pytest.raises(RuntimeError, match="is not the file"):
        fetch(server["url"], tmp_path / "x", SUM, 10**6)
    fetch(server["url"], tmp_path / "x", SUM, 10**6)
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize("lengths", [True, False])
def test_size_cap(server, tmp_path, lengths):
    server["lengths"] = lengths
    with pytest.raises(RuntimeError, match="expected"):
        fetch(server["url"], tmp_path / "x", SUM, 500_000)
    assert len(server["asked"]) == 1 and not list(tmp_path.iterdir())


def test_refusals(server, tmp_path):
    with pytest.raises(RuntimeError, match="the server answered 404"):
        fetch(server["url"].replace("x.tar", "missing"), tmp_path / "x", SUM, 10**6)
    with pytest.raises(RuntimeError, match="refused"):
        fetch("http://127.0.0.1:9/x", tmp_path / "x", SUM, 10**6)
    with pytest.raises(ValueError, match="expected an http"):
        fetch("file:///etc/passwd", tmp_path / "x", SUM, 10**6)
    with pytest.raises(ValueError, match="expected a SHA-256"):
        fetch(server["url"], tmp_path / "x", "abc", 10**6)


def tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                archive.addfile(info)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar(tmp_path, mode):
    members = [("a/b.txt", b"one"), ("a/._b.txt", b"mac"), ("a", (tarfile.DIRTYPE, "")), ("c", b"two")]
    archive = tar(tmp_path / "x.tar", members, mode)
    unpack([archive, tar(tmp_path / "y.tar", [("d", b"three")])], tmp_path / "out", 100)
    assert {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*")} == {"a", "a/b.txt", "c", "d"}
    assert (tmp_path / "out/a/b.txt").read_bytes() == b"one"
    with pytest.raises(RuntimeError, match="exists already"):
        unpack([archive], tmp_path / "out", 100)


def test_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/b.txt", "one")
        archive.writestr("__MACOSX/a/._b.txt", "mac")
    unpack([tmp_path / "x.zip"], tmp_path / "out", 100)
    assert [p.name for p in (tmp_path / "out").rglob("*")] == ["a", "b.txt"]


OUTSIDE = ["../evil", "/tmp/evil", "a/../../evil", "..", "C:/evil", "a\\..\\evil"]
LINKS = [(tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "good"), (tarfile.CHRTYPE, ""), (tarfile.FIFOTYPE, "")]


@pytest.mark.parametrize(
    "members",
    [*([("good", b"1"), (name, b"2")] for name in OUTSIDE), *([("good", b"1"), ("x", kind)] for kind in LINKS)],
    ids=str,
)
def test_malicious_tar_is_refused_and_leaves_nothing(tmp_path, members):
    archive = tar(tmp_path / "x.tar", members)
    with pytest.raises(RuntimeError, match="refused"):
        unpack([archive], tmp_path / "deep" / "out", 100)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["x.tar"]


@pytest.mark.parametrize("name", OUTSIDE[:4])
def test_malicious_zip_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(name, "2")
    with pytest.raises(RuntimeError, match="refused"):
        unpack([tmp_path / "x.zip"], tmp_path / "out", 100)
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(RuntimeError, match="is a link"):
        unpack([tmp_path / "y.zip"], tmp_path / "out", 100)


def test_bombs_and_broken_archives(tmp_path):
    bomb = tar(tmp_path / "x.tar", [("zeros", bytes(10**6))])
    with pytest.raises(RuntimeError, match="more than the expected 500000"):
        unpack([bomb], tmp_path / "out", 500_000)
    (tmp_path / "cut.tar").write_bytes(tar(tmp_path / "y.tar", [("r", CONTENT)]).read_bytes()[:300_000])
    (tmp_path / "text.tar").write_text("no archive")
    for name in ("cut.tar", "text.tar"):
        with pytest.raises(RuntimeError, match=rf"{name}: cannot be unpacked"):
            unpack([tmp_path / name], tmp_path / "out", 10**7)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))
