"""Pictures in graph, against Pillow: formats, sizes, damage, and one bad file among good ones."""

import functools
import io
import struct
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from pipelines.data.images import pixels as images
from pipelines.data.images.files import inspect, read
from pipelines.data.images.pixels import MAX_PIXELS, OK, TOO_LARGE, UNREADABLE, decode


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours with a dark corner, so that turned and mirrored pictures differ."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    phase = np.random.default_rng(seed).uniform(0, 3, 3)
    picture = 127 + 100 * np.sin(3 * rows[..., None] + 5 * columns[..., None] + phase)
    picture[: height // 3, : width // 4] = 10
    return picture.astype(np.uint8)


def file(pixels: np.ndarray, kind: str = "PNG", mode: str | None = None, **options: object) -> bytes:
    picture, buffer = Image.fromarray(pixels), io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, kind, **options)
    return buffer.getvalue()


def png_file(height: int, width: int, depth: int, kind: int, data: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    body = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


ENORMOUS = png_file(100_000, 100_000, 8, 2, b"")  # a header that promises pixels, and none


def by_pillow(content: bytes, size: int) -> np.ndarray:
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR), np.float32)


@functools.cache
def traced(size: int, max_pixels: int) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    return tf.function(lambda c: decode(c, size, max_pixels), input_signature=[tf.TensorSpec([None], tf.string)])


def decoded(contents: list[bytes], size: int = 32, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, np.ndarray]:
    pixels, status = traced(size, max_pixels)(tf.constant(contents, tf.string, [len(contents)]))
    assert pixels.dtype == tf.uint8 and status.dtype == tf.int32
    return pixels.numpy(), status.numpy()


TRANSPARENT = np.concatenate([scene(40, 50), np.full((40, 50, 1), 90, np.uint8)], axis=-1)
GOOD = {
    "png": file(scene(50, 80)),
    "jpeg": file(scene(80, 50), "JPEG", quality=95),
    "progressive": file(scene(64, 64), "JPEG", quality=95, progressive=True),
    "grey jpeg": file(scene(40, 40), "JPEG", "L", quality=95),
    "grey png": file(scene(40, 40), "PNG", "L"),
    "palette": file(scene(40, 60), "PNG", "P"),
    "bits": file(scene(40, 60), "PNG", "1"),
    "cmyk": file(scene(48, 48), "JPEG", "CMYK", quality=95),
    "transparent": file(TRANSPARENT),
    "grey with alpha": file(TRANSPARENT, "PNG", "LA"),
    "large": file(scene(700, 500), "JPEG", quality=95),
    "one pixel": file(scene(1, 1)),
    "one row": file(scene(1, 300)),
    "size wanted": file(scene(32, 32)),
}


