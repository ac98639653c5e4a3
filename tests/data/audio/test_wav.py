import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pipelines.data.audio.files import mono
from pipelines.data.audio.wav import CUT, ENCODING, NO_WAV, decode_wav, decode_wavs


def wav(samples, rate=16000, encoding="PCM_16", kind="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=encoding, format=kind)
    return file.getvalue()


def noise(count, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (count, channels)).astype(np.float32)


def chunk(name, body):
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


@pytest.mark.parametrize("encoding", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize(("channels", "kind"), [(1, "WAV"), (2, "WAV"), (6, "WAVEX")])
def test_samples_are_those_that_soundfile_reads(encoding, channels, kind):
    content = wav(noise(300, channels), 22050, encoding, kind)
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    found = decode_wav(tf.constant(content))
    assert found.problem.numpy() == b"" and int(found.rate) == rate == 22050
    np.testing.assert_allclose(found.samples, mono(samples, rate, rate), atol=1e-6)


def test_other_chunks_are_passed_over():
    plain = wav(noise(50))
    layout, data = plain[12:36], plain[36:]
    content = (
        b"RIFF\0\0\0\0WAVE"
        + chunk(b"JUNK", b"odd")
        + layout
        + chunk(b"LIST", b"12345678")
        + data
        + chunk(b"id3 ", b"x")
    )
    np.testing.assert_array_equal(decode_wav(tf.constant(content)).samples, decode_wav(tf.constant(plain)).samples)


def test_what_a_cut_file_still_holds_is_heard():
    content = wav(noise(500, 2))
    found = decode_wav(tf.constant(content[:-41]))
    np.testing.assert_array_equal(found.samples, decode_wav(tf.constant(content)).samples[:489])
    endless = content[:40] + b"\xff\xff\xff\xff" + content[44:]  # written to a pipe: the length is unknown
    assert decode_wav(tf.constant(endless)).samples.shape == (500,)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", NO_WAV),
        (b"RIFF", NO_WAV),
        (b"these are only words, no sound at all", NO_WAV),
        (wav(noise(50), kind="FLAC"), NO_WAV),
        (b"RIFF\0\0\0\0WAVE", CUT),
        (wav(noise(50))[:36], CUT),
        (wav(noise(50), encoding="ULAW"), ENCODING),
        (wav(noise(50), encoding="DOUBLE"), ENCODING),
    ],
)
def test_what_is_no_wav_is_named(content, problem):
    found = decode_wav(tf.constant(content))
    assert found.problem.numpy().decode() == problem and found.samples.shape == (0,)


def test_a_broken_file_leaves_the_others_alone():
    contents = [wav(noise(80)), b"nothing", wav(noise(200, 2, 1), 8000, "FLOAT")]
    decode = tf.function(decode_wavs, input_signature=[tf.TensorSpec([None], tf.string)])
    samples, counts, rates, problems = decode(tf.constant(contents))
    assert counts.numpy().tolist() == [80, 0, 200] and samples.shape == (3, 200)
    assert rates.numpy()[[0, 2]].tolist() == [16000, 8000]
    assert [problem.decode() for problem in problems.numpy()] == ["", NO_WAV, ""]
    for row in (0, 2):
        np.testing.assert_array_equal(samples[row, : counts[row]], decode_wav(tf.constant(contents[row])).samples)
