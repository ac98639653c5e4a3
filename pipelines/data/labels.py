"""Class labels: names, numbers, and checks."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

MOST = 5000
"""Different labels above which a column does not hold classes, but names or numbers."""
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0+)?")  # of thousands of digits int() makes no number


def shown(labels: Iterable[str], most: int = 10) -> str:
    """List labels in their order, no more than ``most`` of them."""
    every = list(labels)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def need_classes(labels: Collection[str]) -> None:
    """Refuse labels that cannot be classes.

    Raises:
        ValueError: there are fewer than two, or more than `MOST`.
    """
    if len(labels) < 2:
        raise ValueError(f"the training data has the labels {sorted(labels)}: expected at least two")
    if len(labels) > MOST:
        raise ValueError(
            f"the training data has {len(labels)} different labels ({shown(sorted(labels), 3)}): expected at most "
            f"{MOST} classes; --label-column names another column"
        )


def classes(counts: Counter[str], names: tuple[str, ...]) -> dict[str, int]:
    """Name and sort the labels of the training examples, with their numbers of examples.

    Without ``names``, 0 and 1 are called negative and positive where they are the only numbers: the 1 of one to five
    stars is not positive.

    Raises:
        ValueError: see `need_classes`.
    """
    del counts[""]
    if not names and {label for label in counts if _WHOLE.fullmatch(label)} <= {"0", "1"}:
        named: Counter[str] = Counter()
        for label, count in counts.items():
            named[label_name(label)] += count
        counts = named
    need_classes(counts)
    return dict(sorted(counts.items()))


def label_name(label: Any, names: tuple[str, ...] = ()) -> str:
    """Return the name of a label, empty where there is none.

    Integers (``1.0`` is one) are looked up in ``names``, and one beyond them has no name; without names 0 is negative,
    1 positive, and any other its own name. None and NaN are no label.
    """
    written = _written(label)
    known = names or ("negative", "positive")
    if not _WHOLE.fullmatch(written):
        return written
    if written.isdecimal() and int(written) < len(known):
        return known[int(written)]
    return "" if names else written


def given_name(label: Any, names: tuple[str, ...]) -> str:
    """Return the name of a label; without ``names`` a number stays a number."""
    return label_name(label, names) if names else _written(label)


def known_name(label: Any, names: tuple[str, ...], known: Iterable[str]) -> str:
    """Return the name of a label out of those that a run has learned, ``known``; see `label_name` for any other."""
    written = _written(label)
    return written if not names and written in known else label_name(label, names)


def unknown_label(label: Any, name: str, names: Iterable[str]) -> str:
    """Say that a label is missing, or is none of ``names``; ``name`` is its name where it has one."""
    own = name or _written(label)
    return f"unknown label {own!r}; the labels are {shown(names)}" if own else "the label is empty"


def _written(label: Any) -> str:
    if label is None or (isinstance(label, float | np.floating) and np.isnan(label)):
        return ""
    whole = isinstance(label, bool) or (isinstance(label, float) and label.is_integer())
    text = str(int(label)) if whole else str(label).strip()
    return text.split(".")[0] if _WHOLE.fullmatch(text) else text
