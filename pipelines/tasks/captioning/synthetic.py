"""Built-in scenes with five captions each, and unusual picture files for tests.

A scene is either ``count`` alike things, or two things that differ along one axis: left and right, above and below, or
small and large. Some scenes are only in one of the splits; where such a scene has two things, its mirror image is in
train. Whoever knows which words a picture calls for, but not in which order, therefore describes the mirror image.
"""

import functools
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64
SPLITS = ("train", "validation", "test")
COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 90, 200),
    "yellow": (240, 200, 30),
    "purple": (140, 60, 170),
}
SHAPES = ("circle", "square", "triangle", "star")
NUMBERS = ("one", "two", "three", "four")
AXES = ("horizontal", "vertical", "size")
KINDS = (*AXES, "count")
WORDS = {"horizontal": ("left of", "right of"), "vertical": ("above", "below"), "size": ("beside", "beside")}
RELATION = (
    "a {} {} a {}",
    "a {} is {} a {}",
    "there is a {} {} a {}",
    "the picture shows a {} {} a {}",
    "we see a {} {} a {}",
)
COUNTED = (
    "{} {}",
    "there {be} {} {}",
    "the picture shows {} {}",
    "we see {} {}",
    "{} {} on a plain ground",
)
Kind = Literal["horizontal", "vertical", "size", "count"]


class Scene(NamedTuple):
    """A drawn scene.

    Attributes:
        kind: the axis along which two things differ, or ``count``.
        first: the thing on the left, above, or the small one; for ``count`` how many, how large and what.
        second: the other thing; empty for ``count``.
    """

    kind: Kind
    first: tuple[str, ...]
    second: tuple[str, ...]


def split_of(scene: Scene) -> str:
    """Return the only split in which ``scene`` occurs, by a hash of it that knows no seed."""
    pair = sorted([scene.first, scene.second])
    digest = hashlib.sha256(repr((scene.kind, pair)).encode()).digest()
    share, side = digest[0] / 256, digest[1] % 2
    if scene.second and scene.first != pair[side]:
        return "train"  # the mirror image of what may be held out
    return "test" if share < 0.2 else "validation" if share < 0.4 else "train"


@dataclass(frozen=True)
class Sketch:
    """An example that is made when it is first looked at, and kept: its name costs nothing, its picture a millisecond.

    Attributes:
        split: see ``examples``.
        index: its number in the split.
        seed: see ``examples``.
    """

    split: str
    index: int
    seed: int

    @functools.cached_property
    def drawn(self) -> dict[str, Any]:
        """``image`` and ``captions``, see ``examples``."""
        random = np.random.default_rng([self.seed, SPLITS.index(self.split), self.index])
        scene = _scene(random)
        while split_of(scene) != self.split:
            scene = _scene(random)
        return {"image": draw(scene, random), "captions": captions(scene, random)}


def sketches(split: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Name ``count`` scenes of ``split`` without drawing them: ``id``, and a ``sketch`` for ``finished``.

    Raises:
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"the built-in scenes have no split {split!r}; they have: {', '.join(SPLITS)}")
    for i in range(count):
        yield {"id": f"{split}-{i}", "sketch": Sketch(split, i, seed)}


def finished(example: dict[str, Any]) -> dict[str, Any]:
    """Replace the sketch of an example by its drawn picture."""
    return {name: value for name, value in example.items() if name != "sketch"} | example["sketch"].drawn


