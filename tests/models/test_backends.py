"""The searches are written for every backend of Keras: in a process with another they give the same answers."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

PROGRAM = """
import json, sys
import numpy as np
from keras import backend, ops
from pipelines.search.search import Rules, beam, greedy
assert backend.backend() == sys.argv[1]

def step(tokens, state, memory):  # logits are a function of the last token and of what the example is
    table = np.random.default_rng(0).normal(size=(7, 7)).astype("float32") * 3
    return ops.take(table, tokens, axis=0) + state, state

state = np.random.default_rng(1).normal(size=(3, 7)).astype("float32")
rules = Rules(1, 2, 6, min_length=1, no_repeat_ngram=2)
found = {"greedy": greedy(step, state, rules), "beam": beam(step, state, rules, width=4)}
print(json.dumps({name: [np.asarray(part).tolist() for part in answers[:3]] for name, answers in found.items()}))
"""


def answers(backend: str) -> dict[str, Any]:
    command = [sys.executable, "-c", PROGRAM, backend]
    places = os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": places, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_jax_finds_what_tensorflow_finds() -> None:
    pytest.importorskip("jax", reason="no extra of this project brings JAX")
    ours, other = answers("tensorflow"), answers("jax")
    assert len({tuple(row[0]) for row in ours["beam"][0]}) > 1, "every example has the same answer"
    for name, (tokens, lengths, scores) in ours.items():
        assert (tokens, lengths) == (other[name][0], other[name][1]), name
        np.testing.assert_allclose(scores, other[name][2], rtol=1e-5)
