"""The page in a real browser: every tab is used once, on a wide and on a narrow screen.

Run by `make test-web`. What the page answers is compared with a `Predictor` on the same input.
"""

import contextlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.web

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync
    --disable-component-update --use-fake-ui-for-media-stream --use-fake-device-for-media-stream""".split()
SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {
        "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True,
    },
}  # fmt: skip
TABS = ["sentiment", "translation", "speech", "captioning"]
SLOW = 120_000  # milliseconds for an answer
TEXT, SENTENCE = "A wonderful, moving film.", "the old dog sees the young cats"


@pytest.fixture(scope="session")
def runs(small_run: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pretrained runs, for pictures a small one (theirs wants weights that Keras fetches); one that is damaged."""
    found = {task: small_run(task) if task == "captioning" else ROOT / "pretrained" / task for task in TABS}
    found["damaged"] = tmp_path_factory.mktemp("damaged") / "damaged"
    shutil.copytree(small_run("sentiment"), found["damaged"])
    (found["damaged"] / "model.weights.h5").write_bytes(b"nothing")
    return found


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pipelines.tasks.speech import synthetic as speech

    example = next(iter(speech.examples("test", 1)))
    path = tmp_path_factory.mktemp("sound") / "recording.wav"
    soundfile.write(path, np.concatenate([example["audio"], np.zeros(8000, np.float32)]), example["rate"])
    return path


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pipelines.tasks.captioning import synthetic as captioning

    path = tmp_path_factory.mktemp("picture") / "picture.png"
    path.write_bytes(next(iter(captioning.examples("test", 1, 1)))["image"])
    return path


@pytest.fixture(scope="session")
def address(runs: dict[str, Path]) -> Iterator[str]:
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("Gradio is not installed: make test-web installs it")
    command = [sys.executable, "-m", "pipelines", "web", "--port", "0", *(str(run) for run in runs.values())]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout and server.stderr
        line = server.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", line), line + server.stderr.read()
        yield line
        server.terminate()
        said = server.stderr.read()
    assert server.returncode == 0 and "Traceback" not in said
    assert said.count("\n") == 1 and "damaged" in said, said


@pytest.fixture(scope="session")
def browser(recording: Path) -> Iterator[Any]:
    path = os.environ.get("PIPELINES_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser here: expected one of {', '.join(NAMES)}, or its path in PIPELINES_BROWSER")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed: make test-web installs it")
    from playwright.sync_api import sync_playwright

    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={recording}"]
    with sync_playwright() as driver, contextlib.closing(driver.chromium.launch(executable_path=path, args=flags)) as b:
        yield b


