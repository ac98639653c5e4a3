"""The scores on the cards of the trained runs, computed anew where their data is present.

The full test sets are looked for in ``$PIPELINES_TEST_DATA/NAME`` (an4, multi30k, imdb, flickr8k, and the weights of
the picture network in mobilenetv2), as ``pipelines data NAME`` lays them out.
"""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines import Predictor, evaluate

ROOT = Path(__file__).parents[1] / "pretrained"
DATA = {"speech": "an4", "translation": "multi30k", "sentiment": "imdb", "captioning": "flickr8k"}


def data(name: str) -> Path:
    folder = Path(os.environ.get("PIPELINES_TEST_DATA", "data")).expanduser() / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: PIPELINES_TEST_DATA names the folder of the data sets")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", list(DATA))
def test_the_scores_of_a_card_are_those_of_the_full_test_set(name: str, tmp_path: Path) -> None:
    decoding: dict[str, Any] = {}
    if name == "captioning":
        decoding["encoder_weights"] = str(next(data("mobilenetv2").glob("*.h5")))
    record = evaluate(ROOT / name, str(data(DATA[name])), out=tmp_path, **decoding)
    card = json.loads((ROOT / name / "metrics.json").read_text("utf-8"))
    assert (record["examples"], record["decode"]) == (card["examples"], card["decode"])
    for metric, score in card["metrics"].items():
        # Weights on the card's own figures were float32, those in the folder are float16.
        assert record["metrics"][metric]["value"] == pytest.approx(score["value"], rel=2e-3, abs=2e-4), metric
    text = (ROOT / name / "README.md").read_text("utf-8")
    main = {"speech": "wer", "translation": "bleu", "sentiment": "accuracy", "captioning": "bleu4"}[name]
    value = record["metrics"][main]["value"]
    shown = {"speech": f"{value:.4f}", "sentiment": f"{100 * value:.2f}"}.get(name, f"{value:.1f}")
    assert shown in text, f"the card does not say {main} {shown}"


def picture(seed: int) -> bytes:
    """A photograph-sized picture of coloured stripes."""
    random = np.random.default_rng(seed)
    rows = np.repeat(random.integers(0, 256, (8, 1, 3)), 40, axis=0)
    file = io.BytesIO()
    Image.fromarray(np.broadcast_to(rows, (320, 200, 3)).astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()


def test_captioning_answers_with_a_picture_network_drawn_at_random(capsys: Any) -> None:
    """No weights can be fetched in a test; everything but what the pictures show is as with them."""
    predictor = Predictor(ROOT / "captioning", encoder_weights="none")
    one, other, broken = predictor([picture(0), picture(1), b"no picture"])
    assert "other weights of MobileNetV2" in capsys.readouterr().err
    for found in (one, other):
        words = found["answer"].split()
        assert 3 <= len(words) <= 40 and found["status"] == "ok" and found["score"] < 0
        assert found["alternatives"][0][0] == found["answer"] and len(found["alternatives"]) == 5
    assert (broken["answer"], broken["status"]) == ("", "unreadable") and "error" in broken