def examples(split: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Draw ``count`` scenes of ``split``.

    The i-th example is a function of (split, i, seed) alone, so a longer set begins with a shorter one.

    Yields:
        ``id``, ``image`` (the bytes of a 64 x 64 PNG) and ``captions`` (five sentences).

    Raises:
        ValueError: there is no such split.
    """
    return map(finished, sketches(split, count, seed))


def _scene(random: np.random.Generator) -> Scene:
    kind: Kind = KINDS[random.integers(len(KINDS))]  # type: ignore[assignment]
    colours, shapes = list(COLOURS), SHAPES
    first = (colours[random.integers(len(colours))], shapes[random.integers(len(shapes))])
    if kind == "count":
        return Scene(kind, (NUMBERS[random.integers(4)], ("small", "large")[random.integers(2)], *first), ())
    second = first
    while second == first:
        second = (colours[random.integers(len(colours))], shapes[random.integers(len(shapes))])
    return Scene(kind, first, second)


def captions(scene: Scene, random: np.random.Generator) -> list[str]:
    """Write five different captions of ``scene``, all true; two of them name the second thing first."""
    if scene.kind == "count":
        number, *what = scene.first
        many = number != "one"
        name, be = " ".join(what) + "s" * many, "are" if many else "is"
        return [COUNTED[i].format(number, name, be=be) for i in random.permutation(5)]
    things = [" ".join(scene.first), " ".join(scene.second)]
    if scene.kind == "size":
        things = ["small " + things[0], "large " + things[1]]
    relation = WORDS[scene.kind]
    start = int(random.integers(2))
    sides = [start] * 3 + [1 - start] * 2
    forms = random.permutation(5)
    return [
        RELATION[form].format(things[side], relation[side], things[1 - side])
        for form, side in zip(forms, sides, strict=True)
    ]


def draw(scene: Scene, random: np.random.Generator) -> bytes:
    """Draw ``scene``, with places, sizes, shades and turns a little different every time; return PNG bytes."""
    ground = tuple(int(v) for v in random.integers(225, 250) + random.integers(-5, 6, 3))
    image = Image.new("RGB", (SIZE, SIZE), ground)
    pen = ImageDraw.Draw(image)
    if scene.kind == "count":
        number, size, colour, shape = scene.first
        for cell in random.permutation(9)[: NUMBERS.index(number) + 1]:
            centre = np.array([11 + 21 * (cell % 3), 11 + 21 * (cell // 3)]) + random.uniform(-1, 1, 2)
            radius = random.uniform(4.5, 5.5) if size == "small" else random.uniform(9, 10)
            _thing(pen, colour, shape, centre, radius, random)
    else:
        small_large = scene.kind == "size"
        radii = [random.uniform(5, 6.5), random.uniform(12, 14)] if small_large else random.uniform(8, 11, 2)
        along = random.uniform(14, 19), random.uniform(45, 50)
        across = random.uniform(20, 44) + random.uniform(-4, 4, 2)
        upright = scene.kind == "vertical" or (small_large and bool(random.integers(2)))
        order = random.permutation(2) if small_large else np.arange(2)
        for thing, radius, place in zip((scene.first, scene.second), radii, order, strict=True):
            centre = np.array([along[place], across[place]])
            _thing(pen, thing[0], thing[1], centre[::-1] if upright else centre, radius, random)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _thing(
    pen: ImageDraw.ImageDraw, colour: str, shape: str, centre: np.ndarray, radius: float, random: np.random.Generator
) -> None:
    shade = np.clip(np.array(COLOURS[colour]) + random.integers(-15, 16, 3), 0, 255)
    fill = (int(shade[0]), int(shade[1]), int(shade[2]))
    if shape == "circle":
        pen.ellipse([*(centre - 0.9 * radius), *(centre + 0.9 * radius)], fill=fill)
        return
    corners = {"square": 4, "triangle": 3, "star": 10}[shape]
    turn = random.uniform(-0.1, 0.1) + (np.pi / 4 if shape == "square" else -np.pi / 2)
    angles = turn + 2 * np.pi * np.arange(corners) / corners
    reach = radius * (np.where(np.arange(corners) % 2, 0.4, 1.15) if shape == "star" else 1.1)
    points = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * np.reshape(reach, (-1, 1))
    pen.polygon([(float(x), float(y)) for x, y in points], fill=fill)


def most_frequent(train: Sequence[dict[str, Any]], test: Sequence[dict[str, Any]]) -> list[str]:
    """Baseline that never looks: the commonest training caption for every picture of ``test``.

    Between captions that are equally common, as in real data, the one whose words are most common wins.
    """
    captions_ = [caption for example in train for caption in example["captions"]]
    whole, words = Counter(captions_), Counter(word for caption in captions_ for word in caption.split())

    def usual(caption: str) -> tuple[int, float, str]:
        parts = caption.split()
        return whole[caption], sum(words[w] for w in parts) / max(len(parts), 1), caption

    return [max(whole, key=usual)] * len(test)


def bag_of_attributes(train: Sequence[dict[str, Any]], test: Sequence[dict[str, Any]]) -> list[str]:
    """Baseline that knows the words of each test caption, but not their order.

    It answers with a caption of the training picture whose five captions together have the most similar bag of words
    (cosine). No model that sees attributes without their places and owners can know more.
    """
    names = sorted({word for part in (train, test) for e in part for text in e["captions"] for word in text.split()})
    column = {name: i for i, name in enumerate(names)}

    def bags(part: Sequence[dict[str, Any]]) -> np.ndarray:
        table = np.zeros((len(part), len(names)), np.float32)
        for row, example in zip(table, part, strict=True):
            for word in (word for text in example["captions"] for word in text.split()):
                row[column[word]] += 1
        return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)

    nearest = np.argmax(bags(test) @ bags(train).T, axis=1)
    return [str(train[i]["captions"][0]) for i in nearest]


def unusual_files() -> list[bytes]:
    """Return the bytes of unusual and of broken picture files.

    Of one pixel, one row, grey, 16-bit, palette, CMYK, transparent, large; empty, text, cut short, a GIF, and a PNG
    that promises a billion pixels.
    """
    rows, columns = np.mgrid[0:1:60j, 0:1:90j]
    scene = (127 + 120 * np.sin(np.stack([9 * rows, 7 * columns, 5 * rows * columns], -1))).astype(np.uint8)
    opaque = np.concatenate([scene, scene[..., :1]], axis=-1)
    jpeg, png = _file(scene, "JPEG"), _file(scene, "PNG")
    usable = [
        _file(scene[:1, :1], "PNG"),
        _file(scene[:1], "PNG"),
        _file(scene[..., 0], "JPEG"),
        _file(scene[..., 0].astype(np.uint16) * 257, "PNG"),
        _file(Image.fromarray(scene).convert("P"), "PNG"),
        _file(Image.fromarray(scene).convert("CMYK"), "JPEG"),
        _file(opaque, "PNG"),
        _file(np.tile(scene, (10, 10, 1)), "JPEG"),
    ]
    enormous = png[:16] + (40000).to_bytes(4, "big") * 2 + png[24:]
    return [*usable, b"", b"a dog runs", jpeg[: len(jpeg) // 2], png[:-30], _file(scene, "GIF"), enormous]


def _file(picture: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, kind)
    return buffer.getvalue()
