"""Rows of pictures and captions, as every layout has them, and lists of captions written in one cell of a table."""

import ast
import io
import json
import tokenize
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from pipelines.data.sources.source import OnProblem, Problem, Reader

LONGEST_LIST = 2**16
"""Characters up to which a list that is no JSON is read: Python's own tokenizer is slow and made for programs."""
_BETWEEN = {"[", "]", ","}
_BLANK = {tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.COMMENT}


class Row(NamedTuple):
    """One line of the data: a picture's name, its captions (none: it is listed without), and their file and line."""

    name: str
    captions: tuple[str, ...]
    where: str


Rows = Callable[[OnProblem], Iterable[Row]]


def table_rows(reader: Reader, on_problem: OnProblem) -> Iterator[Row]:
    """Stream the rows of a table with the fields ``image`` and ``caption``, a text, a list, or a list as text."""
    for row in reader(on_problem):
        try:
            captions = listed(row["caption"])
        except ValueError as error:
            on_problem(Problem(row["where"], str(error)))
            continue
        yield Row(str(row["image"]), tuple(str(c) for c in captions if c is not None) or ("",), row["where"])


def listed(value: Any) -> list[Any]:
    """Return the captions in a cell: those of a list, or of a text that is one in JSON, Python or NumPy; else the text.

    Raises:
        ValueError: the text begins like a list of texts (``["``, ``['``) and is none.
    """
    if not isinstance(value, str):
        return value if isinstance(value, list) else [value]
    text = value.strip()
    if not text.startswith("["):
        return [value]
    found = _json_list(text)
    if found is None and text[1:].lstrip().startswith(("'", '"')):
        return _python_list(text)
    return [value] if found is None else found


def _json_list(text: str) -> list[str] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None


def _python_list(text: str) -> list[str]:
    """Read ``['a', "b"]`` and ``['a' 'b']``, which is NumPy's, and to Python the one text 'ab'."""
    reason = "begins like a list of captions and cannot be read as one"
    if len(text) > LONGEST_LIST:
        raise ValueError(f"the caption {reason}: it has {len(text):,} characters, at most {LONGEST_LIST:,} are read")
    try:
        tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in _BLANK]
        texts = [ast.literal_eval(token.string) for token in tokens if token.type == tokenize.STRING]
    except (tokenize.TokenError, SyntaxError, ValueError) as error:
        raise ValueError(f"the caption {reason}: {str(error.args[0]) if error.args else error}") from None
    others = [token.string for token in tokens if token.type != tokenize.STRING]
    strange = next((other for other in others if other not in _BETWEEN), "")
    if strange or others.count("[") != 1 or others[-1:] != ["]"] or not all(isinstance(one, str) for one in texts):
        raise ValueError(f"the caption {reason}: expected texts in quotes and commas, came {strange or text[-20:]!r}")
    return texts
