"""MP3 files whose length libsndfile can only estimate are read to the end, and those that say it keep their say."""

import io

import numpy as np
import pytest
import soundfile

from pipelines.data.audio.files import extent, read
from pipelines.data.audio.mp3 import FRAME, counted

DELAY = 529
"""Samples that a decoder is behind."""


def sound(rate, seconds=4.0):
    """A quiet tone, which needs few bits, and then noise, which needs many."""
    time = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(0).normal(scale=0.1, size=len(time))
    return np.where(time < seconds / 3, 0.01 * np.sin(2 * np.pi * 440 * time), noise)


def mp3(rate, mode="VARIABLE", channels=1, seconds=4.0):
    file = io.BytesIO()
    samples = np.stack([sound(rate, seconds)] * channels, 1)
    soundfile.write(file, samples, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return file.getvalue()


def bare(content):
    """Without its first frame, which holds the tag and no sound; the second begins with the same two bytes."""
    assert b"Xing" in content[:64] or b"Info" in content[:64]
    return content[content.index(content[:2], 2) :]


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (22050, 1), (22050, 2), (44100, 1), (48000, 2)])
def test_without_a_tag_all_samples_are_read(tmp_path, rate, mode, channels):
    content = bare(mp3(rate, mode, channels))
    (tmp_path / "a.mp3").write_bytes(content)
    heard = read(tmp_path / "a.mp3", rate)
    assert 4 * rate <= len(heard) <= 4 * rate + 3 * FRAME
    np.testing.assert_array_equal(read(content, rate), heard)


def test_what_is_read_without_a_tag_is_the_recording():
    """The tag says too how many samples the encoder put before the first one, which are then left out."""
    content = mp3(16000)
    whole, heard = read(content, 16000), read(bare(content), 16000)
    found = np.correlate(heard[32000:42000], whole[32000:40000])
    np.testing.assert_allclose(heard[8000 + found.argmax() : 62000 + found.argmax()], whole[8000:62000], atol=1e-3)
    assert 0 < found.argmax() < 2 * FRAME


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_a_tag_is_trusted(mode):
    content = mp3(22050, mode)
    for whole in (content, content + b"TAG" + bytes(125), b"ID3\4\0\0\0\0\1\0" + bytes(128) + content):
        assert counted(whole) is None and len(read(whole, 22050)) == 4 * 22050


@pytest.mark.parametrize(
    "part",
    [mp3(16000), bare(mp3(16000)), b"ID3\4\0\0\0\0\1\0" + bytes(128) + mp3(16000)],
    ids=["tagged", "bare", "with ID3"],
)
def test_of_joined_recordings_all_are_read(part):
    one, two, three = (read(part * count, 16000) for count in (1, 2, 3))
    assert len(two) > 2 * len(one) - DELAY and len(three) - len(two) == len(two) - len(read(bare(mp3(16000)), 16000))
    assert np.abs(three[-8000:-4000]).mean() > 0.05


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), bytes(5000), bare(mp3(16000))[:100]], ids=["tag", "0", "cut"])
def test_what_stands_behind_the_frames_does_no_harm(behind):
    content = bare(mp3(16000))
    np.testing.assert_array_equal(read(content + behind, 16000), read(content, 16000))


def test_an_mp3_that_says_its_length_is_refused_where_it_is_cut_short():
    content = mp3(16000)
    with pytest.raises(ValueError, match=r"^a\.mp3: cut short, \d+ of 64000 samples"):
        read(content[: len(content) // 2], 16000, name="a.mp3")
    within_the_last_frame = read(content[:-50], 16000)
    assert 64000 - FRAME < len(within_the_last_frame) <= 64000


def test_what_is_no_mp3_has_no_frames():
    for content in (b"", b"\xff\xfb", b"ID3", bytes(5000), b"\xff" * 5000, b"these are words" * 99):
        assert counted(content) is None


def test_what_looks_like_frames_within_another_format_is_none():
    frames = bare(mp3(16000))
    content = io.BytesIO()
    soundfile.write(content, np.frombuffer(frames[: len(frames) // 2 * 2], np.int16), 8000, format="WAV")
    assert counted(content.getvalue()) is not None, "the bytes would pass for an MP3"
    assert extent(content.getvalue()) == (len(frames) // 2, 1, 8000)


@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_limited_by_its_length_is_measured_by_what_will_be_read(channels):
    """The estimate is less than half, by which a service would take what it must refuse."""
    content = bare(mp3(44100, channels=channels))
    frames, found, rate = extent(content)
    assert (found, rate, len(read(content, 44100))) == (channels, 44100, frames)
    assert soundfile.info(io.BytesIO(content)).frames < 0.6 * frames
    with pytest.raises(ValueError, match="not a readable recording"):
        extent(b"text")
