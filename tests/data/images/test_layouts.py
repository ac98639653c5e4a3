"""Captioned pictures in every layout, and what is said about rows and pictures that cannot be used."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images.layouts import junk, open_pictures, review
from pipelines.data.source import Problem, Source, with_cuts


def picture(path: Path, shade: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(np.full((12, 16, 3), shade, np.uint8)).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())  # the content decides, not the ending


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def content(source: Source, split: str) -> tuple[dict[str, list[str]], list[Problem]]:
    problems: list[Problem] = []
    examples = list(source.read(split, problems.append))
    assert all(Path(e["image"]).is_file() and e["where"] for e in examples)
    return {e["id"]: e["captions"] for e in examples}, problems


def flickr(root: Path) -> Path:
    for name in "abc":
        picture(root / "Flicker8k_Dataset" / f"{name}.jpg")
    lines = [
        "a.jpg#0\tA dog  runs .",
        "a.jpg#1\tThe dog .",
        "b.jpg#0\tOne cat .",
        "c.jpg#0\tTwo birds .",
        "d.jpg#0\tX y",
    ]
    write(root / "Flickr8k.token.txt", "\n".join(lines) + "\n")
    for name, pictures in {"train": "b.jpg\na.jpg\n", "dev": "c.jpg\n", "test": "d.jpg\ne.jpg\n"}.items():
        write(root / f"Flickr_8k.{name}Images.txt", pictures)
    return root


def test_flickr(tmp_path: Path) -> None:
    source = open_pictures(str(flickr(tmp_path)))
    assert list(source.readers) == ["train", "validation", "test"]
    train, problems = content(source, "train")
    assert train == {"b.jpg": ["One cat ."], "a.jpg": ["A dog runs .", "The dog ."]} and problems == []
    assert list(content(source, "val")[0]) == ["c.jpg"]
    test, problems = content(source, "test")
    assert test == {}
    assert [p.where.rpartition("/")[2] for p in problems] == ["Flickr8k.token.txt:5", "Flickr_8k.testImages.txt:2"]
    assert "no picture d.jpg" in problems[0].reason and "e.jpg has no caption" in problems[1].reason


def test_flickr_without_lists_is_cut_by_picture(tmp_path: Path) -> None:
    rows = [f"{i}.jpg#{j}\tpicture {i} said {j}" for j in range(3) for i in range(60)]
    for i in range(60):
        picture(tmp_path / f"{i}.jpg")
    write(tmp_path / "results.token", "\n".join(rows))
    source = with_cuts(open_pictures(str(tmp_path)), lambda e: e["id"], 0.2)
    parts = [content(source, split)[0] for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 60 == len(parts[0] | parts[1] | parts[2])
    assert all(len(captions) == 3 for part in parts for captions in part.values())


def test_bad_lines(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    lines = [
        b"a.jpg#0\tA dog.",
        b"a.jpg#1\t . ",
        b"no tab here",
        b"",
        b"a.jpg#2\tbroken \xff\xfe bytes",
        b"a.jpg#3\t42",
    ]
    (tmp_path / "x.token.txt").write_bytes(b"\n".join(lines))
    examples, problems = content(open_pictures(str(tmp_path)), "all")
    assert examples == {"a.jpg": ["A dog."]}
    assert [(p.where[-1], p.reason.split()[-1]) for p in problems] == [
        ("2", "('.')"),
        ("3", "caption"),
        ("5", "UTF-8"),
        ("6", "('42')"),
    ]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".csv.gz"])
def test_tables(tmp_path: Path, ending: str) -> None:
    rows = [("p/a.png", "a dog, running", "train"), ("p/b.png", "a cat", "test"), ("p/a.png", "a puppy", "train")]
    for name in ("a", "b"):
        picture(tmp_path / "p" / f"{name}.png")
    keys = ("image", "caption", "split")
    if ending == ".jsonl":
        text = "\n".join(json.dumps(dict(zip(keys, row, strict=True))) for row in rows)
    else:
        mark = "\t" if ending == ".tsv" else ","
        quote = '"{}"' if "csv" in ending else "{}"
        text = "\n".join(mark.join(quote.format(cell) for cell in row) for row in (keys, *rows))
    path = tmp_path / f"pairs{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith(".gz") else text.encode())
    source = open_pictures(str(path))
    assert content(source, "train") == ({"p/a.png": ["a dog, running", "a puppy"]}, [])
    assert content(open_pictures(str(tmp_path)), "test")[0] == {"p/b.png": ["a cat"]}


def test_json_lines_with_lists_and_own_columns(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    rows = [{"photo": "a.png", "words": ["one dog", "", "a dog"]}, {"photo": str(tmp_path / "a.png"), "words": "whole"}]
    path = write(tmp_path / "train.jsonl", "\n".join(map(json.dumps, rows)))
    source = open_pictures(str(path), {"image": ("photo",), "caption": ("words",)})
    examples, problems = content(source, "train")
    assert list(examples.values()) == [["one dog", "a dog"], ["whole"]]
    assert len(problems) == 1 and "no word ('')" in problems[0].reason


def test_kaggle_captions_txt(tmp_path: Path) -> None:
    picture(tmp_path / "Images" / "a.jpg")
    write(tmp_path / "captions.txt", 'image,caption\na.jpg,"A dog, wet ."\na.jpg,A dog\n')
    assert content(open_pictures(str(tmp_path)), "all")[0] == {"a.jpg": ["A dog, wet .", "A dog"]}


def coco(root: Path) -> Path:
    for split, year, names in (("train", "train2017", "ab"), ("val", "val2017", "c")):
        for name in names:
            picture(root / year / f"{name}.jpg")
        images = [{"id": i, "file_name": f"{name}.jpg"} for i, name in enumerate(names)]
        captions = [{"id": 10 + i, "image_id": i, "caption": f"thing {n}\n"} for i, n in enumerate(names)]
        extra = [{"id": 77, "image_id": 999, "caption": "lost"}, {"id": 78, "image_id": 0}]
        write(
            root / "annotations" / f"captions_{year}.json",
            json.dumps({"images": images, "annotations": captions + (extra if split == "val" else [])}),
        )
    return root


def test_coco(tmp_path: Path) -> None:
    source = open_pictures(str(coco(tmp_path)))
    assert content(source, "train") == ({"a.jpg": ["thing a"], "b.jpg": ["thing b"]}, [])
    examples, problems = content(source, "val")
    assert examples == {"c.jpg": ["thing c"]}
    assert [p.reason for p in problems] == ["there is no image with id 999", "has no caption"]
    assert "annotation 77" in problems[0].where
    alone = open_pictures(str(tmp_path / "annotations" / "captions_val2017.json"))
    assert content(alone, "validation")[0] == {"c.jpg": ["thing c"]}


def test_karpathy(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / "val2014" / f"{name}.jpg")
    images = [
        {
            "filepath": "val2014",
            "filename": f"{name}.jpg",
            "split": split,
            "sentences": [{"raw": "A dog."}, {"raw": "B."}],
        }
        for name, split in zip("abc", ("train", "restval", "test"), strict=True)
    ]
    source = open_pictures(str(write(tmp_path / "dataset_coco.json", json.dumps({"images": images}))))
    assert list(content(source, "train")[0]) == ["val2014/a.jpg", "val2014/b.jpg"]
    assert content(source, "test")[0] == {"val2014/c.jpg": ["A dog.", "B."]}


def test_wrong_requests(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        open_pictures(str(tmp_path / "gone"))
    picture(tmp_path / "only" / "a.jpg")
    with pytest.raises(ValueError, match=r"expected a \.csv.*found a\.jpg"):
        open_pictures(str(tmp_path / "only"))
    write(tmp_path / "none" / "train.csv", "image,caption\nx.jpg,a dog\n")
    with pytest.raises(ValueError, match=r"names pictures such as x\.jpg, but none is in"):
        open_pictures(str(tmp_path / "none"))
    write(tmp_path / "columns" / "train.csv", "img,caption\na.jpg,a dog\n")
    with pytest.raises(ValueError, match="no column for image"):
        open_pictures(str(tmp_path / "columns"))
    for text in ("{", "[1]", '{"images": []}', '{"images": [{"id": 1}], "info": 1}'):
        with pytest.raises(ValueError, match=r"cannot be read as JSON|is no COCO captions file"):
            open_pictures(str(write(tmp_path / "x.json", text)))


def test_fingerprint_follows_captions_and_pictures(tmp_path: Path) -> None:
    root = flickr(tmp_path)
    before = open_pictures(str(root)).fingerprint
    assert before == open_pictures(str(root)).fingerprint
    picture(root / "Flicker8k_Dataset" / "unlisted.jpg")
    assert before == open_pictures(str(root)).fingerprint
    with open(root / "Flicker8k_Dataset" / "a.jpg", "ab") as file:
        file.write(b"more")
    replaced = open_pictures(str(root)).fingerprint
    write(root / "Flickr_8k.devImages.txt", "a.jpg\n")
    assert len({before, replaced, open_pictures(str(root)).fingerprint}) == 3


def test_review(tmp_path: Path) -> None:
    picture(tmp_path / "good.txt")
    write(tmp_path / "bad.jpg", "not a picture")
    good = {"id": "good.txt", "image": str(tmp_path / "good.txt"), "captions": ["a dog runs"], "where": "t:1"}
    assert review(good) == ("", [])
    problem, notes = review(
        {**good, "id": "bad.jpg", "image": str(tmp_path / "bad.jpg"), "captions": ["dog", "bad dog"]}
    )
    assert problem == "bad.jpg is no picture, expected the bytes of a file of JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
    assert "only one word" in notes[0] and "name" in notes[1]
    assert "there is no such picture" in review({**good, "image": str(tmp_path / "gone")})[0]
    Image.new("CMYK", (40, 4)).save(tmp_path / "c.jpg")
    assert [note.split()[2] for note in review({**good, "image": str(tmp_path / "c.jpg")})[1]] == ["CMYK,", "only"]


def test_junk() -> None:
    assert list(junk(["a dog", "a cat runs"], "1.jpg")) == []
    assert "twice" in next(junk(["a dog", "A dog"], "x.jpg"))
    assert "61 words" in next(junk(["word " * 61], "x.jpg"))


def test_the_captions_of_flickr8k_are_not_their_base_forms(tmp_path: Path) -> None:
    write(flickr(tmp_path) / "Flickr8k.lemma.token.txt", "a.jpg#0\ta dog run .\nb.jpg#0\tone cat .\n")
    train, _ = content(open_pictures(str(tmp_path)), "train")
    assert train["a.jpg"] == ["A dog runs .", "The dog ."]
