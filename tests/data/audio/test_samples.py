"""Samples in memory: what each kind of array means, and which say nothing that could be heard."""

import io

import numpy as np
import pytest
import soundfile

from pipelines.data.audio.files import mono, read


def tone(seconds=0.25):
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(16000 * seconds)) / 16000)


@pytest.mark.parametrize(
    ("encoding", "dtype", "full", "silence"),
    [
        ("PCM_U8", "uint8", 128, 128),
        ("PCM_16", "int16", 2**15, 0),
        ("PCM_16", ">i2", 2**15, 0),
        ("PCM_32", "int32", 2**31, 0),
        ("FLOAT", "float32", 1, 0),
        ("DOUBLE", "float64", 1, 0),
    ],
)
def test_an_array_sounds_as_a_file_of_its_encoding(encoding, dtype, full, silence):
    """The independent truth is libsndfile, which reads the same numbers out of a file."""
    samples = tone() * full + silence
    samples = samples.round().astype(dtype) if full > 1 else samples.astype(dtype)
    file = io.BytesIO()
    soundfile.write(file, tone(), 16000, subtype=encoding, format="WAV")
    rounding = 1.5 / full if full > 1 else 0
    np.testing.assert_allclose(mono(samples, 16000, 16000), read(file.getvalue(), 16000), atol=rounding + 1e-6)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16, np.bool_, np.complex64])
def test_a_dtype_without_a_full_scale_is_refused_by_name(dtype):
    """NumPy makes int64 of a list: divided by 2^63, any recording would be silence."""
    with pytest.raises(ValueError, match=rf"^mine: expected samples of float, .* got {np.dtype(dtype)}$"):
        mono(np.ones(100, dtype), 16000, 16000, "mine")


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_channels_come_behind_the_samples(channels):
    turned = np.stack([tone()] * channels)
    with pytest.raises(ValueError, match=rf"expected samples \[N\] or \[N, channels\], got shape \[{channels}, 4000\]"):
        mono(turned, 16000, 16000)
    np.testing.assert_allclose(mono(turned.T, 16000, 16000), tone(), atol=1e-6)


def test_a_file_of_fewer_samples_than_channels_is_read():
    file = io.BytesIO()
    soundfile.write(file, np.full((1, 6), 0.25), 16000, subtype="FLOAT", format="WAV")
    np.testing.assert_allclose(read(file.getvalue(), 16000), [0.25])
