"""The trained runs that come with the project answer as their cards say, and hold nothing that is not ours."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipelines import Predictor
from pipelines.runs.folder import MANIFEST, WEIGHTS, Run, open_run
from pipelines.tasks.speech.synthetic import utterances

ROOT = Path(__file__).parent.parent / "pretrained"
RUNS = sorted(path.parent for path in ROOT.glob(f"*/{MANIFEST}"))


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_a_trained_run_is_slim_verified_and_described(folder: Path) -> None:
    run, record = open_run(folder)
    manifest = run.manifest()
    assert manifest is not None
    for name in manifest["files"]:
        Run(folder).verified(name)
    assert set(manifest["files"]) | {MANIFEST, "README.md"} == {path.name for path in folder.iterdir()}
    assert not [v for v in (record["data"]["spec"], *record["config"].values()) if isinstance(v, str) and "/" in v]
    with h5py.File(run.verified(WEIGHTS)) as file:
        kinds: set[str] = set()
        file.visititems(lambda name, item: kinds.add(str(item.dtype)) if isinstance(item, h5py.Dataset) else None)
    assert kinds == {"float16"}
    card = (folder / "README.md").read_text("utf-8")
    for word in ("Data", "Command", "Seed", "Scores", "Limits"):
        assert f"**{word}**" in card
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    assert metrics


def need(name: str) -> Path:
    if not (ROOT / name).exists():
        pytest.skip(f"no trained {name} run in this checkout")
    return ROOT / name


KNOWN = {
    "sentiment": {
        "A wonderful, moving film.": ("positive", 0.938),
        "Two hours of my life that I will never get back. Awful acting, terrible script.": ("negative", 0.984),
        "I expected to hate it, but it turned out to be one of the best films of the year.": ("positive", 0.732),
    },
    "translation": {
        "Two men are sitting on a bench.": ("Zwei Männer sitzen auf einer Bank.", -0.254),
        "Three women are walking down the street.": ("Drei Frauen gehen die Straße entlang.", -0.400),
    },
}
"""Answers and scores on the day they were written down; no others come near, so that no rounding changes them."""


@pytest.mark.parametrize("name", list(KNOWN))
def test_texts_are_answered_as_they_always_were(name: str) -> None:
    found = Predictor(need(name))(list(KNOWN[name]))
    for one, (answer, score) in zip(found, KNOWN[name].values(), strict=True):
        assert (one["answer"], one["score"]) == (answer, pytest.approx(score, abs=0.002))


def test_digits_of_a_built_in_voice_are_heard() -> None:
    *_, spoken = utterances("test", 9)
    assert spoken["text"] == "six three eight six one"
    (found,) = Predictor(need("speech"))([np.asarray(spoken["audio"])])
    assert (found["answer"], found["score"]) == (spoken["text"], pytest.approx(0.912, abs=0.002))
