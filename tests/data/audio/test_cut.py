"""Recordings that were cut short are refused where the file says how long it was."""

import io

import numpy as np
import pytest
import soundfile

from pipelines.data.audio.files import cut_short, read

KINDS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS")]


def written(kind="WAV", encoding="PCM_16", seconds=4.0):
    file = io.BytesIO()
    sound = np.random.default_rng(0).normal(scale=0.1, size=int(16000 * seconds))
    soundfile.write(file, sound, 16000, format=kind, subtype=encoding)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "encoding"), KINDS)
@pytest.mark.parametrize("share", [0.5, 0.75, 0.99])
def test_a_cut_recording_is_refused(tmp_path, kind, encoding, share):
    content = written(kind, encoding)
    part = content[: int(share * len(content))]
    (tmp_path / "a").write_bytes(part)
    with pytest.raises(ValueError, match=r"/a: cut short"):
        read(tmp_path / "a", 16000)
    with pytest.raises(ValueError, match=r"^upload: cut short"):
        read(part, 16000, name="upload")


@pytest.mark.parametrize(("kind", "encoding"), KINDS)
def test_a_whole_one_is_read_with_what_stands_behind_it(kind, encoding):
    content = written(kind, encoding)
    for behind in (b"", b"LIST\4\0\0\0abcd", b"TAG" + bytes(125)):
        assert len(read(content + behind, 16000)) == 64000


def test_the_sentence_says_what_is_there():
    content = written()
    assert cut_short(io.BytesIO(content[:32044])) == "32000 of 128000 bytes of sound are there"
    assert cut_short(io.BytesIO(written("OGG", "VORBIS")[:-1])) == "its last page is missing"


@pytest.mark.parametrize("length", [0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_wav_written_to_a_pipe_does_not_know_its_length(length):
    content = written()
    streamed = content[:40] + length.to_bytes(4, "little") + content[44:]
    assert cut_short(io.BytesIO(streamed)) == ""
    assert len(read(streamed, 16000)) == 64000


def test_a_header_that_counts_itself_as_sound_is_forgiven():
    content = written()
    assert len(read(content[:40] + (128000 + 44).to_bytes(4, "little") + content[44:], 16000)) == 64000


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"words", b"fLaC" + bytes(99)])
def test_of_what_is_neither_wav_nor_ogg_nothing_is_said(content):
    assert cut_short(io.BytesIO(content)) == ""
