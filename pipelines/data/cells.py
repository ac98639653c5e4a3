"""Cells of tables: finding one inside another, and refusing what is printed data and no text."""

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from pipelines.data.reading import broken

FILES = ("audio", "image")
"""Fields whose cells name a file."""
LISTS = ("caption", "captions")
"""Fields of which a cell may hold several."""
_LONGEST = 2**16
_LIKE_A_DICTIONARY = re.compile(r"\s*\{\s*(['\"]).*?\1\s*:.*\}\s*", re.DOTALL)
_LIKE_A_LIST = re.compile(r"\s*\[[\s\d,.+-]*\]\s*|\s*\[\s*(['\"]).*\1\s*\]\s*", re.DOTALL)


def unfit(field: str, value: Any) -> str:
    """Say why a cell cannot be what it is taken for, or nothing.

    Args:
        field: of the example: ``text``, ``source``, ``label``, ``caption``, ...
        value: as the table holds it.
    """
    if isinstance(value, str) and broken(value):
        return f"the text {broken(value)}"
    return wrong_kind(field, value)


def wrong_kind(field: str, value: Any) -> str:
    """Say why a cell holds data of another kind than its field does, or nothing; see `unfit`."""
    if field == "label" and _is_list(value):
        shown = f"{value}"
        return (
            f"the label is a list ({shown:.40}): this is multi-label data, and one label is expected for each text; "
            "choose one, or train a run for each label"
        )
    if field not in FILES and (keys := keys_of(value)) is not None:
        named = f", such as COLUMN.{keys[0]}" if keys else ""
        return f"the {field} is a dictionary with the keys {', '.join(keys) or 'none'}; name what is inside it{named}"
    return ""


def _is_list(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST and bool(_LIKE_A_LIST.fullmatch(value))
    return isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0


def keys_of(value: Any) -> list[str] | None:
    """Return the keys of what is a dictionary, or the text of one in JSON or Python; None for anything else."""
    if isinstance(value, Mapping):
        return [str(key) for key in value]
    found = parsed(value) if isinstance(value, str) else None
    return None if found is None else list(found)


def parsed(text: str) -> dict[str, Any] | None:
    """Read the text of a dictionary, as JSON or as Python prints it; None where it is none."""
    # The ends first: of what has no closing brace, the pattern would look at every colon.
    if len(text) > _LONGEST or text.lstrip()[:1] + text.rstrip()[-1:] != "{}" or not _LIKE_A_DICTIONARY.fullmatch(text):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else None


def inside(row: Mapping[str, Any], name: str) -> Any:
    """Return the cell of a column, or what lies inside one: ``translation.en`` is ``en`` of ``translation``.

    A column of that very name comes first. A cell may be an object, or the text of one.

    Raises:
        KeyError: there is no such column, or nothing of that name inside it.
    """
    if name in row:
        return row[name]
    outer, dot, inner = name.partition(".")
    if not dot or outer not in row:
        raise KeyError(name)
    held = row[outer]
    held = parsed(held) if isinstance(held, str) else held
    if not isinstance(held, Mapping):
        raise KeyError(name)
    return inside(held, inner)


def nested(row: Mapping[str, Any], prefix: str = "", depth: int = 3) -> list[str]:
    """List the columns of a row, and the names of what lies inside its objects, as ``inside`` takes them."""
    found = []
    for name, value in row.items():
        found.append(f"{prefix}{name}")
        held = parsed(value) if isinstance(value, str) and value.lstrip().startswith("{") else value
        if isinstance(held, Mapping) and depth:
            found += nested(held, f"{prefix}{name}.", depth - 1)
    return found
