"""Pictures that Pillow decodes outside the graph: each as the graph would see it as PNG, in one place for all tasks."""

import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.data.images import files
from pipelines.data.images.files import inspect, pictures_in, pixels_digest, read
from pipelines.data.images.pixels import OK, UNREADABLE, decode


def scene(height: int = 24, width: int = 36) -> np.ndarray[Any, Any]:
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return (127 + 120 * np.sin(np.stack([9 * rows, 7 * columns, 5 * rows * columns], -1))).astype(np.uint8)


def packed(picture: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, kind, **options)
    return buffer.getvalue()


def seen(content: bytes) -> np.ndarray[Any, Any]:
    """Pixels [24, 24, 3] as the graph gives them."""
    pixels, status = decode(tf.constant([read(content)]), 24)
    assert status.numpy().tolist() == [OK]
    return pixels.numpy()[0].astype(int)  # type: ignore[no-any-return]


LOSSLESS = {
    "webp": packed(scene(), "WEBP", lossless=True),
    "bmp": packed(scene(), "BMP"),
    "tiff": packed(scene(), "TIFF"),
    "tiff, packed": packed(scene(), "TIFF", compression="tiff_lzw"),
}
LOSSY = {"webp": packed(scene(), "WEBP", quality=95), "avif": packed(scene(), "AVIF", quality=95)}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_are_seen_as_png_is(name: str) -> None:
    assert inspect(LOSSLESS[name]).problem == ""
    np.testing.assert_array_equal(seen(LOSSLESS[name]), seen(packed(scene(), "PNG")))
    assert pixels_digest(LOSSLESS[name]) == pixels_digest(packed(scene(), "PNG"))


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_are_seen_nearly_so(name: str) -> None:
    assert inspect(LOSSY[name]).problem == ""
    assert np.abs(seen(LOSSY[name]) - seen(packed(scene(), "PNG"))).mean() < 4


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "AVIF"])
def test_the_first_of_several_pictures_is_seen(kind: str) -> None:
    frames = [Image.fromarray(np.full((24, 24, 3), level, np.uint8)) for level in (200, 90, 10)]
    content = packed(frames[0], kind, save_all=True, append_images=frames[1:])
    assert abs(seen(content).mean() - 200) < 3
    assert inspect(content).notes == ("holds 3 pictures, only the first is seen",)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "AVIF"])
def test_transparency_is_laid_over_white(kind: str) -> None:
    clear = Image.fromarray(np.dstack([np.zeros((24, 24, 3), np.uint8), np.zeros((24, 24), np.uint8)]))
    assert seen(packed(clear, kind)).min() >= 250


def test_grey_of_16_bits_and_palettes_and_cmyk() -> None:
    grey = scene()[..., 0]
    wide = seen(packed(Image.fromarray(grey.astype(np.uint16) * 257), "TIFF"))
    np.testing.assert_array_equal(wide, seen(packed(grey, "PNG")))
    assert (
        np.abs(seen(packed(Image.fromarray(scene()).convert("CMYK"), "TIFF")) - seen(packed(scene(), "PNG"))).max() < 4
    )
    palette = Image.fromarray(scene()).convert("P")
    np.testing.assert_array_equal(seen(packed(palette, "BMP")), seen(packed(palette, "PNG")))


@pytest.mark.parametrize("kind", ["WEBP", "TIFF"])
def test_turned_pictures_are_upright(kind: str) -> None:
    turned = Image.fromarray(np.rot90(scene(), 1))
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.abs(seen(packed(turned, kind, exif=exif, **options)) - seen(packed(scene(), "PNG"))).max() <= 1


BAD = {
    "floating point": (packed(Image.fromarray(scene()[..., 0].astype(np.float32)), "TIFF"), "32 bits a pixel"),
    "cut webp": (LOSSLESS["webp"][:60], "is damaged|is no picture"),
    "cut gif": (packed(scene(), "GIF")[:1200], "is damaged"),
    "cut tiff": (LOSSLESS["tiff"][:300], "is damaged|is no picture"),
    "cut avif": (LOSSY["avif"][:200], "is damaged|is no picture"),
    "icon": (packed(scene(), "ICO"), "is a ICO picture, expected JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_decoded_is_named_and_harms_no_other(name: str) -> None:
    content, words = BAD[name]
    assert re.search(words, inspect(content).problem)
    good = read(LOSSLESS["webp"])
    _, status = decode(tf.constant([good, read(content), good]), 24)
    assert status.numpy().tolist() == [OK, UNREADABLE, OK]


def test_a_picture_of_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_first", lambda picture: pytest.fail("was decoded"))
    for kind in ("WEBP", "GIF", "BMP", "TIFF", "AVIF", "PNG"):
        problem = inspect(packed(scene(), kind), max_pixels=800).problem
        assert problem == (
            "has 36 x 24 pixels, more than 800 are refused; shrink it, for example: magick IN.jpg -resize 1x1 OUT.jpg"
        )
    assert "magick IN.jpg -resize 4400x4400 OUT.jpg" in files._too_many(40_000_000)
    large = packed(Image.new("1", (8000, 8000)), "GIF")
    assert read(large) == large


def special(folder: Path) -> dict[str, str]:
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "gone.webp").symlink_to("nowhere")
    return {
        "pipe.jpg": "expected a file, found a pipe",
        "zero.png": "expected a file, found a device",
        "gone.webp": "is a link to nowhere, which is not there",
    }


def test_only_regular_files_are_pictures(tmp_path: Path) -> None:
    for name, words in special(tmp_path).items():
        with pytest.raises(ValueError, match=f"{name}: {words}"):
            read(tmp_path / name)


def test_a_folder_stands_for_all_its_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for ending, kind in (("webp", "WEBP"), ("gif", "GIF"), ("bmp", "BMP"), ("tif", "TIFF"), ("avif", "AVIF")):
        (tmp_path / f"a.{ending}").write_bytes(packed(scene(), kind))
    for number, kind in enumerate(("WEBP", "GIF", "TIFF", "AVIF", "PNG")):
        (tmp_path / f"without ending {number}").write_bytes(packed(scene(), kind))
    special(tmp_path)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "deeper").mkdir()
    names = [Path(found).name for found in pictures_in(tmp_path)]
    assert names == sorted(
        ["a.webp", "a.gif", "a.bmp", "a.tif", "a.avif", "gone.webp", "pipe.jpg", "zero.png"]
        + [f"without ending {number}" for number in range(5)]
    )
    told = capsys.readouterr().err
    assert f"{tmp_path}: 4 files passed over (a.heic, deeper/, notes.txt, pipe); expected JPEG, PNG, WebP" in told
