"""Pictures in graph: the bytes of JPEG and PNG files -> pixels of one size, the same code in training and export.

A file that cannot be decoded must not fail the batch it came with. TensorFlow's decoders raise, so they run inside a
tf.data map whose errors are ignored; what did not arrive is reported as a status. All of it is ordinary TensorFlow
and travels in a SavedModel.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

OK, UNREADABLE, TOO_LARGE = 0, 1, 2
STATUS_NAMES = ("ok", "unreadable", "too large")
MAX_PIXELS = 40_000_000
"""Larger pictures are refused by their header, and pictures that are decoded at the same time have no more together: as
one picture that takes 0.3 GB for a moment, as a transparent PNG 0.9 GB."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_AT_ONCE = 4  # pictures decoded at the same time; one of more than their share of the pixels is decoded alone
_EXIF_BYTES = 4096
# The orientation entry of an EXIF directory up to its value: tag 0x0112, type 3 (short), count 1, in both byte orders.
_ORIENTATION = (b"\x01\x12\x00\x03\x00\x00\x00\x01\x00", b"\x12\x01\x03\x00\x01\x00\x00\x00")


@functools.cache
def decoder(size: int) -> Callable[[Any], tuple[Any, Any]]:
    """Return `decode` for one size, tf.string [B] in, as a function that is traced once, for calls outside a graph."""
    function: Callable[[Any], tuple[Any, Any]] = tf.function(
        lambda contents: decode(contents, size), input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
    )
    return function


