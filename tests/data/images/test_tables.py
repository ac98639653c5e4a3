"""Captions as the cells of a table hold them: one, or a list in JSON, in Python's words or in NumPy's."""

import csv
import json
import time
from pathlib import Path

import pytest
from PIL import Image

from pipelines.data.images.layouts import open_pictures
from pipelines.data.images.tables import LONGEST_LIST, listed
from pipelines.data.source import Problem

TWO = ["Two young guys.", "It's two men, outside."]


@pytest.mark.parametrize(
    ("cell", "captions"),
    [
        (json.dumps(TWO), TWO),
        (f"  {json.dumps(TWO, indent=1)}\n", TWO),
        (json.dumps(["ein Hündchen"]), ["ein Hündchen"]),
        (str(TWO), TWO),
        ("['a dog', \"a dog's tail\",]", ["a dog", "a dog's tail"]),
        ("['a dog.'\n 'two dogs.' \"it's\"]", ["a dog.", "two dogs.", "it's"]),
        ("[]", []),
        ("a dog", ["a dog"]),
        ("[A man] walks.", ["[A man] walks."]),
        ("[unclear]", ["[unclear]"]),
        ("[1, 2]", ["[1, 2]"]),
        ('"[" is a bracket', ['"[" is a bracket']),
        (["a", None], ["a", None]),
        (None, [None]),
        (7, [7]),
    ],
)
def test_what_a_cell_holds(cell: object, captions: list) -> None:
    assert listed(cell) == captions


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("['a dog', 'a c", "cannot be read as one: "),
        ("['a dog', 'a cat'", "cannot be read as one: "),
        ('["a dog", 7]', "expected texts in quotes and commas, came '7'"),
        ("['a dog', ['a cat']]", "expected texts in quotes and commas"),
        ("['a dog' ... 'a cat']", r"came '\.\.\.'"),
        ("['a dog'] and more", "came 'and'"),
        ("['a dog', b'a cat']", "expected texts in quotes and commas"),
        ("['a dog', __import__('os')]", "came '__import__'"),
        (f"['{'a ' * LONGEST_LIST}']", "it has 131,076 characters, at most 65,536 are read"),
        ('["' + "[" * 50_000, "cannot be read as one"),
    ],
)
def test_a_list_that_cannot_be_read_is_a_bad_row(cell: str, reason: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ValueError, match=f"the caption begins like a list of captions and .*{reason}"):
        listed(cell)
    assert time.monotonic() - begun < 5


def test_lists_in_the_cells_of_a_csv(tmp_path: Path) -> None:
    """As Flickr30k is on Hugging Face."""
    cells = [json.dumps(TWO), str(TWO), "a dog", "['cut", '["a", " . "]']
    for i in range(len(cells)):
        Image.new("L", (9, 9), i).save(tmp_path / f"{i}.png")
    with open(tmp_path / "annotations.csv", "w", encoding="utf-8", newline="") as file:
        rows = [(cell, "[0, 1]", "train", f"{i}.png") for i, cell in enumerate(cells)]
        csv.writer(file).writerows([("raw", "sentids", "split", "filename"), *rows])
    problems: list[Problem] = []
    source = open_pictures(str(tmp_path), {"image": ("filename",), "caption": ("raw",)})
    examples = list(source.read("train", problems.append))
    assert [e["captions"] for e in examples] == [TWO, TWO, ["a dog"], ["a"]]
    assert [(p.where[-1], p.reason[:35]) for p in problems] == [
        ("5", "the caption begins like a list of c"),
        ("6", "the caption has no word ('.')"),
    ]
