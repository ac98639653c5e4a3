"""Float16 copies of weight files."""

from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest

from pipelines import load_settings
from pipelines.runs import load as loading
from pipelines.runs.copy import halve, slim
from pipelines.runs.folder import CONFIG, WEIGHTS, Run, create, need_trainable
from pipelines.tasks.sentiment.config import Config


def model(scale: float = 1.0) -> keras.Model:
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input([300]), keras.layers.Dense(200), keras.layers.LayerNormalization()])
    made.layers[0].kernel.assign(made.layers[0].kernel * scale)
    return made


def test_keras_reads_a_halved_file_with_float16_accuracy(tmp_path: Path) -> None:
    first, second = model(), model(0.0)
    first.save_weights(tmp_path / "a.weights.h5")
    halve(tmp_path / "a.weights.h5", tmp_path / "b.weights.h5")
    second.load_weights(tmp_path / "b.weights.h5")
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one.astype(np.float16).astype(np.float32), two)
    sizes = [(tmp_path / f"{name}.weights.h5").stat().st_size for name in "ab"]
    assert sizes[1] < 0.55 * sizes[0]
    with h5py.File(tmp_path / "b.weights.h5") as file:
        kinds: set[str] = set()
        file.visititems(lambda name, item: kinds.add(str(item.dtype)) if isinstance(item, h5py.Dataset) else None)
    assert kinds == {"float16"}


def test_a_weight_beyond_float16_is_refused(tmp_path: Path) -> None:
    model(1e8).save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match="holds a value that float16 cannot"):
        halve(tmp_path / "a.weights.h5", tmp_path / "b.weights.h5")


def slimmed(run: Run, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slim a run that has nothing but settings and weights."""
    run.write(WEIGHTS, lambda path: model().save_weights(path))
    task = SimpleNamespace(
        config_class=load_settings(run.read_json(CONFIG)["task"]).Config, preprocessor_class=SimpleNamespace(FILES=())
    )
    monkeypatch.setattr(loading, "load_run", lambda path: SimpleNamespace(run=Run(path), task=task))
    slim(run.path, out)


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        ("tfds:wmt14_translate/de-en", "tfds:wmt14_translate/de-en"),
        ("/home/me/reviews.csv", "reviews.csv"),
        ("synthetic", "synthetic"),
    ],
)
def test_the_data_keeps_its_name_but_not_its_path(
    spec: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create(tmp_path / "run", "sentiment", Config(), {"spec": spec, "fingerprint": "x", "limit": 0})
    slimmed(run, tmp_path / "slim", monkeypatch)
    assert Run(tmp_path / "slim").read_json(CONFIG)["data"]["spec"] == kept


def test_a_copy_of_an_interrupted_training_is_not_trained_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create(tmp_path / "run", "sentiment", Config(), {"spec": "synthetic", "fingerprint": "x", "limit": 0})
    slimmed(run, tmp_path / "slim", monkeypatch)
    with pytest.raises(ValueError, match="a trained run without training state"):
        need_trainable(tmp_path / "slim")


@pytest.mark.parametrize(
    ("task", "setting", "value", "kept"),
    [
        ("speech", "lm", "/home/me/words.arpa", ""),
        ("speech", "lm", "train", "train"),
        ("speech", "lm", "", ""),
        ("captioning", "encoder_weights", "/home/me/network.h5", ""),
        ("captioning", "encoder_weights", "none", "none"),
    ],
)
def test_a_file_of_this_machine_is_left_out_of_the_settings(
    task: str, setting: str, value: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_settings(task).Config(**{setting: value})
    run = create(tmp_path / "run", task, config, {"spec": "synthetic", "fingerprint": "x", "limit": 0})
    slimmed(run, tmp_path / "slim", monkeypatch)
    before, after = (Run(tmp_path / name).read_json(CONFIG)["config"] for name in ("run", "slim"))
    assert after == before | {setting: kept}
