"""What is taken for a text, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.text.vocabulary import raw_texts


def test_texts_stay_and_bytes_are_read_as_utf_8() -> None:
    examples = raw_texts(["", np.str_("good"), b"gut", np.bytes_("söß".encode()), "böse".encode("utf-16")], "source")
    assert [example["source"] for example in examples] == ["", "good", "gut", "söß", "böse"]
    assert all(type(example["source"]) is str for example in examples)
    assert [(example["id"], example["where"]) for example in examples[:2]] == [("0", "input 1"), ("1", "input 2")]


def test_bytes_that_are_no_text_are_refused_by_number() -> None:
    with pytest.raises(ValueError, match=r"^input 2: is not valid UTF-8: invalid start byte at byte 2$"):
        raw_texts([b"gut", b"fl\xf6te"], "source")


@pytest.mark.parametrize("missing", [None, float("nan"), np.float64("nan"), pd.NA, 3, ["text"]], ids=repr)
def test_what_is_no_text_is_refused_by_number_and_kind(missing: Any) -> None:
    with pytest.raises(ValueError, match=rf"^input 3: expected a text, came {type(missing).__name__}$"):
        raw_texts(["a", "b", missing], "text")