def decode(contents: Any, size: int, max_pixels: int = MAX_PIXELS) -> tuple[Any, Any]:
    """Decode pictures and stretch each to a square.

    Grey, palette, 16-bit, CMYK and transparent pictures become RGB (transparency over white), of an animated PNG the
    still picture is taken, and a JPEG is turned upright as its EXIF orientation says. Shrinking averages over the
    covered area (bilinear with anti-aliasing).

    Args:
        contents: tf.string [B], the bytes of JPEG or PNG files; B may be 0.
        size: height and width of the result, in pixels.
        max_pixels: height times width from which a picture is refused before it is decoded; those that are decoded at
            the same time have no more together.

    Returns:
        pixels uint8 [B, size, size, 3], zeros where the status is not OK; status int32 [B]: ``OK``, ``UNREADABLE``
        (damaged, cut short, or neither JPEG nor PNG) or ``TOO_LARGE``.
    """
    count, plain = tf.size(contents), tf.autograph.experimental.do_not_convert

    @plain
    def one(number: Any, content: Any, shown: Any) -> tuple[Any, Any, Any]:
        return number, *_decode_one(content, shown, size, max_pixels)

    def some(large: bool, at_once: int) -> Any:
        # Chosen by their headers, because only what is decoded takes the memory.
        chosen = headed.filter(plain(lambda number, content, shown: (shown > max_pixels // _AT_ONCE) == large))
        return chosen.map(one, num_parallel_calls=at_once).ignore_errors()

    files = tf.data.Dataset.from_tensor_slices((tf.range(count), contents))
    headed = files.map(plain(lambda number, content: (number, content, _pixels_in(content)))).ignore_errors()
    pictures = some(large=False, at_once=_AT_ONCE).concatenate(some(large=True, at_once=1))
    # One more, never used, because a dataset that yields nothing has no single element.
    last = tf.data.Dataset.from_tensors((count, OK, tf.zeros([size, size, 3], tf.uint8)))
    batch = pictures.concatenate(last).batch(tf.cast(count, tf.int64) + 1)
    numbers, found, pixels = batch.get_single_element()
    where = numbers[:, None]
    status = tf.tensor_scatter_nd_update(tf.fill([count + 1], UNREADABLE), where, found)
    return tf.scatter_nd(where, pixels, [count + 1, size, size, 3])[:count], status[:count]


def _pixels_in(content: Any) -> Any:
    """Height times width by the header of one picture, int64; raises inside the graph what `decode` ignores."""
    png = tf.strings.substr(content, 0, len(_PNG)) == _PNG
    jpeg = tf.strings.substr(content, 0, len(_JPEG)) == _JPEG
    with tf.control_dependencies([tf.debugging.Assert(png | jpeg, ["neither JPEG nor PNG"])]):
        height, width = tf.cond(png, lambda: _png_shape(content), lambda: _jpeg_shape(content))
    return height * width


def _decode_one(content: Any, shown: Any, size: int, max_pixels: int) -> tuple[Any, Any]:
    """Status and uint8 pixels [size, size, 3] of one picture of `shown` pixels; raises as `_pixels_in` does."""
    png, fits = tf.strings.substr(content, 0, len(_PNG)) == _PNG, shown <= max_pixels

    def decoded() -> Any:
        square = tf.cond(png, lambda: _png(content, size), lambda: _shrunk(_jpeg(content), size))
        return tf.saturate_cast(tf.round(_upright(square, tf.where(png, 1, _orientation(content)))), tf.uint8)

    pixels = tf.cond(fits, decoded, lambda: tf.zeros([size, size, 3], tf.uint8))
    return tf.where(fits, OK, TOO_LARGE), tf.ensure_shape(pixels, [size, size, 3])


def _png_shape(content: Any) -> tuple[Any, Any]:
    width_height = tf.io.decode_raw(tf.strings.substr(content, 16, 8), tf.int32, little_endian=False)
    return tf.cast(width_height[1], tf.int64), tf.cast(width_height[0], tf.int64)


def _jpeg_shape(content: Any) -> tuple[Any, Any]:
    shape = tf.image.extract_jpeg_shape(content, tf.int64)
    return shape[0], shape[1]


def _png(content: Any, size: int) -> Any:
    """Pixels float32 [size, size, 3], transparent ones over white.

    Shrinking begins from the bytes of an opaque picture, and from one colour after the other of a transparent one: as
    numbers of 32 bits all of it would take 36 bytes a pixel.
    """
    pixels = tf.io.decode_png(content, channels=4)
    depth_and_kind = tf.io.decode_raw(tf.strings.substr(content, 24, 2), tf.uint8)
    # For grey pictures of 1, 2 or 4 bits the decoder fills opacity with the largest value of as many bits, not 255.
    few_greys = (depth_and_kind[0] < 8) & (depth_and_kind[1] == 0)
    opaque = few_greys | tf.reduce_all(pixels[:, :, 3] == 255)
    return tf.cond(opaque, lambda: _shrunk(pixels[:, :, :3], size), lambda: _over_white(pixels, size))


def _over_white(pixels: Any, size: int) -> Any:
    """Shrink uint8 pixels [H, W, 4] with their opacity to float32 [size, size, 3]."""
    opacity = tf.cast(pixels[:, :, 3:], tf.float32) / 255.0
    white = 255.0 * (1.0 - opacity)
    colours: list[Any] = []
    for colour in range(3):
        with tf.control_dependencies(colours[-1:]):
            laid = tf.cast(pixels[:, :, colour : colour + 1], tf.float32) * opacity + white
        colours.append(_shrunk(laid, size))
    return tf.concat(colours, axis=-1)


def _shrunk(pixels: Any, size: int) -> Any:
    """Shrink pixels [H, W, C], uint8 or float32, to float32 [size, size, C]; the numbers do not depend on the type."""
    return tf.cast(tf.image.resize(pixels, [size, size], antialias=True), tf.float32)


def _jpeg(content: Any) -> Any:
    """Pixels uint8 [H, W, 3]."""
    return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")


def _orientation(content: Any) -> Any:
    """The EXIF orientation of a JPEG, 1 to 8 (1: upright, also where there is none), as a scalar int32."""
    head = tf.io.decode_raw(tf.strings.substr(content, 0, _EXIF_BYTES), tf.uint8)
    orientation = tf.constant(1)
    for mark in _ORIENTATION:
        places = tf.size(head) - len(mark)
        hits = tf.ones([tf.maximum(places, 0)], tf.bool)
        for offset, byte in enumerate(mark):
            hits &= head[offset : offset + places] == byte
        found = tf.cast(head[tf.argmax(hits) + len(mark)], tf.int32)
        orientation = tf.where(tf.reduce_any(hits) & (found >= 1) & (found <= 8), found, orientation)
    has_exif = tf.strings.regex_full_match(tf.strings.substr(content, 0, 64), r"(?s)\C*Exif\x00\x00\C*")
    return tf.where(has_exif, orientation, 1)


def _upright(square: Any, orientation: Any) -> Any:
    """Turn and mirror a square picture [S, S, 3] as its EXIF orientation says (EXIF 2.3, tag 0x0112)."""
    square = tf.cond(orientation >= 5, lambda: tf.transpose(square, [1, 0, 2]), lambda: square)
    across = tf.reduce_any(orientation == tf.constant([2, 3, 6, 7]))
    square = tf.cond(across, lambda: square[:, ::-1], lambda: square)
    down = tf.reduce_any(orientation == tf.constant([3, 4, 7, 8]))
    return tf.cond(down, lambda: square[::-1], lambda: square)
