"""Cells of tables: nested columns, and cells that hold printed data instead of text."""

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from pipelines.data.reading import broken

FILES = ("audio", "image")
"""Fields whose cells are file names."""
LISTS = ("caption", "captions")
"""Fields whose cells may hold a list."""
_LONGEST = 2**16
_LIKE_A_DICTIONARY = re.compile(r"\s*\{\s*(['\"]).*?\1\s*:.*\}\s*", re.DOTALL)
_LIKE_A_LIST = re.compile(r"\s*\[[\s\d,.+-]*\]\s*|\s*\[\s*(['\"]).*\1\s*\]\s*", re.DOTALL)


def unfit(field: str, value: Any) -> str:
    """Return why a cell cannot be used for a field; an empty string if it can.

    Args:
        field: field of the example: ``text``, ``source``, ``label``, ``caption``, ...
        value: value of the cell.
    """
    if isinstance(value, str) and broken(value):
        return f"the text {broken(value)}"
    return wrong_kind(field, value)


def wrong_kind(field: str, value: Any) -> str:
    """Return why a cell holds the wrong kind of data (a dictionary, a list of labels); empty if it does not."""
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
    """Return the keys of a dictionary, or of one printed as JSON or Python; None for any other value."""
    if isinstance(value, Mapping):
        return [str(key) for key in value]
    found = parsed(value) if isinstance(value, str) else None
    return None if found is None else list(found)


def parsed(text: str) -> dict[str, Any] | None:
    """Parse a dictionary printed as JSON or Python; None if the text is not one."""
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
    """Return the value of a column or of a nested one: ``translation.en`` is ``en`` inside ``translation``.

    A column with exactly that name takes precedence. A cell may be an object or a printed one.

    Raises:
        KeyError: there is no such column or nested value.
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
    """List the columns of a row and the nested ones, by the names that ``inside`` takes."""
    found = []
    for name, value in row.items():
        found.append(f"{prefix}{name}")
        held = parsed(value) if isinstance(value, str) and value.lstrip().startswith("{") else value
        if isinstance(held, Mapping) and depth:
            found += nested(held, f"{prefix}{name}.", depth - 1)
    return found
