"""Recordings of many rates in one batch of an export: each is heard at its own, and no header spoils the others."""

import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pipelines.config import from_dict
from pipelines.data.audio.files import read
from pipelines.data.audio.wav import RATE
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.data import Preprocessor
from pipelines.tasks.speech.serving import at_own_rate
from pipelines.tasks.speech.synthetic import examples
from pipelines.tasks.speech.task import Speech
from pipelines.tasks.speech.text import Alphabet

SMALL = {"rate": 8000, "mel_bins": 20, "filters": 3, "units": 16, "layers": 1, "seed": 4}


@pytest.fixture(scope="module")
def serving():
    """A random network whose answers are not empty."""
    config = from_dict(Config, SMALL, "test")
    task = Speech(config, Preprocessor(Alphabet(["", " ", *"abcde"]), None, config.rate))
    model = task.network()
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return task.serving(model)


@pytest.fixture(scope="module")
def sound():
    return next(examples("test", 1, seed=2, rate=8000))["audio"]


def wav(sound, rate):
    """A WAV file whose header claims any rate."""
    file = io.BytesIO()
    soundfile.write(file, sound, 8000, format="WAV")
    content = bytearray(file.getvalue())
    content[24:28] = rate.to_bytes(4, "little")
    return bytes(content)


def test_a_file_of_an_impossible_rate_is_named_and_the_others_are_answered(serving, sound):
    endless = np.zeros(200_000, np.float32)  # at 1 Hz, 3.2e9 samples at 16 kHz: more than int32 can count
    contents = [wav(endless, 1), wav(sound, 8000), wav(sound, 999), wav(sound, 768_001), wav(sound, 2**32 - 1)]
    found = {name: value.numpy() for name, value in serving.from_wav(tf.constant(contents)).items()}
    alone = {name: value.numpy() for name, value in serving.from_wav(tf.constant(contents[1:2])).items()}
    assert [problem.decode() for problem in found["problem"]] == [RATE, "", RATE, RATE, RATE]
    assert found["text"][1] == alone["text"][0] != b"" and found["score"][1] == pytest.approx(alone["score"][0])
    assert [text for i, text in enumerate(found["text"]) if i != 1] == [b""] * 4


def test_samples_of_an_impossible_rate_have_no_text(serving, sound):
    rates = np.array([8000, 1, 0, -8000, 2**31 - 1], np.int32)
    waveform, samples = np.stack([sound] * len(rates)), np.full(len(rates), len(sound), np.int32)
    batch = {"waveform": tf.constant(waveform), "samples": tf.constant(samples), "rate": tf.constant(rates)}
    found = serving(**batch)
    (alone,) = serving(**{name: value[:1] for name, value in batch.items()})["text"].numpy()
    assert found["text"].numpy().tolist() == [alone, b"", b"", b"", b""] and alone
    assert not found["score"][1:].numpy().any()


def test_a_batch_is_as_wide_as_its_longest_recording():
    """Six seconds at 48 kHz beside a tenth at 4 kHz: not as wide as if all that is padded were at 4 kHz."""
    waveform, samples = np.zeros((2, 288_000), np.float32), np.array([288_000, 400], np.int32)
    heard, counts = at_own_rate(tf.constant(waveform), samples, np.array([48_000, 4_000], np.int32), 8000)
    assert counts.numpy().tolist() == [48_000, 800] and heard.shape == (2, 48_000)


def test_a_file_on_disk_is_held_to_the_same_rates(sound, tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(sound, 1))
    with pytest.raises(ValueError, match=r"a\.wav: expected a sampling rate of 1000 to 768000 Hz, got 1 Hz"):
        read(tmp_path / "a.wav", 8000)
