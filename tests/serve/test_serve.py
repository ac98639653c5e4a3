"""The service without its server: queue, limits, what is read out of a request, and the sentences of the command."""

import asyncio
import base64
import importlib.util
import io
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipelines.__main__ import main
from pipelines.export.formats import unmet
from pipelines.serve import server as serve
from pipelines.serve.batching import Batcher, Overloaded
from pipelines.serve.limits import Inside, Limits
from pipelines.serve.requests import from_file, from_json, public, sayable

LIMITS = Limits(characters=10, seconds=2, samples=32_000)


class Model:
    """Answers a number with its double; remembers its batches; holds still while ``go`` is not set."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, instances: list[Any]) -> list[dict[str, Any]]:
        self.batches.append(instances)
        assert self.go.wait(20)
        if "break" in instances:
            raise RuntimeError("broken")
        return [{"answer": 2 * one} for one in instances]


async def held(model: Model, batcher: Batcher, *requests: list[Any]) -> list["asyncio.Task[Any]"]:
    """Send the first request, and the others while the model is busy with it."""
    model.go.clear()
    tasks = [asyncio.ensure_future(batcher.ask(requests[0]))]
    while not model.batches:
        await asyncio.sleep(0.001)
    for request in requests[1:]:
        tasks.append(asyncio.ensure_future(batcher.ask(request)))
        await asyncio.sleep(0)
    return tasks


def test_a_lone_request_is_answered_alone_and_waiting_ones_together() -> None:
    model = Model()
    batcher = Batcher(model, most=4, waiting=100)
    sizes: list[int] = []
    batcher.observe = lambda size, seconds: sizes.append(size)

    async def work() -> list[Any]:
        tasks = await held(model, batcher, [0], *[[n] for n in range(1, 8)])
        model.go.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(work()) == [[{"answer": 2 * n}] for n in range(8)]
    assert model.batches == [[0], [1, 2, 3, 4], [5, 6, 7]] and sizes == [1, 4, 3]
    assert batcher.waiting == 0


def test_a_long_list_does_not_hold_up_a_single_instance() -> None:
    model = Model()
    batcher = Batcher(model, most=3, waiting=100)

    async def work() -> list[Any]:
        tasks = await held(model, batcher, [0], [1, 2, 3, 4, 5], [10])
        model.go.set()
        return await asyncio.gather(*tasks)

    answers = asyncio.run(work())
    assert [[one["answer"] for one in part] for part in answers] == [[0], [2, 4, 6, 8, 10], [20]]
    assert 10 in model.batches[1]


def test_beyond_the_limit_everything_of_a_request_is_refused_at_once() -> None:
    model = Model()
    batcher = Batcher(model, most=4, waiting=5)

    async def work() -> None:
        tasks = await held(model, batcher, [0], [1, 2])
        assert batcher.waiting == 3
        with pytest.raises(Overloaded):
            await batcher.ask([3, 4, 5])
        tasks.append(asyncio.ensure_future(batcher.ask([3, 4])))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.ask([5])
        model.go.set()
        await asyncio.gather(*tasks)
        assert await batcher.ask([5]) == [{"answer": 10}]
        assert await batcher.ask([]) == []

    asyncio.run(work())
    assert sorted(one for batch in model.batches for one in batch) == [0, 1, 2, 3, 4, 5]


def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    model = Model()
    batcher = Batcher(model, most=4, waiting=100)

    async def work() -> None:
        tasks = await held(model, batcher, [0], [1, 2], [3])
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        assert batcher.waiting == 2
        tasks[0].cancel()  # is being computed: its answer is thrown away
        model.go.set()
        assert await tasks[2] == [{"answer": 6}]

    asyncio.run(work())
    assert model.batches == [[0], [3]]


def test_a_batch_that_breaks_breaks_no_later_one() -> None:
    model = Model()
    batcher = Batcher(model, most=4, waiting=100)

    async def work() -> None:
        for instances in (["break"], ["break", 1]):
            with pytest.raises(RuntimeError, match="broken"):
                await batcher.ask(instances)
        assert await batcher.ask([1]) == [{"answer": 2}]

    asyncio.run(work())
    assert batcher.waiting == 0


def test_an_answer_too_few_is_an_error_and_no_mix_up() -> None:
    batcher = Batcher(lambda instances: [{"answer": 1}], most=4, waiting=9)
    with pytest.raises(ValueError, match="zip"):
        asyncio.run(batcher.ask([1, 2]))


def sound(seconds: float, channels: int = 1) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((int(8000 * seconds), channels)), 8000, format="FLAC")
    return file.getvalue()


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10)).save(file, kind)
    return file.getvalue()


def test_an_instance_is_taken_as_it_is_or_refused_by_name() -> None:
    assert from_json("text", "0123456789", LIMITS) == "0123456789"
    assert from_json("source", "", LIMITS) == ""
    short, png = sound(2), picture("PNG")
    for channels in (1, 4):
        assert from_file("audio", sound(1, channels), LIMITS) == sound(1, channels)
    assert from_json("audio", base64.b64encode(short).decode(), LIMITS) == short
    assert from_json("image", base64.b64encode(png).decode(), LIMITS) == png
    assert from_file("audio", b"no sound", LIMITS) == b"no sound", "the model says what is wrong with it"
    for raw, value, reason in (
        ("text", "0123456789a", "text: too long: 11 characters, at most 10 are taken"),
        ("source", 3, "source: expected a string, came a number"),
        ("source", True, "source: expected a string, came a boolean"),
        ("text", None, "text: expected a string, came null"),
        ("text", "a\ud800", "text: holds half a surrogate pair"),
        ("audio", ["x"], "audio: expected the bytes of a file in base64, came a list"),
        ("audio", "???", "audio: expected the bytes of a file in base64, this is no base64"),
        ("audio", "é", "audio: expected the bytes of a file in base64, this is no base64"),
        ("audio", "", "audio: the file is empty"),
        ("audio", base64.b64encode(sound(2.5)).decode(), "audio: too long: 2.5 s, at most 2 s are taken"),
        ("audio", base64.b64encode(sound(1, 5)).decode(), "audio: too large: 40000 samples over all channels, at most"),
        ("image", base64.b64encode(picture("PPM")).decode(), "image: is a PPM picture, expected JPEG, PNG, WebP, GIF"),
        ("image", base64.b64encode(b"words").decode(), "image: is no picture"),
    ):
        with pytest.raises(ValueError, match="^" + raw + ": ") as error:
            from_json(raw, value, LIMITS)
        assert reason in str(error.value)


def test_a_client_is_told_the_answer_and_not_what_it_sent() -> None:
    prediction = {"id": "7", "input": "x", "references": [], "answer": "a", "score": float("nan"), "p": {"b": [1.5]}}
    assert public("text", prediction) == {"answer": "a", "score": None, "p": {"b": [1.5]}}
    failed = prediction | {"error": "input 31: not a readable recording"}
    assert public("audio", failed) == {"error": "audio: not a readable recording"}


def test_a_refusal_that_repeats_half_a_surrogate_pair_can_be_sent() -> None:
    assert sayable("came \ud800, täxt").encode() == "came \\ud800, täxt".encode()
    assert sayable("\U0001f600") == "\U0001f600"


def test_limits_that_nothing_can_meet_are_refused_by_their_option() -> None:
    for name, value, option in (("timeout", 0.0, "--timeout"), ("batch", -1, "--max-batch"), ("waiting", 9, "--max-l")):
        with pytest.raises(ValueError, match=option):
            Limits(**{name: value})
    with pytest.raises(ValueError, match="--max-megabytes"):
        Limits(megabytes=float("nan"))
    with pytest.raises(ValueError, match="--max-megabytes 300: is more than can be held, --max-held-megabytes 256"):
        Limits(megabytes=300)


def test_what_one_model_holds_is_limited_by_its_bytes_and_by_its_number() -> None:
    inside = Inside(Limits(megabytes=1, held=2, waiting=3, instances=3))
    with inside.let_in(1_000_000), inside.let_in(999_999):
        assert inside.problem(1) == ""
        assert inside.problem(2) == ("1999999 bytes are waiting, 2 more would be beyond 2000000; try again in a moment")
        with inside.let_in(0):
            assert inside.problem(0) == "too much is waiting; try again in a moment"
    with pytest.raises(RuntimeError), inside.let_in(5):
        raise RuntimeError("broken")
    assert (inside.requests, inside.bytes) == (0, 0) and not inside.problem(1_000_000)


def test_a_source_may_be_called_by_a_name(tmp_path: Path) -> None:
    (tmp_path / "a=b").mkdir()
    assert serve.named(str(tmp_path / "a=b")) == ("", tmp_path / "a=b")
    assert serve.named(f"new-1={tmp_path}") == ("new-1", tmp_path)
    with pytest.raises(ValueError, match="/metrics is a path of the service itself"):
        serve.named(f"metrics={tmp_path}")
    for source in (f"a/b={tmp_path}", f"={tmp_path}", f"é={tmp_path}", str(tmp_path / "none"), "a=none"):
        with pytest.raises(ValueError, match=r"expected letters|there is no such folder"):
            serve.named(source)


def test_a_port_is_ours_or_the_request_is_wrong() -> None:
    with serve.listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        first.listen()
        with pytest.raises(
            ValueError, match=rf"--port {port}: cannot be opened on 127.0.0.1 \(Address already in use\)"
        ):
            with serve.listening("127.0.0.1", port):
                pass
    with serve.listening("127.0.0.1", port):
        pass
    for host, wrong in (("127.0.0.1", 65536), ("127.0.0.1", -1), ("203.0.113.9", 0), ("no such host", 0)):
        with pytest.raises(ValueError, match=r"--port|--host"), serve.listening(host, wrong):
            pass


def test_of_two_that_load_at_once_the_second_is_told() -> None:
    with serve.listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with serve.listening("127.0.0.1", port) as second:
            first.listen()
            with pytest.raises(ValueError, match=rf"--port {port}: cannot be opened on 127.0.0.1 \(Address already"):
                serve.listen(second)


def test_wrong_requests_are_one_sentence(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    run = str(tmp_path)
    missing = bool(unmet("serve"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for arguments, sentence in (
        ([], "required: [NAME=]RUN"),
        ([run, "--port", "many"], "--port: invalid int value: 'many'"),
        ([run, "--timeout", "-1"], "--timeout: expected a number above 0, came -1.0"),
        ([run, "--beam", "3"], "unknown argument --beam"),
        ([run], "serve needs Starlette and Uvicorn: pip install -e '.[serve]'"),
    ):
        assert main(["serve", *arguments]) == 2
        assert sentence in (err := capsys.readouterr().err) and err.count("\n") == 1
    if not missing:
        monkeypatch.undo()
        assert main(["serve", str(tmp_path / "none")]) == 2
        assert "there is no such folder" in capsys.readouterr().err
        assert main(["serve", run]) == 2
        assert "is no run folder" in capsys.readouterr().err


def test_wrong_requests_load_no_tensorflow() -> None:
    code = "import sys; from pipelines.__main__ import main; main(['serve', 'x', '--timeout', '0'])\n"
    code += "main(['serve', '.', '--port', '0'])\n"
    code += "assert not {'tensorflow', 'keras', 'starlette', 'uvicorn', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_time_is_measured_from_the_question_on() -> None:
    batcher = Batcher(lambda instances: time.sleep(0.05) or [{}] * len(instances), most=1, waiting=9)
    waited: list[float] = []
    batcher.observe = lambda size, seconds: waited.append(seconds)
    asyncio.run(batcher.ask([1, 2]))
    assert waited[0] < 0.05 <= waited[1] < 5
