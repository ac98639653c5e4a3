"""Captioning with a frozen network, end to end: training, answers, explanation, export, and its weights."""

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines import Predictor, config, evaluate, train
from pipelines.cli.explain import explain as explain_run
from pipelines.data.images.network import PictureNetwork
from pipelines.export.saved_model import export, fresh
from pipelines.runs.load import load_run
from pipelines.tasks.captioning import data as captioning_data
from pipelines.tasks.captioning import synthetic
from pipelines.tasks.captioning.config import Config
from pipelines.tasks.captioning.data import Preprocessor, open_network
from pipelines.tasks.captioning.synthetic import unusual_files

TINY: dict[str, Any] = {
    "encoder": "MobileNet",
    "encoder_weights": "none",
    "picture_size": 64,
    "vocabulary_size": 400,
    "embedding_size": 12,
    "grid_units": 10,
    "units": 14,
    "max_tokens": 16,
    "dropout": 0.0,
    "beam_width": 2,
}


@pytest.fixture(scope="module")
def frozen_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with an untrained frozen network on a folder of drawn pictures, and that folder."""
    root = tmp_path_factory.mktemp("frozen")
    rows = ["image,caption,split"]
    for split, count in (("train", 24), ("validation", 6), ("test", 6)):
        for example in synthetic.examples(split, count, 0):
            (root / f"{example['id']}.png").write_bytes(example["image"])
            rows += [f"{example['id']}.png,{caption},{split}" for caption in example["captions"][:3]]
    (root / "captions.csv").write_text("\n".join(rows) + "\n")
    return train("captioning", data=str(root), run=root / "run", epochs=1, random_flip=True, **TINY), root


@pytest.fixture(scope="module")
def predictor(frozen_run: tuple[Path, Path]) -> Predictor:
    """Answers of the frozen run; loaded once."""
    return Predictor(frozen_run[0])


def test_frozen_network_from_folder_to_answers(
    frozen_run: tuple[Path, Path], predictor: Predictor, tmp_path: Path, monkeypatch: Any
) -> None:
    run, root = frozen_run
    monkeypatch.setattr("pipelines.training.evaluate.load_run", lambda path: predictor.loaded)
    record = json.loads((run / "encoder.json").read_text())
    assert record["network"] == "MobileNet" and (record["cells"], record["features"]) == (4, 1024)
    assert evaluate(run, out=tmp_path / "scores")["examples"] == 6
    answers = predictor([str(root / "test-0.png"), str(root / "gone.png"), b"junk", (root / "test-1.png").read_bytes()])
    assert [a["status"] for a in answers] == ["ok", "unreadable", "unreadable", "ok"]
    assert answers[0]["answer"] and answers[1]["answer"] == "" and "gone.png" in answers[1]["error"]
    json.dumps(answers)


@pytest.mark.slow
def test_frozen_network_exported(frozen_run: tuple[Path, Path], tmp_path: Path) -> None:
    _, root = frozen_run
    # So long that answers no longer score alike: which of two comes first then depends on rounding.
    longer = TINY | {"epochs": 20, "learning_rate": 2e-2, "monitor": "rouge_l"}
    run = train("captioning", data=str(root), run=tmp_path / "run", random_flip=True, **longer)
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), "red").save(buffer, "JPEG")
    contents = [(root / "test-0.png").read_bytes(), b"junk", buffer.getvalue(), *unusual_files()]
    with fresh() as ask:
        found, _ = ask(export(run, tmp_path / "export"), {"image": tf.constant(contents)})()
    expected = Predictor(run)(contents)
    assert [c.decode() for c in found["caption"]] == [p["answer"] for p in expected]
    np.testing.assert_allclose(found["score"], [p["score"] for p in expected], atol=1e-4)
    assert found["status"].tolist()[:3] == [0, 1, 0] and found["attention"].shape[2] == 4
    assert not found["attention"][1].any() and found["attention"][0].sum() > 0.999


def test_explanation(frozen_run: tuple[Path, Path], predictor: Predictor, monkeypatch: Any) -> None:
    run, root = frozen_run
    monkeypatch.setattr("pipelines.cli.explain.load_run", lambda path: predictor.loaded)
    explanation = explain_run(run, str(root / "test-0.png"))
    assert explanation.answer == predictor([str(root / "test-0.png")])[0]["answer"]
    assert len(explanation.numbers["rows"]) == len(explanation.arrays["attention"]) > 0
    np.testing.assert_allclose(explanation.arrays["attention"].sum((1, 2)), 1, rtol=1e-4)
    assert len(explanation.picture.axes) >= 1 + len(explanation.numbers["rows"])
    with pytest.raises(ValueError, match=r"captions\.csv: is no picture"):
        explain_run(run, str(root / "captions.csv"))


def test_weights_may_lie_elsewhere_by_now(frozen_run: tuple[Path, Path], predictor: Predictor, tmp_path: Path) -> None:
    run, _ = frozen_run
    file = tmp_path / "mine.weights.h5"
    assert predictor.loaded
    network = predictor.loaded.preprocessor.network
    network.model.save_weights(file)
    assert load_run(run, encoder_weights=str(file)).preprocessor.network.sha256 == network.sha256
    with pytest.raises(ValueError, match=r"--encoder-weights .*gone\.h5: there is no such file"):
        evaluate(run, out=tmp_path, encoder_weights=str(tmp_path / "gone.h5"))


def test_weights_that_are_gone_are_told_before_the_first_picture(frozen_run: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--encoder-weights .*gone\.h5: there is no such file"):
        Predictor(frozen_run[0], encoder_weights=str(tmp_path / "gone.h5"))


@pytest.mark.parametrize("weights", ["", "none", "FILE"])
def test_pictures_too_small_for_the_network_are_told_as_such(weights: str, tmp_path: Path) -> None:
    (tmp_path / "FILE").touch()
    with pytest.raises(ValueError, match=r"^--picture-size 16: MobileNetV2 needs at least 32$"):
        PictureNetwork("MobileNetV2", str(tmp_path / weights) if weights == "FILE" else weights, 16)


def test_an_opened_network_leaves_no_trace_in_random_numbers() -> None:
    state = random.getstate()
    open_network(config.resolve(Config, {}, overrides=TINY))
    assert random.getstate() == state


def test_other_weights_are_noticed(
    frozen_run: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    run, _ = frozen_run
    chosen = config.resolve(Config, {}, overrides=TINY)
    preprocessor = Preprocessor.load(chosen, run)
    assert preprocessor.network.cells == 4 and "warning" not in capsys.readouterr().err
    record = preprocessor.record | {"weights_sha256": "0" * 64}
    monkeypatch.setattr(captioning_data, "open_network", lambda config: preprocessor.network)  # the same, once built
    assert Preprocessor(preprocessor.vocabulary, chosen, record).network.cells == 4
    assert "trained with other weights of MobileNet (SHA-256 0000000000000000...)" in capsys.readouterr().err
