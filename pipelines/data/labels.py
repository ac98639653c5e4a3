"""What may be classes, and how many of them are listed in a sentence."""

from collections.abc import Collection, Iterable

MOST = 5000
"""Different labels above which a column does not hold classes, but names or numbers."""


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
