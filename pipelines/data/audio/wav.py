"""WAV files decoded in graph, so that an exported model takes the bytes of a file: TensorFlow operations alone.

Understood are PCM of 8, 16, 24 and 32 bits and 32-bit float, plain or extensible, any rate and number of channels, with
any other chunks around; other encodings, and other formats such as FLAC or MP3, are named as a problem of that file.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from pipelines.data.audio.channels import mix_in_graph
from pipelines.data.audio.files import RATES

FORMAT, DATA, RIFF, WAVE = (int.from_bytes(name, "little") for name in (b"fmt ", b"data", b"RIFF", b"WAVE"))
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
NO_WAV = "not a WAV file"
CUT = "a WAV file without sound: its format or its samples are missing"
ENCODING = "not an encoding that can be read: expected PCM of 8, 16, 24 or 32 bits, or 32-bit float"
RATE = f"not a sampling rate that can be read: expected {RATES[0]} to {RATES[1]} Hz"


class Wav(NamedTuple):
    """Mono samples float32 [N], their rate in Hz int32 [], and what is wrong with it, tf.string [] ("": nothing)."""

    samples: Any
    rate: Any
    problem: Any


def decode_wav(contents: Any) -> Wav:
    """Decode the bytes of one file, a tf.string scalar; channels become one, see `mix`. A broken one has no samples."""
    data = tf.concat([tf.io.decode_raw(contents, tf.uint8), tf.zeros([64], tf.uint8)], axis=0)
    length = tf.strings.length(contents)
    layout, start, size = _chunks(data, length)
    code = _number(data, layout, 2)
    code = tf.where(code == EXTENSIBLE, _number(data, layout + 24, 2), code)
    channels, rate, bits = (_number(data, layout + at, count) for at, count in ((2, 2), (4, 4), (14, 2)))
    known = ((code == PCM) & (bits % 8 == 0) & (bits >= 8) & (bits <= 32)) | ((code == FLOAT) & (bits == 32))
    riff = (length >= 12) & (_number(data, 0, 4) == RIFF) & (_number(data, 8, 4) == WAVE)
    whole = (layout > 0) & (start > 0) & (channels > 0)
    usual = (rate >= RATES[0]) & (rate <= RATES[1])
    problem = tf.where(~riff, NO_WAV, tf.where(~whole, CUT, tf.where(~known, ENCODING, tf.where(~usual, RATE, ""))))
    fine = riff & whole & known & usual
    width, channels = tf.where(fine, bits // 8, 1), tf.where(fine, channels, 1)
    size = tf.where(fine, size // (width * channels) * width * channels, 0)
    samples = _samples(data[start : start + size], width, code == FLOAT)
    mono = mix_in_graph(tf.reshape(samples, [-1, channels]))
    return Wav(mono, tf.where(fine, rate, 1), problem)


def _number(data: Any, at: Any, count: int) -> Any:
    """Little-endian integer of `count` bytes, int32; what lies past the end or above 2^31 - 1 reads as such."""
    places = tf.clip_by_value(at + tf.range(count), 0, tf.shape(data)[0] - 1)
    value = tf.reduce_sum(
        tf.cast(tf.gather(data, places), tf.int64) * tf.constant([256**i for i in range(count)], tf.int64)
    )
    return tf.cast(tf.minimum(value, 2**31 - 1), tf.int32)


def _chunks(data: Any, length: Any) -> tuple[Any, Any, Any]:
    """Where format and samples begin (0: nowhere), and how many bytes of samples there are."""

    def unfinished(at: Any, layout: Any, start: Any, size: Any) -> Any:
        return (at + 8 <= length) & (start == 0)

    def next_chunk(at: Any, layout: Any, start: Any, size: Any) -> tuple[Any, Any, Any, Any]:
        name, promised, body = _number(data, at, 4), _number(data, at + 4, 4), at + 8
        there = tf.minimum(promised, length - body)
        layout = tf.where((name == FORMAT) & (there >= 16), body, layout)
        found = name == DATA
        return body + there + there % 2, layout, tf.where(found, body, start), tf.where(found, there, size)

    _, layout, start, size = tf.while_loop(unfinished, next_chunk, [tf.constant(12), *[tf.constant(0)] * 3])
    return layout, start, size


def _samples(data: Any, width: Any, is_float: Any) -> Any:
    """Samples in [-1, 1) from uint8 [N * width]: integers become the high bytes of 32 bits."""
    rows = tf.reshape(data, [-1, width])
    four = tf.ensure_shape(tf.pad(rows, [[0, 0], [4 - width, 0]]), [None, 4])
    integers = tf.cast(tf.bitcast(four, tf.int32), tf.float32) / 2.0**31
    small = (tf.cast(four[:, 3], tf.float32) - 128.0) / 128.0  # 8 bits are unsigned
    return tf.where(is_float, tf.bitcast(four, tf.float32), tf.where(width == 1, small, integers))


def decode_wavs(contents: Any) -> tuple[Any, Any, Any, Any]:
    """Decode files, tf.string [B].

    Returns:
        samples float32 [B, N] padded with 0, their counts and rates int32 [B], and problems tf.string [B].
    """

    def one(content: Any) -> tuple[Any, Any, Any]:
        return tuple(decode_wav(content))

    ragged = tf.RaggedTensorSpec([None], tf.float32, ragged_rank=0)
    specification = (ragged, tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.string))
    sounds, rates, problems = tf.map_fn(one, contents, fn_output_signature=specification)
    return sounds.to_tensor(), tf.cast(sounds.row_lengths(), tf.int32), rates, problems
