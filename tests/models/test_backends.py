"""Blocks, losses and searches are written for every backend of Keras: another one gives the same numbers."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def answers(backend: str, file: Path) -> dict[str, np.ndarray]:
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.models.backends", backend, str(file)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(file) as found:
        return dict(found)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX comes with the extra slow: make test-slow")
def test_jax_gives_what_tensorflow_gives(tmp_path: Path) -> None:
    ours, other = answers("tensorflow", tmp_path / "tensorflow.npz"), answers("jax", tmp_path / "jax.npz")
    assert set(ours) == set(other) and len(ours) > 40
    assert len({tuple(row[0]) for row in ours["beam|0"]}) > 1, "every example has the same answer"
    for name, value in ours.items():
        np.testing.assert_allclose(other[name], value, rtol=2e-4, atol=2e-5, err_msg=name)
