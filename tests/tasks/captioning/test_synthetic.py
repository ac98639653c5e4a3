"""The built-in scenes: what is drawn is what is said, splits share no scene, and cheap guesses fail."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

from pipelines.metrics.captions import scorer
from pipelines.tasks.captioning.synthetic import (
    COLOURS,
    KINDS,
    NUMBERS,
    SHAPES,
    SIZE,
    SPLITS,
    Scene,
    bag_of_attributes,
    captions,
    draw,
    examples,
    most_frequent,
    split_of,
)

THINGS = list(itertools.product(COLOURS, SHAPES))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)), np.float32)


def centre(picture: np.ndarray, colour: str) -> np.ndarray:
    """Mean place (row, column) of the pixels nearest to a colour."""
    return np.argwhere(mask(picture, colour)).mean(0)


def mask(picture: np.ndarray, colour: str) -> np.ndarray:
    """Where the pixels nearest to a colour are."""
    return np.abs(picture - np.array(COLOURS[colour], np.float32)).sum(-1) < 60


def shape_of(there: np.ndarray) -> str:
    """Tell a shape by how far it reaches for its area (a disc: 1), and by how much of its box it fills."""
    places = np.argwhere(there)
    reach = np.linalg.norm(places - places.mean(0), axis=1).max() / np.sqrt(len(places) / np.pi)
    if reach < 1.4:  # by the definitions 1, 1.25, 1.56 and 1.75
        return "circle" if reach < 1.13 else "square"
    return "triangle" if len(places) / np.prod(np.ptp(places, axis=0) + 1) > 0.39 else "star"


def parsed(caption: str) -> Scene:
    """Read a scene back from any of its captions: an independent inverse of the templates."""
    words = [w.rstrip("s") if w.rstrip("s") in SHAPES else w for w in caption.split()]
    number = next((w for w in words if w in NUMBERS), None)
    found = [
        ((words[i - 2],) if words[i - 2] in ("small", "large") else ()) + (words[i - 1], words[i])
        for i in range(len(words))
        if words[i] in SHAPES
    ]
    if number:
        return Scene("count", (number, *found[0]), ())
    word = next(w for w in words if w in ("left", "right", "above", "below", "beside"))
    kind = {"left": "horizontal", "right": "horizontal", "above": "vertical", "below": "vertical"}.get(word, "size")
    swap = word in ("right", "below") or found[0][0] == "large"
    first, second = (thing[-2:] for thing in (reversed(found) if swap else found))
    return Scene(kind, first, second)


def test_captions_agree_and_give_the_split_away() -> None:
    for split in SPLITS:
        for example in examples(split, 150, 3):
            scenes = {parsed(caption) for caption in example["captions"]}
            assert len(scenes) == 1 and len(set(example["captions"])) == 5
            assert split_of(scenes.pop()) == split


def test_pictures_show_what_captions_say() -> None:
    seen = []
    for example in examples("train", 300, 1):
        scene, picture = parsed(example["captions"][0]), pixels(example["image"])
        assert picture.shape == (SIZE, SIZE, 3)
        if scene.kind == "count":
            assert counted(picture, scene.first)
        elif scene.first[0] == scene.second[0]:
            continue
        elif scene.kind == "size":
            small, large = (mask(picture, colour).sum() for colour, _ in (scene.first, scene.second))
            assert 2 * small < large
        else:
            axis = 1 if scene.kind == "horizontal" else 0
            assert centre(picture, scene.first[0])[axis] < centre(picture, scene.second[0])[axis]
            for colour, shape in (scene.first, scene.second):
                assert shape_of(mask(picture, colour)) == shape
        seen.append(scene.kind)
    assert min(seen.count(kind) for kind in KINDS) > 40


def counted(picture: np.ndarray, first: tuple[str, ...]) -> bool:
    """Whether there are so many things, so large; small ones never touch."""
    number, size, colour, shape = first
    there = mask(picture, colour)
    each = there.sum() / (NUMBERS.index(number) + 1)
    apart = size == "large" or label(there, np.ones((3, 3)))[1] == NUMBERS.index(number) + 1
    alike = number != "one" or size == "small" or shape_of(there) == shape
    return apart and alike and (20 < each < 90 if size == "small" else 100 < each < 280)


@pytest.mark.parametrize("size", ["small", "large"])
def test_counted_things_are_there_and_apart(size: str) -> None:
    random = np.random.default_rng(0)
    areas = []
    for number in NUMBERS:
        picture = pixels(draw(Scene("count", (number, size, "red", "circle"), ()), random))
        areas.append((np.abs(picture - np.array(COLOURS["red"])).sum(-1) < 60).sum())
    ratios = np.array(areas) / np.arange(1, 5)
    assert ratios.max() < 1.35 * ratios.min()


def test_every_held_out_pair_has_its_mirror_in_train() -> None:
    held = 0
    for kind in ("horizontal", "vertical", "size"):
        for first, second in itertools.permutations(THINGS, 2):
            if split_of(Scene(kind, first, second)) != "train":
                held += 1
                assert split_of(Scene(kind, second, first)) == "train"
    assert 150 < held < 300  # of 1,140 scenes


def test_every_word_and_thing_is_in_train() -> None:
    train = [caption for e in examples("train", 1500, 0) for caption in e["captions"]]
    words = {w for caption in train for w in caption.split()}
    assert {w for s in SPLITS for e in examples(s, 200, 9) for c in e["captions"] for w in c.split()} <= words
    text = " | ".join(train)
    assert all(f"{colour} {shape}" in text for colour, shape in THINGS)


def test_deterministic_and_prefix_stable() -> None:
    short, long = list(examples("test", 5, 7)), list(examples("test", 9, 7))
    assert short == long[:5]
    assert short != list(examples("test", 5, 8))
    assert [e["id"] for e in short] == [f"test-{i}" for i in range(5)]
    with pytest.raises(ValueError, match="no split 'dev'"):
        next(examples("dev", 1, 0))


def test_singular_and_plural() -> None:
    random = np.random.default_rng(0)
    one = captions(Scene("count", ("one", "small", "red", "star"), ()), random)
    many = captions(Scene("count", ("three", "small", "red", "star"), ()), random)
    assert "there is one small red star" in one and "there are three small red stars" in many


def test_guessing_and_a_bag_of_words_lose() -> None:
    train, test = list(examples("train", 1500, 0)), list(examples("test", 200, 0))
    truth = [e["captions"] for e in test]
    everything = np.arange(len(test))
    plainest = [min(e["captions"], key=lambda c: len(c.split())) for e in test]
    ideal = scorer(plainest, truth)(everything)["bleu4"]
    usual = scorer(most_frequent(train, test), truth)(everything)["bleu4"]
    bag_answers = bag_of_attributes(train, test)
    bag = scorer(bag_answers, truth)(everything)["bleu4"]
    assert ideal > 99 and bag < 70 and usual < 25
    right = np.mean([parsed(a) == parsed(t[0]) for a, t in zip(bag_answers, truth, strict=True)])
    assert right == 0  # none of the test scenes is in train
