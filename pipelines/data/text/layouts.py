"""Raw sentence pairs from parallel files: ``train.en`` and ``train.de`` hold line by line the same sentences."""

import hashlib
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from pipelines.data.folders import passed_over, say_once, some
from pipelines.data.reading import PACKED, broken, lines, whole_text
from pipelines.data.source import ALL, SPLIT_NAMES, Example, OnProblem, Problem, Reader, Source, alone
from pipelines.data.tables import TABLES, fingerprint, kind


def open_parallel(spec: str, source: str, target: str) -> Source | None:
    """Open a folder with ``SPLIT.SOURCE`` and ``SPLIT.TARGET`` (also .gz, .xz, .bz2) for every split.

    Splits that have one of the two languages alone are named and left out. The only pair of files, where it has not the
    name of a split, is data without splits, such as OPUS comes in.

    Args:
        spec: path of the folder.
        source: ending of the files translated from, e.g. ``en``.
        target: ending of the files translated to, e.g. ``de``.

    Returns:
        The source with the fields ``source`` and ``target``; ``None`` when ``spec`` is no folder of parallel files.

    Raises:
        ValueError: source and target are the same, a language is not there, no split has both sides, or a file stands
            there twice, packed and plain.
    """
    path = Path(spec).expanduser()
    found = _by_language(path, {source, target}) if path.is_dir() else {}
    if not {source, target} & found.keys() and (len(found) < 2 or any(map(kind, path.iterdir()))):
        return None
    if source == target:
        raise ValueError(f"--source {source} --target {target}: expected two different languages")
    for option, language in (("--source", source), ("--target", target)):
        if language not in found:
            endings = ", ".join(sorted(found))
            raise ValueError(
                f"{option} {language}: expected files SPLIT.{language}; for example train.{source} with the line "
                f"'A dog runs.' and train.{target} with the same line translated; {spec} has files in {endings}"
            )
    lacking = _lacking(found, source, target)
    pairs = {
        split: (found[source][split], found[target][split]) for split in sorted(found[source]) if split not in lacking
    }
    if not pairs:
        raise ValueError(f"--data {spec}: {'; '.join(lacking.values())}")
    if lacking:
        say_once(f"{spec}: splits in one of the two languages are left out: {some(lacking.values())}")
    readers = {split: pair_reader(split, *files) for split, files in pairs.items()}
    files = [file for pair in pairs.values() for file in pair]
    return Source(spec, alone(readers), fingerprint(files), lacking=lacking)


def _lacking(found: dict[str, dict[str, Path]], source: str, target: str) -> dict[str, str]:
    """Name the splits of which there is one language alone -> what is not there."""
    lacking = {}
    for split in sorted(set(found[source]) ^ set(found[target])):
        here, there = (source, target) if split in found[source] else (target, source)
        lacking[split] = f"{found[here][split].name} has no partner {split}.{there}"
    return lacking


def _by_language(folder: Path, wanted: set[str]) -> dict[str, dict[str, Path]]:
    """Sort files by the part of their name behind the last dot: language -> split -> file, one of each ``wanted``."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        name = path.name
        for ending in PACKED:
            name = name.removesuffix(ending)
        split, dot, language = name.rpartition(".")
        if not path.is_dir() and dot and split and not name.startswith(".") and f".{language}" not in TABLES:
            files = found.setdefault(language, {})
            if split in files and language in wanted:
                raise ValueError(
                    f"--data {folder}: {files[split].name} and {path.name} hold the same split; remove one"
                )
            files[split] = path
    return found


def pair_reader(split: str, source: Path, target: Path) -> Reader:
    """Return a function that streams the pairs of two files.

    Lines end at a line feed only: a carriage return or a Unicode line separator inside a sentence must not shift
    all pairs behind it. Reading raises ValueError when one file has more lines than the other.
    """

    def read(on_problem: OnProblem) -> Iterator[Example]:
        sides = zip_longest(_lines(source), _lines(target))
        for number, pair in enumerate(sides, start=1):
            if None in pair:
                counts = {path.name: sum(1 for _ in _lines(path)) for path in (source, target)}
                told = " and ".join(f"{name} {count}" for name, count in counts.items())
                raise ValueError(f"{source.parent}: expected as many lines in one file as in the other, got {told}")
            texts = [line.rstrip("\r\n") for line in pair]
            bad = next(((path, text) for path, text in zip((source, target), texts, strict=True) if broken(text)), None)
            if bad:
                on_problem(Problem(f"{bad[0]}:{number}", f"the text {broken(bad[1])}"))
                continue
            yield {
                "id": f"{split}:{number}",
                "where": f"{source}:{number}",
                "source": texts[0],
                "target": texts[1],
            }

    return read


def _lines(path: Path) -> Iterator[str]:
    return lines(path, newline="\n")


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
                total.update(f"{file.relative_to(path)} {_bytes_in(file)}\n".encode())
    readers = {name: _reader(classes) for name, classes in trees.items()}
    folders = [folder for classes in trees.values() for folder in classes]
    for folder in folders:
        others = sorted(p.name for p in _entries(folder) if p.suffix != ".txt" and not p.name.startswith("."))
        passed_over(folder, others, "texts called .txt")
    return Source(
        spec, alone(readers), total.hexdigest(), files=lambda: (f for d in folders for f in sorted(d.glob("*.txt")))
    )


def _bytes_in(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:  # a link to nowhere is a bad row like any other
        return None


def _classes(split: Path) -> list[Path]:
    none = NOT_CLASSES.union(*SPLIT_NAMES.values())
    folders = (folder for folder in sorted(_entries(split)) if folder.is_dir() and folder.name not in none)
    return [folder for folder in folders if any(path.suffix == ".txt" for path in _entries(folder))]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise ValueError(f"{folder}: cannot be read: {error.strerror or error}") from None


def _reader(classes: list[Path]) -> Reader:
    def read(on_problem: OnProblem) -> Iterator[Example]:
        for folder in classes:
            label = CLASS_NAMES.get(folder.name, folder.name)
            for file in sorted(folder.glob("*.txt")):
                try:
                    text = whole_text(file)
                except ValueError as error:
                    told = re.fullmatch(r"(?::(\d+))?: (.*)", str(error).removeprefix(str(file)), re.DOTALL)
                    number, reason = (told[1] or 1, told[2]) if told else (1, str(error))
                    on_problem(Problem(f"{file}:{number}", reason))
                    continue
                yield {"id": f"{folder.name}/{file.stem}", "where": f"{file}:1", "text": text, "label": label}

    return read
