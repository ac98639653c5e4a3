"""Where pictures are looked for, and which one a name means that several folders have."""

from pathlib import Path

import pytest
from PIL import Image

from pipelines.data.images.find import split_of
from pipelines.data.images.layouts import open_pictures
from pipelines.data.source import Problem


def picture(path: Path, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (9, 9), shade).save(path)
    return path


def table(path: Path, *names: str, splits: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    split = [f",{split}" for split in splits.split()] or [""] * len(names)
    rows = [f"{name},a caption{own}\n" for name, own in zip(names, split, strict=True)]
    path.write_text(f"image,caption{',split' * bool(splits)}\n" + "".join(rows))
    return path


def found(spec: Path, split: str, under: Path) -> list[str]:
    examples = open_pictures(str(spec)).read(split)
    return [Path(e["image"]).resolve().relative_to(under.resolve()).as_posix() for e in examples]


def numbered(root: Path, *folders: str, count: int = 2) -> list[str]:
    names = [f"{i}.png" for i in range(count)]
    for shade, folder in enumerate(folders):
        for name in names:
            picture(root / folder / name, 50 * shade)
    return names


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("train2017", "test2017"), ("images/train", "images/test"), ("trainImages", "testing/images")],
)
def test_numbering_that_begins_anew_in_each_folder(train: str, test: str, tmp_path: Path) -> None:
    names = numbered(tmp_path, train, test)
    for split in ("train", "test"):
        table(tmp_path / f"{split}.csv", *names)
    assert found(tmp_path, "train", tmp_path) == [f"{train}/{name}" for name in names]
    assert found(tmp_path, "test", tmp_path) == [f"{test}/{name}" for name in names]


def test_splits_of_a_column_and_folders_beside_the_table(tmp_path: Path) -> None:
    numbered(tmp_path, "Train", "val", "cats")
    path = table(tmp_path / "annotations" / "pairs.csv", *["0.png"] * 2, "1.png", splits="train validation cats")
    source = open_pictures(str(path))
    opened = {split: Path(e["image"]).parent.name for split in source.readers for e in source.read(split)}
    assert opened == {"train": "Train", "validation": "val", "cats": "cats"}


def test_earlier_look_ups_do_not_matter(tmp_path: Path) -> None:
    names = numbered(tmp_path, "train", "test", count=3)
    for split in ("train", "test"):
        table(tmp_path / f"{split}.csv", *names)
    source = open_pictures(str(tmp_path))
    splits = (source.read(split) for split in ("test", "train"))
    together = [Path(e["image"]).parent.name for pair in zip(*splits, strict=True) for e in pair]
    assert together == ["test", "train"] * 3
    assert len({path.parent.name for path in source.files()}) == 2


def test_a_folder_named_like_the_table_comes_before_others(tmp_path: Path) -> None:
    numbered(tmp_path, "birds", "cats", "train")
    assert found(table(tmp_path / "cats.csv", "0.png"), "all", tmp_path) == ["cats/0.png"]


def test_what_is_beside_the_table_is_nearest_then_folders_within(tmp_path: Path) -> None:
    numbered(tmp_path, "mine", "mine/images", "other", "train")
    path = table(tmp_path / "mine" / "train.csv", "0.png", "1.png")
    assert found(path, "train", tmp_path / "mine") == ["0.png", "1.png"]
    for name in ("0.png", "1.png"):
        (tmp_path / "mine" / name).unlink()
    assert found(path, "train", tmp_path / "mine") == ["images/0.png", "images/1.png"]


def test_a_name_of_two_pictures_is_refused(tmp_path: Path) -> None:
    numbered(tmp_path, "test", "train")
    path = table(tmp_path / "pairs.csv", "0.png")
    with pytest.raises(ValueError, match=r"csv:2: 0\.png is in test and in train, .* write test/0\.png in the col"):
        open_pictures(str(path))
    assert found(table(path, "test/0.png", "train/0.png"), "all", tmp_path) == ["test/0.png", "train/0.png"]
    path = table(tmp_path / "tables" / "pairs.csv", "0.png")
    with pytest.raises(ValueError, match=r"0\.png is in \.\./test and in \.\./train, .*write \.\./test/0\.png in the"):
        open_pictures(str(path))
    assert found(table(path, "../train/0.png"), "all", tmp_path) == ["train/0.png"]


