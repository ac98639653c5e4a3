"""Bad captions are counted like pictures, and every one of them is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipelines.data.images.layouts import open_pictures, review
from pipelines.data.source import Problem, Source
from pipelines.data.validate import Facets, validate
from pipelines.training.encode import MAX_BAD, judge

PICTURES, CAPTIONS = 40, 5


def pictures(folder: Path, count: int = PICTURES) -> list[str]:
    names = [f"{i}.png" for i in range(count)]
    for name in names:
        Image.new("RGB", (9, 9)).save(folder / name)
    return names


def tokens(folder: Path, bad: set[int], line: str = "{}#0\t .") -> Source:
    """A caption a line, five lines a picture; the lines ``bad``, counted from 0, are no captions."""
    names = [name for name in pictures(folder) for _ in range(CAPTIONS)]
    lines = [line.format(n) if i in bad else f"{n}#{i}\tcaption number {i}" for i, n in enumerate(names)]
    (folder / "x.token.txt").write_text("\n".join(lines) + "\n")
    return open_pictures(str(folder))


def table(folder: Path, bad: set[int]) -> Source:
    """The same as a CSV in which the bad lines hold a comma too many."""
    names = [name for name in pictures(folder) for _ in range(CAPTIONS)]
    rows = [f"{n},a caption{', and more' if i in bad else ''}\n" for i, n in enumerate(names)]
    (folder / "captions.csv").write_text("image,caption\n" + "".join(rows))
    return open_pictures(str(folder))


def lists(folder: Path, bad: set[int]) -> Source:
    """JSON lines of a picture and all its captions."""
    every = [[" . " if i in bad else "a caption" for i in range(n, n + CAPTIONS)] for n in range(0, 200, CAPTIONS)]
    rows = [json.dumps({"image": n, "caption": c}) + "\n" for n, c in zip(pictures(folder), every, strict=True)]
    (folder / "all.jsonl").write_text("".join(rows))
    return open_pictures(str(folder))


def read(source: Source) -> tuple[list[dict], list[Problem]]:
    problems: list[Problem] = []
    return list(source.read("all", problems.append)), problems


SOME = {3, 31, 32, 107, 150}  # 2.5 % of 200 captions
MAKERS: list[Callable[[Path, set[int]], Source]] = [tokens, table, lists, lambda f, bad: tokens(f, bad, "no tab here")]


@pytest.mark.parametrize("make", MAKERS)
def test_a_share_of_bad_captions_is_the_same_share_of_bad_pictures(
    make: Callable[[Path, set[int]], Source], tmp_path: Path
) -> None:
    source = make(tmp_path, SOME)
    examples, problems = read(source)
    assert len(examples) == PICTURES and sum(len(e["captions"]) for e in examples) == 195
    assert len(problems) == 1 and 1 / 41 == pytest.approx(0.025, abs=1e-3)
    judge(source, "all", len(examples), [f"{p.where}: {p.reason}" for p in problems])
    report = validate(source, lambda example: Facets({}), lambda split, problem: None, MAX_BAD)
    assert not [reason for reason in report["refusals"] if "cannot be used" in reason]


@pytest.mark.parametrize(("make", "first"), [(tokens, 1), (table, 2)])
def test_every_bad_caption_is_named_by_file_and_line(make: Callable, first: int, tmp_path: Path) -> None:
    _, problems = read(make(tmp_path, SOME))
    said = "; ".join(f"{p.where}: {p.reason}" for p in problems)
    (file,) = (str(path) for path in tmp_path.iterdir() if path.suffix in (".txt", ".csv"))
    assert [clause.partition(": ")[0] for clause in said.split("; ")] == [f"{file}:{i + first}" for i in sorted(SOME)]


def test_data_of_which_too_many_captions_are_bad_is_refused(tmp_path: Path) -> None:
    source = tokens(tmp_path, set(range(0, 200, 12)))  # 8.5 %, of no picture all
    examples, problems = read(source)
    assert len(examples) == PICTURES
    with pytest.raises(ValueError, match="3 of 43 examples in split all cannot be used, more than 5%"):
        judge(source, "all", len(examples), [p.reason for p in problems])


def test_a_picture_that_loses_all_its_captions_is_one_bad_example(tmp_path: Path) -> None:
    examples, problems = read(tokens(tmp_path, set(range(10, 15))))
    assert len(examples) == PICTURES - 1 and "2.png" not in {e["id"] for e in examples} and len(problems) == 1


@pytest.mark.parametrize("make", [tokens, table])
def test_fewer_bad_captions_than_half_a_picture_has_are_noted_and_not_counted(make: Callable, tmp_path: Path) -> None:
    (first, *others), problems = read(make(tmp_path, {7, 9}))
    assert not problems and not any("notes" in example for example in others)
    lines = [note.partition(": ")[0].rpartition(":")[2] for note in first["notes"]]
    assert lines == (["8", "10"] if make is tokens else ["9", "11"])
    assert review(first)[1][:2] == first["notes"]


def test_one_caption_a_picture_is_counted_one_by_one(tmp_path: Path) -> None:
    names = pictures(tmp_path, 4)
    (tmp_path / "t.csv").write_text("image,caption\n" + "".join(f"{n},{'a dog' if n < '2' else '.'}\n" for n in names))
    examples, problems = read(open_pictures(str(tmp_path)))
    assert len(examples) == 2 and [p.where[-1] for p in problems] == ["4", "5"]


def test_a_picture_without_any_caption_is_named(tmp_path: Path) -> None:
    images = [{"filename": n, "sentences": [{"raw": "a dog"}] if n < "2" else []} for n in pictures(tmp_path, 3)]
    (tmp_path / "dataset.json").write_text(json.dumps({"images": images}))
    examples, problems = read(open_pictures(str(tmp_path)))
    assert len(examples) == 2 and [p.reason for p in problems] == ["2.png has no caption"]
