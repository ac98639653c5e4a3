import numpy as np
import pytest
import soundfile

from pipelines.data.audio.files import faults, mono, read

FORMATS = [
    ("wav", "PCM_U8", 0.02),
    ("wav", "PCM_16", 1e-4),
    ("wav", "PCM_24", 1e-6),
    ("wav", "PCM_32", 1e-6),
    ("wav", "FLOAT", 1e-6),
    ("flac", "PCM_16", 1e-4),
    ("ogg", "VORBIS", 0.1),
    ("mp3", "MPEG_LAYER_III", None),
]


def tone(rate=16000, seconds=0.5, hertz=440):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(("ending", "encoding", "error"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_is_read_as_mono(tmp_path, ending, encoding, error, channels):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.stack([tone()] * channels, 1), 16000, subtype=encoding)
    sound = read(path, 16000)
    assert sound.dtype == np.float32 and sound.ndim == 1
    if error is not None:
        np.testing.assert_allclose(sound, tone(), atol=error)
    np.testing.assert_array_equal(read(path.read_bytes(), 16000), sound)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_another_rate_is_resampled(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", np.stack([tone(rate)] * 6, 1), rate, subtype="PCM_24")
    sound = read(tmp_path / "a.wav", 16000)
    assert len(sound) == 8000
    np.testing.assert_allclose(sound[300:-300], tone()[300:-300], atol=1e-3)


def broken_files(folder):
    soundfile.write(folder / "whole.flac", np.random.default_rng(0).normal(scale=0.1, size=20000), 16000)
    whole = (folder / "whole.flac").read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (folder / "text.wav").write_text("these are words, not sound\n" * 9)
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "zero.wav", np.zeros(0), 16000)
    samples = tone()
    samples[17] = np.nan
    soundfile.write(folder / "nan.wav", samples, 16000, subtype="FLOAT")
    (folder / "folder.wav").mkdir()


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("cut.flac", "cannot be decoded|cut short"),
        ("text.wav", "not a readable recording"),
        ("empty.wav", "0 bytes"),
        ("zero.wav", "no samples"),
        ("nan.wav", "sample 17 is not a finite"),
        ("folder.wav", "folder"),
        ("missing.wav", "no such file"),
    ],
)
def test_a_broken_file_is_named_with_the_reason(tmp_path, file, words):
    broken_files(tmp_path)
    with pytest.raises(ValueError, match=words) as error:
        read(tmp_path / file, 16000)
    assert str(error.value).startswith(str(tmp_path / file)) and "\n" not in str(error.value)


def test_bytes_are_called_by_the_name_they_are_given():
    with pytest.raises(ValueError, match=r"^upload 3: "):
        read(b"no sound", 16000, name="upload 3")


def test_samples_in_memory():
    np.testing.assert_allclose(mono(np.array([[-32768, 0], [16384, 16384]], np.int16), 8000, 8000), [-0.5, 0.5])
    assert mono(np.zeros(8000, np.float64), 8000, 16000).shape == (16000,)
    for samples, words in [(np.zeros((2, 2, 2)), "shape"), (np.zeros(0), "no samples"), ([np.inf], "not a finite")]:
        with pytest.raises(ValueError, match=words):
            mono(np.asarray(samples), 8000, 8000)
    with pytest.raises(ValueError, match="0 Hz"):
        mono(np.zeros(5), 0, 8000)


def test_suspicious_sound_is_described():
    assert faults(tone(), 16000, 0.1, 20) == []
    assert "too short" in faults(tone(seconds=0.05), 16000, 0.1, 20)[0]
    assert "too long" in faults(tone(seconds=0.5), 16000, 0.1, 0.3)[0]
    assert "silent" in faults(np.zeros(8000), 16000, 0.1, 20)[0]
    assert "clipped" in faults(np.sign(tone()), 16000, 0.1, 20)[0]
