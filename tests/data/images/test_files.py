"""Which files belong to captioned pictures: names that are none, and two files of one split."""

import json
from pathlib import Path

import pytest
from PIL import Image

from pipelines.data.images.layouts import open_pictures
from pipelines.data.source import Problem


def picture(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (9, 9)).save(folder / "0.png")


def test_the_name_of_a_picture_must_be_text(tmp_path: Path) -> None:
    picture(tmp_path)
    (tmp_path / "x.token.txt").write_bytes(b"0.png#0\ta dog\n\xff\xfe.png#0\ta cat\n")
    problems: list[Problem] = []
    examples = list(open_pictures(str(tmp_path)).read("all", problems.append))
    assert [e["id"] for e in examples] == ["0.png"]
    assert [(p.where[-1], p.reason) for p in problems] == [("2", "the name of the picture is not valid UTF-8")]


def test_captions_in_the_column_of_pictures_are_no_files(tmp_path: Path) -> None:
    """Longer ones than a name can be, too."""
    (tmp_path / "t.csv").write_text("image,caption\n" + f"{'a dog runs ' * 40},0.png\n")
    with pytest.raises(ValueError, match=r"names pictures such as a dog runs .* but none is in"):
        open_pictures(str(tmp_path))


def coco(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    annotation = {"id": 0, "image_id": 0, "caption": f"from {path.name}"}
    path.write_text(json.dumps({"images": [{"id": 0, "file_name": "0.png"}], "annotations": [annotation]}))


@pytest.mark.parametrize(
    "two", [("captions_train2014.json", "captions_train2017.json"), ("captions_a.json", "captions_b.json")]
)
def test_two_caption_files_of_one_split_are_refused(two: tuple[str, str], tmp_path: Path) -> None:
    picture(tmp_path / "images")
    for name in (*two, "captions_val2014.json"):
        coco(tmp_path / "annotations" / name)
    split = "train" if "train" in two[0] else "all"
    with pytest.raises(ValueError, match=rf"{two[0]} and {two[1]} hold the same split, {split}; name one"):
        open_pictures(str(tmp_path))
    one = open_pictures(str(tmp_path / "annotations" / two[1]))
    assert [e["captions"] for e in one.read(split)] == [[f"from {two[1]}"]]


def test_two_karpathy_files_are_refused(tmp_path: Path) -> None:
    picture(tmp_path)
    for name in ("coco", "flickr8k"):
        image = {"filename": "0.png", "split": "restval" if name == "coco" else "train", "sentences": [{"raw": name}]}
        (tmp_path / f"dataset_{name}.json").write_text(json.dumps({"images": [image]}))
    with pytest.raises(ValueError, match=r"dataset_coco\.json and dataset_flickr8k\.json hold the same split, train"):
        open_pictures(str(tmp_path))
