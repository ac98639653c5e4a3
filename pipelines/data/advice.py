"""Example lines for error messages about missing tables and columns."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

EXAMPLES = {
    "text": "A wonderful film.",
    "label": "positive",
    "source": "A dog runs.",
    "target": "Ein Hund rennt.",
    "audio": "clips/1.wav",
    "image": "pictures/1.jpg",
    "caption": "A dog runs on the beach.",
}
SAID = "what is said in it"
"""The text of a recording."""
_DATA = (".json", ".parquet", ".arrow", ".feather", ".xlsx", ".xls", ".ods", ".txt", ".zip", ".tar", ".sqlite", ".pkl")


def table_lines(
    columns: Mapping[str, tuple[str, ...]], optional: Iterable[str] = (), kind: str = ".csv", file: str = ""
) -> str:
    """Return the first lines of a valid table, for a message.

    Args:
        columns: field -> possible names of its column; the first one is shown.
        optional: fields that need no column.
        kind: type of the table: ``.csv``, ``.tsv`` or ``.jsonl``.
        file: recording or picture to use in the example.
    """
    cells = {}
    for field, names in columns.items():
        if field not in optional:
            value = SAID if field == "text" and "audio" in columns else EXAMPLES.get(field, "...")
            cells[names[0]] = file if file and field in ("audio", "image") else value
    if kind == ".jsonl":
        return f"the line {json.dumps(cells, ensure_ascii=False)}"
    between = "\t" if kind == ".tsv" else ","
    return f"the lines {between.join(cells)!r} and {between.join(cells.values())!r}"


def lacks_table(spec: str, folder: Path, columns: Mapping[str, tuple[str, ...]], optional: Iterable[str]) -> str:
    """Return the message for a folder without a table: what it contains, and an example table."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    file = next((name for name in names if Path(name).suffix.lower() in _MEDIA[_medium(columns)]), "")
    seen = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    example = table_lines(columns, optional, file=file)
    return (
        f"--data {spec}: expected a .csv, .tsv or .jsonl file in the folder, found {seen or 'nothing'}; "
        f"for example train.csv with {example}"
    )


_MEDIA: dict[str, tuple[str, ...]] = {
    "audio": (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".au", ".m4a", ".aac"),
    "image": (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"),
    "": (),
}


def _medium(columns: Mapping[str, tuple[str, ...]]) -> str:
    return next((field for field in ("audio", "image") if field in columns), "")


def looks_like_data(path: Path) -> bool:
    """Return whether a file that is not a table may hold data."""
    papers = ("readme", "license", "licence", "citation", "requirements")
    return path.suffix.lower() in _DATA and not path.name.lower().startswith((".", *papers))
