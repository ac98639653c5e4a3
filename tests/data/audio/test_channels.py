"""Channels that cancel each other are not averaged, in NumPy, by blocks, and in graph alike."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pipelines.data.audio import decoding
from pipelines.data.audio.channels import CANCEL, mix, mix_in_graph
from pipelines.data.audio.files import mono, read
from pipelines.data.audio.wav import decode_wav

Array = np.ndarray[Any, Any]


def voice(count: int = 4000, seed: int = 0) -> Array:
    """Noise of a speech-like level, float32 [N]."""
    return np.random.default_rng(seed).normal(scale=0.1, size=count).astype(np.float32)


def stereo(left: Array, right: Array) -> Array:
    return np.stack([left, right], axis=1).astype(np.float32)


CANCELLED = {
    "opposite": (stereo(voice(), -voice()), 0),
    "opposite, the right louder": (stereo(-0.8 * voice(), voice()), 1),
    "nearly opposite": (stereo(voice(), -voice() + 0.05 * voice(seed=1)), None),
    "opposite with the same offset": (stereo(voice() + 0.3, -0.9 * voice() + 0.3), 0),
    "four in two pairs": (np.stack([voice(), -voice(), 0.5 * voice(seed=1), -0.5 * voice(seed=1)], 1), 0),
}
MIXED = {
    "the same twice": stereo(voice(), voice()),
    "one is silent": stereo(voice(), np.zeros(4000)),
    "unrelated": stereo(voice(), voice(seed=1)),
    "eight unrelated": np.stack([voice(seed=i) for i in range(8)], 1),
    "one of eight": np.stack([voice(), *[np.zeros(4000, np.float32)] * 7], 1),
    "silence": np.zeros((100, 2), np.float32),
    "one channel": voice()[:, None],
    "loses 5.9 dB": stereo(voice(), -0.495 * voice() + 0.866 * voice(seed=1)),
}


@pytest.mark.parametrize("name", CANCELLED)
def test_channels_that_cancel_leave_the_loudest(name: str) -> None:
    samples, loudest = CANCELLED[name]
    loudest = int(np.argmax(samples.var(axis=0))) if loudest is None else loudest
    np.testing.assert_array_equal(mix(samples), samples[:, loudest])
    np.testing.assert_array_equal(mix_in_graph(tf.constant(samples)), samples[:, loudest])


@pytest.mark.parametrize("name", MIXED)
def test_other_channels_are_averaged(name: str) -> None:
    samples = MIXED[name].astype(np.float32)
    np.testing.assert_array_equal(mix(samples), samples.mean(axis=1))
    np.testing.assert_allclose(mix_in_graph(tf.constant(samples)), samples.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("block", [64, 2**20])
@pytest.mark.parametrize("name", [*CANCELLED, *MIXED])
def test_files_arrays_and_the_graph_agree(name: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_BLOCK", block)
    samples = (CANCELLED[name][0] if name in CANCELLED else MIXED[name]).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, subtype="FLOAT", format="WAV")
    expected = mix(samples)
    np.testing.assert_array_equal(read(file.getvalue(), 16000), expected)
    np.testing.assert_array_equal(mono(samples, 16000, 16000), expected)
    np.testing.assert_allclose(decode_wav(tf.constant(file.getvalue())).samples, expected, atol=1e-7)
    note = decoding.decode(file.getvalue(), "a").note
    assert note == (CANCEL if name in CANCELLED else "")


def test_integers_are_heard_likewise(tmp_path: Path) -> None:
    samples = (stereo(voice(), -voice()) * 32767).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    sound = read(tmp_path / "a.wav", 8000)
    np.testing.assert_array_equal(sound, samples[:, 0] / np.float32(32768))
    assert sound.std() > 0.09


def test_no_samples_in_graph() -> None:
    assert mix_in_graph(tf.zeros([0, 2])).shape == (0,)
