"""Recordings of which nothing can be learned are scored: a score is that of the whole split."""

import json

import numpy as np
import pytest
import soundfile

from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.data import facets
from pipelines.tasks.speech.synthetic import examples
from pipelines.training.evaluate import evaluate


@pytest.fixture
def split(tmp_path):
    """Recordings of 35 seconds, of silence, and of 20 ms, as the test split of LibriSpeech has the first."""
    spoken = next(examples("test", 1))
    sound = np.asarray(spoken["audio"], np.float32)
    recordings = {
        "long": np.resize(sound, 35 * 16000),
        "silent": np.zeros(16000, np.float32),
        "short": sound[4000:4320],
        "usual": sound,
    }
    for name, samples in recordings.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 16000)
    rows = "".join(f"{name}.wav,{spoken['text']}\n" for name in recordings)
    (tmp_path / "test.csv").write_text("path,text\n" + rows)
    return tmp_path


def test_evaluation_answers_what_prediction_does(split, small_predictor):
    predictor = small_predictor("speech")
    paths = [str(split / f"{name}.wav") for name in ("long", "silent", "short", "usual")]
    seen = [facets(Config(), {"where": "x:1", "audio": path, "text": "one"}) for path in paths]
    assert [bool(one.unlearned) for one in seen] == [True, True, True, False]
    assert not any(one.problem for one in seen)
    record = evaluate(predictor.loaded.run.path, data=str(split / "test.csv"), out=split / "scores")
    assert record["examples"] == 4 and record["skipped"] == 0
    scored = [json.loads(line) for line in (split / "scores" / "predictions.jsonl").read_text().splitlines()]
    assert [row["input"] for row in scored] == paths
    assert [row["answer"] for row in scored] == [row["answer"] for row in predictor(paths)]
    assert all(row["references"] and "error" not in row for row in scored)
