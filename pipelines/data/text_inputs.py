"""Texts as users hand them over, told from what is no text."""

from collections.abc import Iterable
from typing import Any

from pipelines.data.sources.source import Example


def raw_texts(inputs: Iterable[Any], name: str) -> list[Example]:
    """Wrap texts as raw examples without references; ids count from 0.

    Args:
        inputs: texts, or bytes, which are read as UTF-8 with U+FFFD for what is none.
        name: under which each example holds its text, a ``str``.

    Raises:
        ValueError: an input is something else, such as the None or NaN of a missing one.
    """
    examples: list[Example] = []
    for number, given in enumerate(inputs):
        if not isinstance(given, str | bytes):
            raise ValueError(f"input {number + 1}: expected a text, came {type(given).__name__}")
        text = given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)  # NumPy's str_ is a str
        examples.append({"id": str(number), "where": f"input {number + 1}", name: text})
    return examples
