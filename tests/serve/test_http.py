"""The service started for real: every answer is that of its own input, and whatever is wrong is said cleanly."""

import base64
import http.client
import json
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")

from pipelines import TASKS
from tests.serve.serving_client import JSON, Question, Seen, Service, client, questions, service

pytestmark = pytest.mark.serve


@pytest.fixture(scope="module")
def asked(small_run: Any) -> dict[str, list[Question]]:
    return {task: questions(task, small_run(task), 16) for task in TASKS}


@pytest.fixture(scope="module")
def served(small_run: Any, small_export: Any, tmp_path_factory: Any) -> Iterator[Service]:
    """All four tasks; two of them as exports."""
    sources = [small_run("sentiment"), small_export("translation"), small_run("speech"), small_export("captioning")]
    with service(tmp_path_factory.mktemp("serve"), *sources) as running:
        yield running


def test_health_metrics_and_a_page_that_loads_nothing_from_elsewhere(served: Service) -> None:
    for path in ("/livez", "/readyz", "/healthz"):
        assert served.ask(path)[0] == 200
    status, page = served.ask("/")
    assert status == 200 and all(f'data-path="./{task}"' in page for task in TASKS) and "http" not in page
    for name in ("page.js", "page.css"):
        assert f"./static_content/{name}" in page and served.ask(f"/static_content/{name}")[0] == 200
    status, described = served.ask("/docs.json")
    assert status == 200 and set(described["paths"]) >= {f"/{task}{end}" for task in TASKS for end in ("", "/batch")}
    request = described["paths"]["/speech"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert request["properties"] == {"audio": {"type": "string", "format": "binary"}}
    assert {"200", "400", "413", "422", "503", "504"} <= set(described["paths"]["/sentiment"]["post"]["responses"])
    assert served.ask("/sentiment", {"text": "one"})[0] == 200
    status, metrics = served.ask("/metrics")
    assert 'pipelines_batch_size_count{model="sentiment"}' in metrics
    assert 'bentoml_service_request_total{endpoint="/sentiment",http_response_code="200"' in metrics


def test_eight_clients_at_once_get_the_answers_to_their_own_questions(
    served: Service, asked: dict[str, list[Question]]
) -> None:
    seen = Seen()
    threads = []
    for number in range(8):
        mixed = [question for task in TASKS for question in asked[task]]
        random.Random(number).shuffle(mixed)
        threads.append(threading.Thread(target=client, args=(served.port, mixed, seen)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not seen.wrong, seen.wrong[:3]
    assert seen.statuses == {200: 8 * 16 * len(TASKS)}


def test_lists_are_answered_in_order_and_a_bad_instance_fails_alone(
    served: Service, asked: dict[str, list[Question]]
) -> None:
    for task, some in asked.items():
        values = [
            base64.b64encode(q.body).decode() if isinstance(q.body, bytes) else next(iter(q.body.values()))
            for q in some
        ]
        broken = "x" * 20_001
        if isinstance(some[0].body, bytes):  # a WAV cut short is a shorter WAV
            broken = base64.b64encode(some[0].body[:200] if task == "captioning" else b"no sound at all").decode()
        inputs: list[Any] = [*values[:5], 3, *values[5:9], broken, None, *values[9:]]
        status, body = served.ask(f"/{task}/batch", {"inputs": inputs})
        assert status == 200 and len(body["answers"]) == len(inputs)
        bad = [place for place, answer in enumerate(body["answers"]) if "error" in answer]
        assert bad == [5, 10, 11] and all(set(body["answers"][place]) == {"error"} for place in bad), body
        for question, answer in zip(some, [a for a in body["answers"] if "error" not in a], strict=True):
            question.check(200, answer)


def test_an_upload_may_be_a_form(served: Service, asked: dict[str, list[Question]]) -> None:
    for task, field in (("speech", "audio"), ("captioning", "image")):
        question = asked[task][3]
        head = f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="../../a b"\r\n\r\n'.encode()
        body = head + question.body + b"\r\n--x--\r\n"
        question.check(*served.ask(f"/{task}", body, {"Content-Type": "multipart/form-data; boundary=x"}))


def test_a_wrong_request_is_one_sentence_and_never_an_error_of_the_server(served: Service) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    address = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nhttp://127.0.0.1:1/\r\n--x--\r\n'
    for status, path, body, headers in (
        (400, "/sentiment", b"{", JSON),
        (400, "/sentiment", b"", JSON),
        (400, "/sentiment", b"[" * 100_000, JSON),
        (400, "/sentiment", b"\xff\xfe", JSON),
        (400, "/sentiment", [], JSON),
        (400, "/sentiment", {"txt": "a"}, JSON),
        (400, "/sentiment", {"text": "a", "more": 1}, JSON),
        (400, "/sentiment", {"text": "a", "\ud800": 1}, JSON),
        (400, "/sentiment", {"text": ["a"]}, JSON),
        (400, "/sentiment", {"text": "a" * 20_001}, JSON),
        (400, "/sentiment/batch", {"inputs": []}, JSON),
        (400, "/sentiment/batch", {"inputs": ["a"] * 65}, JSON),
        (400, "/sentiment/batch", {"inputs": "text"}, JSON),
        (400, "/speech", b"x", {"Content-Type": "text/plain"}),
        (400, "/speech", b"", {"Content-Type": "audio/wav"}),
        (422, "/speech", b"no sound", {"Content-Type": "audio/wav"}),
        (400, "/captioning", b"no picture", {"Content-Type": "image/png"}),
        (400, "/captioning", address, form),
        (400, "/captioning", b"--x\r\n", form),
        (404, "/nothing", {"text": "a"}, JSON),
        (413, "/speech", b"x" * 16_000_001, {"Content-Type": "audio/wav"}),
    ):
        came, answer = served.ask(path, body, headers)
        assert came == status, (path, body if len(str(body)) < 99 else "", came, answer)
        assert set(answer) == {"error"} and 10 < len(answer["error"]) < 300, answer
    assert served.ask("/sentiment") == (405, {"error": "expected POST, came GET; the page at / shows a request"})
    assert "Traceback" not in served.log.read_text()
    assert served.ask("/sentiment", {"text": "one"})[0] == 200


def test_a_foreign_page_is_refused_at_every_path(served: Service) -> None:
    for path, body in (("/sentiment", b"{}"), ("/sentiment/batch", b"{}"), ("/metrics", None), ("/livez", None)):
        for name, value in (("Host", "elsewhere.example"), ("Origin", "http://elsewhere.example"), ("Origin", "null")):
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
            connection.request("POST" if body else "GET", path, body, {name: value})
            response = connection.getresponse()
            assert response.status == 400 and "another site's page" in json.loads(response.read())["error"], path
            connection.close()


def test_a_client_that_has_closed_its_side_gets_its_answer(served: Service) -> None:
    body = b'{"text": "one"}'
    for _ in range(8):
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as raw:
            raw.sendall(b"POST /sentiment HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            raw.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: raw.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200") and b'"answer"' in answer


@pytest.mark.parametrize("stated", [b"", b"Content-Length: 10\r\n"])
def test_a_body_of_unknown_length_is_refused(served: Service, stated: bytes) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as raw:
        head = b"POST /sentiment HTTP/1.1\r\nHost: localhost\r\n" + stated + b"Transfer-Encoding: chunked\r\n\r\n"
        raw.sendall(head + b"1\r\n{\r\n")
        assert b" 411 " in raw.recv(100)


def test_overload_is_refused_and_what_was_taken_is_answered(
    small_run: Any, asked: dict[str, list[Question]], tmp_path: Path
) -> None:
    seen = Seen()
    with service(tmp_path, small_run("translation"), "--max-waiting", 4, "--max-list", 4) as running:
        some = asked["translation"]
        threads = [threading.Thread(target=client, args=(running.port, some, seen, (503,))) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        assert set(seen.statuses) == {200, 503} and sum(seen.statuses.values()) == 32 * len(some)
        assert not seen.wrong and seen.statuses[200] >= len(some)
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        body = json.dumps({"inputs": ["a"] * 5})
        connection.request("POST", "/translation/batch", body, JSON)
        assert connection.getresponse().status == 400
        some[0].check(*running.ask(some[0].path, some[0].body))
        assert "Traceback" not in running.log.read_text()


def all_inside(running: Service, path: str, count: int) -> bool:
    """Say whether so many requests are being answered, by the service's own metrics."""
    metric = f'bentoml_service_request_in_progress{{endpoint="{path}"'
    lines = running.ask("/metrics")[1].splitlines()
    return any(line.startswith(metric) and float(line.split()[-1]) == count for line in lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_was_accepted(
    small_run: Any, asked: dict[str, list[Question]], tmp_path: Path, number: int
) -> None:
    some = asked["translation"] * 4
    found: list[tuple[int, Any]] = []
    with service(tmp_path, small_run("translation"), "--max-waiting", 5000, "--timeout", 300) as running:
        path, body = "/translation/batch", {"inputs": [question.body["source"] for question in some]}
        threads = [threading.Thread(target=lambda: found.append(running.ask(path, body))) for _ in range(8)]
        for thread in threads:
            thread.start()
        while not all_inside(running, path, 8):
            assert len(found) < 8, "answered before it could be stopped"
            time.sleep(0.01)
        running.process.send_signal(number)
        for thread in threads:
            thread.join(300)
        assert running.process.wait(60) == 0
        with pytest.raises(ConnectionRefusedError):
            running.ask("/livez")
        assert "Traceback" not in running.log.read_text()
    assert [status for status, _ in found] == [200] * 8
    for _, answers in found:
        for question, answer in zip(some, answers["answers"], strict=True):
            question.check(200, answer)
