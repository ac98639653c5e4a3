"""Raw examples from trees in which folders name split and class, such as aclImdb: ``SPLIT/CLASS/*.txt``.

Without splits, ``CLASS/*.txt``, a tree is cut into three, as a single table is.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pipelines.data.sources.files import kind
from pipelines.data.sources.source import ALL, SPLIT_NAMES, Example, OnProblem, Problem, Reader, Source, alone

CLASS_NAMES = {"neg": "negative", "pos": "positive"}
NOT_CLASSES = {"unsup"}  # aclImdb keeps unlabelled reviews beside the labelled ones


def open_classes(spec: str) -> Source | None:
    """Open a tree ``SPLIT/CLASS/*.txt`` or ``CLASS/*.txt``; ``None`` when ``spec`` is no such tree.

    ``pos`` and ``neg`` are read as positive and negative; other folder names are the labels themselves.
    """
    path = Path(spec).expanduser()
    if not path.is_dir():
        return None
    trees = {split.name: _classes(split) for split in sorted(path.iterdir()) if split.is_dir()}
    trees = {name: classes for name, classes in trees.items() if len(classes) > 1}
    if not trees and not any(map(kind, path.iterdir())):  # folders beside a table are something else
        trees = {ALL: _classes(path)}
    if not any(len(classes) > 1 for classes in trees.values()):
        return None
    total = hashlib.sha256()
    for classes in trees.values():
        for folder in classes:
            for file in sorted(folder.glob("*.txt")):
                total.update(f"{file.relative_to(path)} {file.stat().st_size}\n".encode())
    readers = {name: _reader(classes) for name, classes in trees.items()}
    folders = [folder for classes in trees.values() for folder in classes]
    return Source(
        spec, alone(readers), total.hexdigest(), files=lambda: (f for d in folders for f in sorted(d.glob("*.txt")))
    )


def _classes(split: Path) -> list[Path]:
    none = NOT_CLASSES.union(*SPLIT_NAMES.values())
    folders = (folder for folder in sorted(split.iterdir()) if folder.is_dir() and folder.name not in none)
    return [folder for folder in folders if next(folder.glob("*.txt"), None)]


def _reader(classes: list[Path]) -> Reader:
    def read(on_problem: OnProblem) -> Iterator[Example]:
        for folder in classes:
            label = CLASS_NAMES.get(folder.name, folder.name)
            for file in sorted(folder.glob("*.txt")):
                try:
                    text = file.read_text("utf-8-sig")
                except (OSError, UnicodeDecodeError) as error:
                    on_problem(Problem(f"{file}:1", f"cannot be read as UTF-8 text: {error}"))
                    continue
                yield {"id": f"{folder.name}/{file.stem}", "where": f"{file}:1", "text": text, "label": label}

    return read
