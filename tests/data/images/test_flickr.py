"""Flickr30k as it is handed on, and files beside the captions of Flickr8k and Flickr30k that are none."""

from pathlib import Path

import pytest
from PIL import Image

from pipelines.data.images.layouts import COLUMNS, open_pictures
from pipelines.data.source import Problem, Source

BARS = """image_name| comment_number| Comment
a.jpg| 0| Two young guys , outside .
a.jpg| 1| Two men say "hi" | "ho" .
b.jpg| 0| Several men .
b.jpg| 4   A dog runs .
"""
COMMAS = 'image_name,comment_number,comment\na.jpg,0,"Two young guys, outside ."\na.jpg,1, Two men .\nb.jpg,0,A dog .\n'
GROUPED = {"a.jpg": ["Two young guys, outside .", "Two men ."], "b.jpg": ["A dog ."]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "flickr30k_images"
    folder.mkdir()
    for shade, name in enumerate("abc"):
        Image.new("L", (9, 9), shade).save(folder / f"{name}.jpg")
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def captions(source: Source, split: str = "all") -> dict[str, list[str]]:
    problems: list[Problem] = []
    return {e["id"]: e["captions"] for e in source.read(split, problems.append)}


@pytest.mark.parametrize("whole", [True, False])
def test_results_with_bars(root: Path, whole: bool) -> None:
    path = write(root / "results.csv", BARS)
    problems: list[Problem] = []
    examples = list(open_pictures(str(root if whole else path)).read("all", problems.append))
    assert {e["id"]: e["captions"] for e in examples} == {
        "a.jpg": ["Two young guys , outside .", 'Two men say "hi" | "ho" .'],
        "b.jpg": ["Several men ."],
    }
    assert [(p.where, p.reason) for p in problems] == [(f"{path}:5", "has 2 columns, the header has 3")]


def test_bars_in_a_table_a_split(root: Path) -> None:
    write(root / "train.csv", "image|caption\na.jpg|a dog\n")
    write(root / "test.csv", "image,caption\nb.jpg,a cat\n")
    source = open_pictures(str(root))
    assert captions(source, "train") == {"a.jpg": ["a dog"]} and captions(source, "test") == {"b.jpg": ["a cat"]}
    write(root / "test.tsv", "image|caption\nb.jpg|a cat\n")
    with pytest.raises(ValueError, match=r"two files hold the same split: test\.csv, test\.tsv, train\.csv"):
        open_pictures(str(root))
    (root / "train.csv").rename(root / "only.csv")
    assert captions(open_pictures(str(root / "only.csv"))) == {"a.jpg": ["a dog"]}


@pytest.mark.parametrize("bars", [True, False])
@pytest.mark.parametrize("name", ["captions.txt", "results.csv"])
def test_own_columns(root: Path, name: str, bars: bool) -> None:
    text = "photo,said,caption\na.jpg,a dog,no\n"
    write(root / name, text.replace(",", " | ") if bars else text)
    chosen = {"image": ("photo",), "caption": ("said",)}
    assert captions(open_pictures(str(root), COLUMNS | chosen)) == {"a.jpg": ["a dog"]}
    with pytest.raises(
        ValueError, match=r":[12]: no column for image \(.*image_name\); there are: photo, said, caption"
    ):
        open_pictures(str(root))
    with pytest.raises(ValueError, match=r"no column for caption \(one of: word\)"):
        open_pictures(str(root), chosen | {"caption": ("word",)})


def test_a_column_of_splits_needs_commas(root: Path) -> None:
    write(root / "results.csv", "image|caption|split\na.jpg|a dog|train\n")
    with pytest.raises(ValueError, match=r"results\.csv:1: a table with a column split needs commas or tabs .* bars"):
        open_pictures(str(root))


@pytest.mark.parametrize("whole", [True, False])
def test_captions_txt_of_flickr30k(root: Path, whole: bool) -> None:
    path = write(root / "captions.txt", COMMAS)
    assert captions(open_pictures(str(root if whole else path))) == GROUPED
    write(root / "x.trainImages.txt", "b.jpg\n")
    source = open_pictures(str(root if whole else path))
    assert captions(source, "train") == {"b.jpg": ["A dog ."]}


def test_files_whose_names_begin_with_a_dot_are_left_out(root: Path) -> None:
    """macOS puts such a file beside each one of an archive."""
    write(root / "Flickr8k.token.txt", "a.jpg#0\tA dog .\nb.jpg#0\tA cat .\n")
    write(root / "Flickr_8k.trainImages.txt", "a.jpg\n")
    write(root / "Flickr8k.lemma.token.txt", "a.jpg#0\ta dog .\n")
    write(root / "ExpertAnnotations.txt", "a.jpg\tb.jpg#2\t1\t1\t1\n")
    write(root / "CrowdFlowerAnnotations.txt", "a.jpg\tb.jpg#2\t0\t0\t3\n")
    for name in ("Flickr8k.token.txt", "Flickr_8k.trainImages.txt", "x.token", "captions.txt", "dataset.json", "a.csv"):
        (root / f"._{name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    source = open_pictures(str(root))
    assert list(source.readers) == ["train"] and captions(source, "train") == {"a.jpg": ["A dog ."]}


@pytest.mark.parametrize(
    ("one", "two"),
    [("Flickr30k.token.txt", "Flickr8k.token.txt"), ("Flickr8k.token.txt", "captions.txt"), ("a.token.txt", "b.token")],
)
def test_two_files_of_captions_are_refused(one: str, two: str, root: Path) -> None:
    for name in (one, two):
        write(root / name, COMMAS if name == "captions.txt" else "a.jpg#0\tA dog .\n")
    with pytest.raises(ValueError, match=f"{one} and {two} both hold captions, expected one; name one of the two"):
        open_pictures(str(root))
    assert captions(open_pictures(str(root / one))) == {"a.jpg": ["A dog ."]}


def test_two_lists_of_one_split_are_refused(root: Path) -> None:
    write(root / "x.token.txt", "a.jpg#0\tA dog .\n")
    for name in ("Flickr_30k.testImages.txt", "Flickr_8k.testImages.txt"):
        write(root / name, "a.jpg\n")
    with pytest.raises(ValueError, match=r"Flickr_30k\.testImages\.txt and Flickr_8k\.testImages\.txt both list test"):
        open_pictures(str(root))
