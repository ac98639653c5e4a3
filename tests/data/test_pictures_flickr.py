"""Flickr30k as it is handed on."""

from pathlib import Path

import pytest
from PIL import Image

from pipelines.data.sources.pictures import COLUMNS, open_pictures
from pipelines.data.sources.source import Problem, Source

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
