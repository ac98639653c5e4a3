"""The page's limits, sentences and drawings, without Gradio and without a browser."""

import importlib.util
import io
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipelines.web import drawing
from pipelines.web import limits as web_limits
from pipelines.web import page as web
from pipelines.web.answers import Looks
from pipelines.web.limits import Worker, file_within, sound_within, text_within

EVIL = '<img src=x onerror="alert(1)">'


def call(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str]:
    from pipelines.__main__ import main

    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr().err


def wav(seconds: float, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(round(seconds * rate), np.float32), rate, format="WAV")
    return buffer.getvalue()


def test_wrong_requests_are_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gradio" else found(name))
    assert call(capsys, "web") == (2, f"pipelines: {web.INSTALL}\n")
    monkeypatch.setattr(web, "need", lambda extra, sentence: None)
    monkeypatch.setattr(web, "chosen", lambda runs: [tmp_path])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, err = call(capsys, "web", "--port", port)
    assert status == 2 and err.count("\n") == 1 and f"--port {port}" in err and "in use" in err
    for arguments, word in (
        (("--port", 65536), "0 to 65535"),
        (("--port", "x"), "--port"),
        (("--host", "192.0.2.1"), "192.0.2.1"),
        (("--encoder-weights", tmp_path / "none"), "no such file"),
        (("--prot", 1), "did you mean --port?"),
    ):
        status, err = call(capsys, "web", *arguments)
        assert status == 2 and err.count("\n") == 1 and word in err, err


def test_runs_are_those_named_or_those_that_come_with_the_project(small_run: Any, tmp_path: Path) -> None:
    run = small_run("sentiment")
    assert web.chosen([str(run)]) == [run]
    with pytest.raises(ValueError, match="no run folder"):
        web.chosen([str(tmp_path)])
    with pytest.raises(ValueError, match="no trained runs here"):
        web.chosen([], tmp_path)
    (tmp_path / "kept").symlink_to(run)
    assert web.chosen([], tmp_path) == [tmp_path / "kept"]
    assert web.names(["a", "b"], [run, run]) == ["a", "b"]
    assert web.names(["a", "a"], [Path("x/1"), Path("x/2")]) == ["a: 1", "a: 2"]


def test_texts_files_and_sounds_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert text_within("a" * 10, 10) == "a" * 10
    for text, word in (("a" * 11, "at most 10"), ("  \n", "no text"), (None, "no text"), ("\ud83d", "surrogate")):
        with pytest.raises(ValueError, match=word):
            text_within(text, 10)
    file = tmp_path / "file"
    file.write_bytes(b"1234")
    assert file_within(file, "picture", 4) == b"1234"
    for path, most, word in ((file, 3, "at most"), (None, 3, "no picture yet"), (tmp_path / "x", 3, "no picture yet")):
        with pytest.raises(ValueError, match=word):
            file_within(path, "picture", most)
    assert sound_within(wav(2.0), 2.0) == wav(2.0)
    for content, word in ((wav(2.1), "has 2 seconds; at most 2 "), (b"text", "no recording"), (b"", "no recording")):
        with pytest.raises(ValueError, match=word):
            sound_within(content, 2.0)
    monkeypatch.setattr(web_limits, "MOST_SAMPLES", 15_999)
    with pytest.raises(ValueError, match="has 16,000 samples over all channels; at most 15,999 are read"):
        sound_within(wav(2.0))


def test_patience_ends_in_a_sentence_and_the_next_answer_comes() -> None:
    worker, gate = Worker(0.05), threading.Event()
    with pytest.raises(RuntimeError, match=r"no answer within 0\.05 seconds"):
        worker(gate.wait, 60)
    gate.set()
    worker.patience = 60
    assert worker(max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        worker(divmod, 1, 0)


def test_nothing_from_outside_becomes_markup() -> None:
    words = [{"word": EVIL, "start": 0.1, "end": 0.2, "confidence": 0.9}]
    uri = drawing.shade(np.ones((2, 2), np.float32))
    for html in (
        drawing.problem(EVIL),
        drawing.headline(EVIL, EVIL),
        drawing.bars({EVIL: 1.0}),
        drawing.pieces([EVIL, "##" + EVIL], [1.0, -2.0], "##", signed=True),
        drawing.alignment([EVIL], [EVIL], [[0.5]]),
        drawing.ranking([(EVIL, -1.0)]),
        drawing.timeline(np.zeros((10, 4), np.float32), 0.3, words),
        Looks(uri, [EVIL], [uri]).at(1),
    ):
        assert "<img src=x" not in html and 'onerror="' not in html
        assert "onerror" in html


def test_colours_follow_the_values() -> None:
    html = drawing.pieces(["good", "##ness", "bad"], [0.5, 0.0, -1.0], "##", signed=True)
    assert f"({drawing.SPEAKS_FOR},0.400)" in html and f"({drawing.SPEAKS_AGAINST},0.800)" in html
    assert "good</span><span" in html and "ness</span> <span" in html and "##" not in html
    html = drawing.alignment(["a", "b"], ["x"], [[0.25, 0.75]])
    assert html.index(f"({drawing.SHARE},0.250)") < html.index(f"({drawing.SHARE},0.750)")


def test_a_word_looks_through_the_shade_where_its_attention_is() -> None:
    import base64

    share = np.array([[0.0, 0.1], [0.2, 0.7]], np.float32)
    pane = Image.open(io.BytesIO(base64.b64decode(drawing.shade(share).partition(",")[2])))
    alpha = np.asarray(pane)[..., 3]
    assert alpha.shape == (2 * drawing.SMOOTH, 2 * drawing.SMOOTH)
    assert alpha[-1, -1] == alpha.min() == 0 and alpha[0, 0] == alpha.max() > 200
    looks = Looks("data:,", ["one", "two"], ["data:,1", "data:,2"])
    assert "<mark>two</mark>" in looks.at(2) and "data:,2" in looks.at(2) and "data:,1" not in looks.at(2)
    assert "<mark>" not in looks.at(0) and looks.at(99) == looks.at(2) and Looks().at(1) == ""


def test_a_picture_is_shown_upright_small_and_over_white() -> None:
    import base64

    picture = Image.new("RGBA", (1000, 500), (0, 0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    shown = Image.open(io.BytesIO(base64.b64decode(drawing.shown_picture(buffer.getvalue()).partition(",")[2])))
    assert shown.size == (drawing.SHOWN // 2, drawing.SHOWN) and shown.getpixel((5, 5)) == (255, 255, 255)