def test_a_copy_of_a_picture_is_the_same_picture(tmp_path: Path) -> None:
    """Such as of an archive that was unpacked twice, and of a link to a folder."""
    for folder in ("images", "images/images"):
        picture(tmp_path / folder / "0.png", 7)
    (tmp_path / "link").symlink_to(tmp_path / "images")
    assert found(table(tmp_path / "pairs.csv", "0.png"), "all", tmp_path) == ["images/0.png"]


def test_a_missing_picture_is_not_taken_from_another_split(tmp_path: Path) -> None:
    names = numbered(tmp_path, "train", "test")
    for split in ("train", "test"):
        table(tmp_path / f"{split}.csv", *names)
    (tmp_path / "train" / "1.png").unlink()
    problems: list[Problem] = []
    examples = list(open_pictures(str(tmp_path)).read("train", problems.append))
    assert [Path(e["image"]).parent.name for e in examples] == ["train"]
    assert [(p.where[-1], p.reason.partition(";")[0]) for p in problems] == [
        ("3", "the picture 1.png is in test alone, but test has one of that name")
    ]
    table(tmp_path / "train.csv", "0.png", "test/1.png")
    assert found(tmp_path, "train", tmp_path) == ["train/0.png", "test/1.png"]


def test_a_missing_picture_is_not_taken_from_other_data_next_door(tmp_path: Path) -> None:
    numbered(tmp_path, "mine/images", "other", count=9)
    path = table(tmp_path / "mine" / "pairs.csv", *(f"{i}.png" for i in range(9)))
    (tmp_path / "mine/images/8.png").unlink()
    problems: list[Problem] = []
    assert len(list(open_pictures(str(path)).read("all", problems.append))) == 8
    assert [p.reason for p in problems] == [f"there is no picture 8.png in {tmp_path / 'mine'} or near it"]


def test_a_name_of_one_split_may_be_in_the_folder_of_another(tmp_path: Path) -> None:
    """As those pictures of COCO's validation from which many learn."""
    picture(tmp_path / "train2014" / "a.png", 1)
    picture(tmp_path / "val2014" / "b.png", 2)
    path = table(tmp_path / "pairs.csv", "a.png", "b.png", splits="train train")
    assert found(path, "train", tmp_path) == ["train2014/a.png", "val2014/b.png"]


def test_folders_whose_names_begin_with_a_dot_are_left_out(tmp_path: Path) -> None:
    numbered(tmp_path, ".thumbnails", "images", "images/.small")
    assert found(table(tmp_path / "pairs.csv", "0.png"), "all", tmp_path) == ["images/0.png"]


def test_folders_are_not_looked_through_for_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.data.images import find as pictures_find

    names = numbered(tmp_path, *(f"{i:02}" for i in range(9)), "images", count=1)
    for i in range(9):
        (tmp_path / f"{i:02}" / names[0]).unlink()
    names = numbered(tmp_path, "images", count=400)
    looked: list[str] = []
    original = pictures_find.os.path.isfile
    monkeypatch.setattr(pictures_find.os.path, "isfile", lambda path: looked.append(str(path)) or original(path))
    assert len(list(open_pictures(str(table(tmp_path / "train.csv", *names))).read("train"))) == 400
    assert len(looked) < 6 * 400


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("Val2017", "validation"), ("TEST", "test"), ("dev_images", "validation"), ("test_bench", ""),
     ("train_test", ""), ("images", ""), ("2017", "")],
)  # fmt: skip
def test_the_split_of_which_a_name_speaks(name: str, split: str) -> None:
    assert split_of(name) == split
    assert split_of(name, "pictures") == split and split_of("test", "train") == "train"