@pytest.mark.parametrize("name", GOOD)
def test_equals_pillow(name: str) -> None:
    (pixels,), (status,) = decoded([GOOD[name]])
    assert status == OK
    assert np.abs(pixels - by_pillow(GOOD[name], 32)).max() <= 3
    assert inspect(GOOD[name]).problem == ""


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_low_depth_greys(depth: int) -> None:
    """Written by hand, because Pillow writes no greys of 2 or 4 bits."""
    levels = np.arange(8 * 8).reshape(8, 8) % 2**depth
    rows = ["".join(f"{level:0{depth}b}" for level in row) for row in levels]
    data = b"".join(b"\0" + int(row, 2).to_bytes(depth, "big") for row in rows)
    (pixels,), (status,) = decoded([png_file(8, 8, depth, 0, data)], 8)
    assert status == OK
    np.testing.assert_array_equal(pixels[..., 0], levels * (255 // (2**depth - 1)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("endian", ["<", ">"])
def test_exif_orientation(orientation: int, endian: str) -> None:
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "maker"
    exif[0x0112] = orientation
    content = file(scene(40, 60), "JPEG", quality=95, exif=exif.tobytes())
    (pixels,), _ = decoded([content])
    assert np.abs(pixels - by_pillow(content, 32)).max() <= 4
    assert bool(inspect(content).notes) == (orientation > 1)


def sixteen_bits() -> bytes:
    return file((scene(40, 40)[..., 0].astype(np.uint16) * 257).astype(np.uint16))


def test_sixteen_bits() -> None:
    (pixels,), (status,) = decoded([sixteen_bits()], 40)
    assert status == OK
    assert np.abs(pixels[..., 1].astype(float) - scene(40, 40)[..., 0]).max() <= 1
    assert "16 bits" in inspect(sixteen_bits()).notes[0]


def animated(kind: str) -> bytes:
    frames, buffer = [Image.fromarray(scene(30, 30, seed)) for seed in range(3)], io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


BAD = {
    "nothing": (b"", UNREADABLE, "0 bytes"),
    "text": (b"a dog runs", UNREADABLE, "no picture"),
    "jpeg cut short": (GOOD["jpeg"][: len(GOOD["jpeg"]) // 2], UNREADABLE, "cut short"),
    "jpeg header only": (GOOD["jpeg"][:20], UNREADABLE, "picture"),
    "png cut short": (GOOD["png"][:-40], UNREADABLE, "cut short"),
    "png signature only": (GOOD["png"][:8], UNREADABLE, "picture"),
    "png flipped bytes": (GOOD["png"][:60] + b"\0\0\0\0" + GOOD["png"][64:], UNREADABLE, "damaged"),
    "ppm": (file(scene(9, 9), "PPM"), UNREADABLE, "is a PPM picture"),
    "gif, which Pillow alone decodes": (animated("GIF"), UNREADABLE, ""),
    "bmp, which Pillow alone decodes": (file(scene(9, 9), "BMP"), UNREADABLE, ""),
    "enormous": (ENORMOUS, TOO_LARGE, "refused"),
}


def test_bad_pictures_harm_no_other() -> None:
    contents = [GOOD["png"]]
    for content, _, _ in BAD.values():
        contents += [content, GOOD["jpeg"]]
    pixels, status = decoded(contents)
    assert status[1::2].tolist() == [expected for _, expected, _ in BAD.values()]
    assert status[::2].tolist() == [OK] * (len(BAD) + 1)
    assert not pixels[1::2].any()
    np.testing.assert_array_equal(pixels[0], decoded([GOOD["png"]])[0][0])
    np.testing.assert_array_equal(pixels[2::2], np.repeat(decoded([GOOD["jpeg"]])[0], len(BAD), 0))


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_are_named(name: str) -> None:
    content, _, words = BAD[name]
    assert words in inspect(content).problem and bool(words) == bool(inspect(content).problem)


def test_notes() -> None:
    assert inspect(animated("PNG")).notes == ("is animated, only its still picture is seen",)
    (pixels,), (status,) = decoded([animated("PNG")])
    assert status == OK and np.abs(pixels - by_pillow(animated("PNG"), 32)).max() <= 3
    assert "CMYK" in inspect(GOOD["cmyk"]).notes[0]
    assert "1 x 1" in inspect(GOOD["one pixel"]).notes[0]
    assert "over white" in inspect(GOOD["transparent"]).notes[0]
    assert inspect(GOOD["jpeg"]).notes == ()


def test_limit_is_on_pixels_and_inclusive() -> None:
    content = file(scene(20, 30))
    assert decoded([content], max_pixels=600)[1] == [OK] and inspect(content, max_pixels=600).problem == ""
    assert decoded([content], max_pixels=599)[1] == [TOO_LARGE] and "20" in inspect(content, max_pixels=599).problem
    large = GOOD["jpeg"]
    assert decoded([large], max_pixels=3999)[1] == [TOO_LARGE]


def test_large_and_small_ones_keep_their_places() -> None:
    sizes = [(20, 30), (40, 60), (30, 80), (10, 10), (41, 60)]
    good = [file(scene(*size)) for size in sizes]
    contents = [good[0], b"a dog runs", good[1], good[2][:-40], good[3], good[4], good[2]]
    pixels, status = decoded(contents, max_pixels=2400)
    assert status.tolist() == [OK, UNREADABLE, OK, UNREADABLE, OK, TOO_LARGE, OK]
    for place in (0, 2, 4, 6):
        assert np.abs(pixels[place] - by_pillow(contents[place], 32)).max() <= 3


def test_what_is_decoded_at_once_has_no_more_pixels_together_than_one_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, now, most = threading.Lock(), [], [(0, 0)]

    def busy(content: bytes) -> np.ndarray:
        width, height = Image.open(io.BytesIO(content)).size
        with lock:
            now.append(width * height)
            most.append((sum(now), len(now)))
        time.sleep(0.05)
        with lock:
            now.remove(width * height)
        return np.int32(OK)

    def slow(content: tf.Tensor, *settings: Any) -> tuple[tf.Tensor, tf.Tensor]:
        done = tf.ensure_shape(tf.numpy_function(busy, [content], tf.int32), [])
        return done, tf.zeros([8, 8, 3], tf.uint8)

    monkeypatch.setattr(images, "_decode_one", slow)
    contents = [file(scene(20, 30)), file(scene(10, 15))] * 6
    assert images.decode(tf.constant(contents), 8, 600)[1].numpy().tolist() == [OK] * 12
    assert max(pixels for pixels, _ in most) <= 600
    assert max(count for _, count in most) > 1, "small ones are decoded together"


def test_no_pictures_and_only_bad_ones() -> None:
    assert decoded([])[0].shape == (0, 32, 32, 3)
    assert decoded([b"x", b""])[1].tolist() == [UNREADABLE] * 2


class Export(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return decode(contents, 24)


def test_eager_mapped_and_exported_agree(tmp_path: Path) -> None:
    contents = tf.constant([GOOD["jpeg"], b"bad", GOOD["cmyk"], GOOD["transparent"]])
    eager = decode(contents, 24)
    mapped = next(iter(tf.data.Dataset.from_tensors(contents).map(lambda c: decode(c, 24))))
    tf.saved_model.save(Export(), str(tmp_path))
    exported = tf.saved_model.load(str(tmp_path))(contents)
    for other in (mapped, exported):
        for ours, theirs in zip(eager, other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"  # the name says nothing
    path.write_bytes(GOOD["jpeg"])
    assert read(str(path)) == read(path) == read(GOOD["jpeg"]) == GOOD["jpeg"]
    with pytest.raises(ValueError, match=r"gone\.jpg: there is no such picture"):
        read(tmp_path / "gone.jpg")
    with pytest.raises(ValueError, match="found a folder"):
        read(tmp_path)
