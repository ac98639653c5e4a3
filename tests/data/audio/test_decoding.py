"""Formats that are read by blocks only, headers that claim too much, and what is no file at all."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines.data.audio import decoding
from pipelines.data.audio.files import extent, mono, read, sounds_in

RATE = 8000


def tone(count: int = 16000) -> np.ndarray[Any, Any]:
    return (0.3 * np.sin(np.arange(count) * 0.3)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "encoding", "ending"),
    [
        ("WAV", "GSM610", "wav"),
        ("W64", "GSM610", "w64"),
        ("AIFF", "GSM610", "aiff"),
        ("WAV", "MS_ADPCM", "wav"),
        ("WAV", "IMA_ADPCM", "wav"),
        ("WAV", "ULAW", "wav"),
        ("WAV", "ALAW", "wav"),
        ("WAV", "G721_32", "wav"),
        ("AU", "G721_32", "au"),
        ("AU", "G723_24", "au"),
        ("CAF", "ALAC_16", "caf"),
        ("OGG", "OPUS", "opus"),
    ],
)
@pytest.mark.parametrize("block", [1000, 2**20])
def test_what_libsndfile_writes_is_read(
    kind: str, encoding: str, ending: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_BLOCK", block)
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, tone(), RATE, subtype=encoding, format=kind)
    sound = read(path, RATE)
    assert 16000 <= len(sound) < 16000 + 1200
    assert np.corrcoef(sound[:15000], tone()[:15000])[0, 1] > 0.9
    np.testing.assert_array_equal(read(path.read_bytes(), RATE), sound)


def claiming(folder: Path, count: int) -> Path:
    """A FLAC whose header claims ``count`` samples."""
    path = folder / "claims.flac"
    soundfile.write(path, tone(1000), RATE, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[21] = content[21] & 0xF0 | count >> 32 & 0x0F
    content[22:26] = (count & 2**32 - 1).to_bytes(4, "big")
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize(
    ("count", "words"),
    [(2**36 - 1, "claims 68,719,476,735 samples, at most 536,870,912 are read; cut it into parts"),
     (2**28, "cut short, 1000 of 268435456 samples|cannot be decoded")],
)  # fmt: skip
def test_a_claim_is_compared_with_a_limit_and_with_the_file(count: int, words: str, tmp_path: Path) -> None:
    path = claiming(tmp_path, count)
    with pytest.raises(ValueError, match=words) as error:
        read(path, 16000)
    assert str(error.value).startswith(f"{path}: ")


def test_a_recording_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST", 1000)
    monkeypatch.setattr(decoding, "_UNKNOWN", 0)
    soundfile.write(tmp_path / "a.wav", tone(), RATE)
    with pytest.raises(ValueError, match=r"a\.wav: has more than 1,000 samples"):
        read(tmp_path / "a.wav", RATE)


def test_a_rate_that_makes_too_many_samples_is_refused() -> None:
    few = np.broadcast_to(np.float32(0), (2**26,))
    with pytest.raises(ValueError, match="would have more than 536,870,912 samples at 16000 Hz"):
        mono(few, 1000, 16000, "a")


@pytest.mark.parametrize(
    "error", [RuntimeError("of the library"), ValueError("frames must"), MemoryError(), TypeError()]
)
def test_an_error_of_the_library_leaves_with_file_and_remedy(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), RATE)

    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    with pytest.raises(ValueError, match=r"a\.wav: .*(ffmpeg -i|cut it into parts)"):
        read(tmp_path / "a.wav", RATE)
    monkeypatch.setattr(soundfile.SoundFile, "__init__", fail)
    if not isinstance(error, MemoryError):
        with pytest.raises(ValueError, match=r"a\.wav: not a readable recording .*ffmpeg -i"):
            read(tmp_path / "a.wav", RATE)
        with pytest.raises(ValueError, match=r"not a readable recording .*ffmpeg -i"):
            extent((tmp_path / "a.wav").read_bytes())


def special(folder: Path) -> dict[str, str]:
    os.mkfifo(folder / "pipe.wav")
    (folder / "zero.wav").symlink_to("/dev/zero")
    (folder / "gone.wav").symlink_to("nowhere.wav")
    return {
        "pipe.wav": "expected a file, found a pipe",
        "zero.wav": "expected a file, found a device",
        "gone.wav": "is a link to nowhere.wav, which is not there",
    }


def test_only_regular_files_are_recordings(tmp_path: Path) -> None:
    for name, words in special(tmp_path).items():
        with pytest.raises(ValueError, match=f"{name}: {words}"):
            read(tmp_path / name, RATE)


def test_a_folder_stands_for_its_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "b.wav", tone(), RATE)
    soundfile.write(tmp_path / "c.bin", tone(), RATE, format="FLAC")
    special(tmp_path)
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "more").mkdir()
    (tmp_path / ".hidden.wav").write_bytes(b"")
    names = [Path(found).name for found in sounds_in(tmp_path)]
    assert names == ["b.wav", "c.bin", "gone.wav", "pipe.wav", "zero.wav"]
    assert f"{tmp_path}: 2 files passed over (more/, notes.txt); expected WAV, FLAC" in capsys.readouterr().err
    assert sounds_in(tmp_path / "any") == [str(tmp_path / "any")]
    with pytest.raises(ValueError, match="expected a folder with recordings"):
        sounds_in(tmp_path / "more")
