"""The first answer comes soon: a new process that only answers leaves out what scores, draws or learns."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging
import sys
from pipelines import TASKS, load_task
from pipelines.__main__ import main
status = main(["predict", "pretrained/sentiment", "A wonderful, moving film."])
for name in TASKS:
    load_task(name)
unwanted = "sklearn scipy pandas matplotlib sacrebleu librosa numba tensorflow_datasets pyarrow gradio".split()
print(*(name for name in unwanted if name in sys.modules), file=sys.stderr)
logging.getLogger("tensorflow").warning("advice on tracing")
sys.exit(status)
"""


@pytest.mark.skipif(not (ROOT / "pretrained" / "sentiment").exists(), reason="no trained run in this checkout")
def test_an_answer_imports_nothing_that_scores_draws_or_learns() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    answer, score, text = done.stdout.rstrip("\n").split("\t")
    assert (answer, text) == ("positive", "A wonderful, moving film.") and 0.9 < float(score) <= 1
