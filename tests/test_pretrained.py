"""The trained runs that come with the project answer as their cards say, and hold nothing that is not ours."""

import json
from pathlib import Path

import h5py
import pytest

from pipelines import Predictor
from pipelines.training.runs import MANIFEST, WEIGHTS, Run, open_run

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


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("A wonderful, moving film.", "positive"),
        ("Two hours of my life that I will never get back. Awful acting, terrible script.", "negative"),
        ("I expected to hate it, but it turned out to be one of the best films of the year.", "positive"),
    ],
)
@pytest.mark.skipif(not (ROOT / "sentiment").exists(), reason="no trained sentiment run in this checkout")
def test_sentiment_knows_a_review(text: str, answer: str) -> None:
    assert Predictor(ROOT / "sentiment")(text)[0]["answer"] == answer