@pytest.fixture(scope="module", params=list(SCREENS))
def page(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    """The open page; at the end no request has left this machine and no error was logged."""
    context = browser.new_context(**SCREENS[request.param], permissions=["microphone"])
    tab = context.new_page()
    foreign: list[str] = []
    errors: list[str] = []
    tab.on("request", lambda r: foreign.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else None)
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(address)
    tab.get_by_role("tab", name="sentiment").first.wait_for(timeout=SLOW)
    tab.name = request.param
    yield tab
    context.close()
    assert not foreign and not errors, (foreign, errors)


def opened(page: Any, number: int) -> None:
    """Open a tab; on a narrow screen it may hide behind the menu of those that do not fit.

    After a choice from that menu the bar is laid out anew, and a click meanwhile goes nowhere: it is given again, as a
    visitor would.
    """
    from playwright.sync_api import TimeoutError as NotInTime

    for patience in (3_000, 3_000, SLOW):
        tab = page.locator(f"#tab-{number}-button")
        if not tab.is_visible():
            page.locator(".overflow-menu > button").click()
            tab = page.locator(".overflow-dropdown button", has_text=[*TABS, "damaged"][number])
        tab.first.click()
        try:
            return page.locator(f"#tab-{number}").wait_for(timeout=patience)
        except NotInTime:
            if patience == SLOW:
                raise


def answer(page: Any, number: int, part: str = ".answer") -> str:
    shown = page.locator(f"#answer-{number} {part}").first
    shown.wait_for(timeout=SLOW)
    return str(shown.inner_text())


def looked_at(page: Any, name: str) -> None:
    """Check that nothing sticks out; keep a picture where ``PIPELINES_SCREENSHOTS`` says."""
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{name} on a {page.name}: {wide} pixels too wide"
    if os.environ.get("PIPELINES_SCREENSHOTS"):
        folder = Path(os.environ["PIPELINES_SCREENSHOTS"])
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{page.name}-{name}.png", full_page=True)


def expected(runs: dict[str, Path], task: str, raw: Any) -> dict[str, Any]:
    from pipelines import Predictor

    return Predictor(runs[task])(raw)[0]


def test_sentiment(page: Any, runs: dict[str, Path]) -> None:
    opened(page, 0)
    page.locator("#button-0").click()
    assert "no text yet" in answer(page, 0, ".problem")
    looked_at(page, "nothing")
    page.locator("#input-0 textarea").fill(TEXT)
    page.locator("#button-0").click()
    wanted = expected(runs, "sentiment", TEXT)
    assert answer(page, 0) == wanted["answer"]
    assert f"{wanted['score']:.4f}" in answer(page, 0, ".note")
    coloured = page.locator("#answer-0 .pieces").first
    assert "".join(coloured.inner_text().split()).lower() == "".join(TEXT.split()).lower()
    assert "rgba" in coloured.locator("span").first.get_attribute("style")
    looked_at(page, "sentiment")


def test_translation(page: Any, runs: dict[str, Path]) -> None:
    opened(page, 1)
    page.locator("#input-1 textarea").fill(SENTENCE)
    page.locator("#button-1").click()
    wanted = expected(runs, "translation", SENTENCE)
    assert answer(page, 1) == (wanted["answer"] or "no words")
    assert page.locator("#answer-1 .ranking li").count() == len(wanted["alternatives"])
    if wanted["answer"]:
        assert page.locator("#answer-1 .alignment td[title]").count() > 1
    looked_at(page, "translation")


def test_an_example_answers_at_once(page: Any) -> None:
    opened(page, 1)
    page.locator("#tab-1 .gallery-item").first.click()
    page.wait_for_function("document.querySelector('#input-1 textarea').value.length > 0")
    page.locator("#answer-1 .answer").first.wait_for(timeout=SLOW)


def test_speech_from_a_file(page: Any, runs: dict[str, Path], recording: Path) -> None:
    opened(page, 2)
    page.locator("#tab-2 [aria-label='Upload file']").first.click()
    page.locator("#input-2 input[type=file]").set_input_files(recording)
    page.locator("#input-2 [aria-label='Play']").wait_for(timeout=SLOW)
    page.locator("#button-2").click()
    wanted = expected(runs, "speech", recording.read_bytes())
    assert answer(page, 2) == (wanted["answer"] or "no words")
    assert page.locator("#answer-2 .words span").all_inner_texts() == [word["word"] for word in wanted["words"]]
    assert page.locator("#answer-2 .timeline img").bounding_box()["height"] > 100
    looked_at(page, "speech")


def test_speech_from_the_microphone(page: Any) -> None:
    opened(page, 2)
    seen = page.locator("#answer-2 .timeline img").get_attribute("src")
    page.locator("#input-2 [aria-label='Clear']").click()
    page.locator("#tab-2 [aria-label='Record audio']").first.click()
    page.locator("#input-2 .record-button").first.click()
    page.wait_for_timeout(3000)
    with page.expect_response(lambda response: "/upload" in response.url, timeout=SLOW):
        page.locator("#input-2 .stop-button").first.click()
    page.locator("#input-2 [aria-label='Play']").wait_for(timeout=SLOW)
    page.locator("#button-2").click()
    changed = "seen => ![seen, undefined].includes(document.querySelector('#answer-2 .timeline img')?.src)"
    page.wait_for_function(changed, arg=seen, timeout=SLOW)
    seconds = page.locator("#answer-2 .marks i").count() / 2
    assert 2 <= seconds <= 15
    looked_at(page, "microphone")


def test_captioning(page: Any, runs: dict[str, Path], picture: Path) -> None:
    opened(page, 3)
    page.locator("#input-3 input[type=file]").set_input_files(picture)
    page.locator("#input-3 img").wait_for(timeout=SLOW)
    page.locator("#button-3").click()
    wanted = expected(runs, "captioning", str(picture))
    assert answer(page, 3) == (wanted["answer"] or "no words")
    words = page.locator("#looked-3 .caption > *")
    assert words.count() > 1 and page.locator("#looked-3 mark").inner_text() == words.first.inner_text()
    shade = page.locator("#looked-3 .shade").get_attribute("src")
    page.locator("#step-3 input[type=range]").fill("2")
    page.wait_for_function("!document.querySelector('#looked-3 .caption > *').matches('mark')", timeout=SLOW)
    assert page.locator("#looked-3 mark").inner_text() == words.nth(1).inner_text()
    assert page.locator("#looked-3 .shade").get_attribute("src") != shade
    looked_at(page, "captioning")


def test_what_cannot_be_used_is_a_sentence(page: Any, runs: dict[str, Path], tmp_path: Path) -> None:
    opened(page, 4)
    assert "This run cannot answer" in answer(page, 4, ".problem")
    looked_at(page, "damaged")
    opened(page, 3)
    (tmp_path / "fake.png").write_text("no picture")
    page.locator("#input-3 [aria-label='Remove Image']").click()
    page.locator("#input-3 input[type=file]").set_input_files(tmp_path / "fake.png")
    page.locator("#input-3 img").wait_for(state="attached", timeout=SLOW)
    page.locator("#button-3").click()
    assert "The picture is no picture" in answer(page, 3, ".problem")
    looked_at(page, "problem")


def test_nothing_is_served_to_others(address: str) -> None:
    port = int(address.rsplit(":", 1)[1].strip("/"))
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:

        def status(path: str, **headers: str) -> int:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            policy = response.getheader("content-security-policy") or ""
            response.read()
            assert "default-src 'self'" in policy
            return response.status

        assert status("/") == 200
        assert status("/", Host="elsewhere.example") == 400
        assert status("/", Origin="http://elsewhere.example") == 400
        assert status("/", Origin=address.strip("/")) == 200
        for path in ("/etc/passwd", str(ROOT / "pyproject.toml"), "pyproject.toml"):
            assert status(f"/gradio_api/file={path}") in (403, 404)
        connection.request("POST", "/gradio_api/queue/join", body=b"x" * 21_000_000)
        assert connection.getresponse().status == 413


def test_a_file_that_was_not_uploaded_cannot_be_asked_about(address: str, picture: Path, tmp_path: Path) -> None:
    port = int(address.rsplit(":", 1)[1].strip("/"))
    outside = tmp_path / "outside.png"
    shutil.copy(picture, outside)

    def sent(path: str, body: bytes, kind: str, **headers: str) -> tuple[int, Any]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            connection.request("POST", path, body, {"Content-Type": kind} | headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def asked(path: str, cookie: str) -> int:
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        function = next(f["id"] for f in config["dependencies"] if button in [target[0] for target in f["targets"]])
        body = {"data": [file], "fn_index": function, "session_hash": cookie, "trigger_id": button, "event_data": None}
        return sent("/gradio_api/queue/join", json.dumps(body).encode(), "application/json", Cookie=cookie)[0]

    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/config", headers={"X-Forwarded-Host": "elsewhere.example"})
        content = connection.getresponse().read().decode()
    assert "elsewhere.example" not in content
    config = json.loads(content)
    button = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "button-3")
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    form = head + picture.read_bytes() + b"\r\n--x--\r\n"
    anne, ben = "pipelines_session=anne", "pipelines_session=ben"
    status, paths = sent("/gradio_api/upload", form, "multipart/form-data; boundary=x", Cookie=anne)
    assert status == 200
    assert asked(paths[0], anne) == 200
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SLOW / 1000)) as connection:
        connection.request("GET", f"/gradio_api/queue/data?session_hash={anne}", headers={"Cookie": anne})
        events = connection.getresponse()
        done = next(line for line in iter(events.readline, b"") if b"process_completed" in line)
    assert b'class=\\"answer' in done
    assert asked(paths[0], ben) == asked(str(outside), anne) == asked(str(tmp_path / "missing.png"), anne) == 403
