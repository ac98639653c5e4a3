"""Raw sentence pairs from parallel files: ``train.en`` and ``train.de`` hold line by line the same sentences."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipelines.data.sources.files import PACKED, TABLES, fingerprint
from pipelines.data.sources.source import Example, OnProblem, Problem, Reader, Source


def open_parallel(spec: str, source: str, target: str) -> Source | None:
    """Open a folder with ``SPLIT.SOURCE`` and ``SPLIT.TARGET`` (also .gz, .xz, .bz2) for every split.

    Args:
        spec: path of the folder.
        source: ending of the files translated from, e.g. ``en``.
        target: ending of the files translated to, e.g. ``de``.

    Returns:
        The source with the fields ``source`` and ``target``; ``None`` when ``spec`` is no folder of parallel files.

    Raises:
        ValueError: source and target are the same, a language is not there, or a split has one side only.
    """
    path = Path(spec).expanduser()
    found = _by_language(path) if path.is_dir() else {}
    if len(found) < 2:
        return None
    if source == target:
        raise ValueError(f"--source {source} --target {target}: expected two different languages")
    for option, language in (("--source", source), ("--target", target)):
        if language not in found:
            raise ValueError(f"{option} {language}: {spec} has files in {', '.join(sorted(found))}; name one of them")
    alone = sorted(set(found[source]) ^ set(found[target]))
    if alone:
        here, there = (source, target) if alone[0] in found[source] else (target, source)
        raise ValueError(f"--data {spec}: {found[here][alone[0]].name} has no partner {alone[0]}.{there}")
    pairs = {split: (found[source][split], found[target][split]) for split in sorted(found[source])}
    readers = {split: pair_reader(split, *files) for split, files in pairs.items()}
    return Source(spec, readers, fingerprint([file for files in pairs.values() for file in files]))


def _by_language(folder: Path) -> dict[str, dict[str, Path]]:
    """Sort files by the part of their name behind the last dot: language -> split -> file."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        name = path.name
        for ending in PACKED:
            name = name.removesuffix(ending)
        split, dot, language = name.rpartition(".")
        if path.is_file() and dot and split and not name.startswith(".") and f".{language}" not in TABLES:
            found.setdefault(language, {})[split] = path
    return found


def pair_reader(split: str, source: Path, target: Path) -> Reader:
    """Return a function that streams the pairs of two files.

    Lines end at a line feed only: a carriage return or a Unicode line separator inside a sentence must not shift
    all pairs behind it. Reading raises ValueError when one file has more lines than the other.
    """

    def read(on_problem: OnProblem) -> Iterator[Example]:
        with _open(source) as left, _open(target) as right:
            for number, pair in enumerate(itertools.zip_longest(left, right), start=1):
                if None in pair:
                    counts = {path.name: _count(path) for path in (source, target)}
                    told = " and ".join(f"{name} {count}" for name, count in counts.items())
                    raise ValueError(f"{source.parent}: expected as many lines in one file as in the other, got {told}")
                where = f"{source}:{number}"
                try:
                    texts = [line.rstrip(b"\r\n").decode("utf-8-sig" if number == 1 else "utf-8") for line in pair]
                except UnicodeDecodeError as error:
                    on_problem(Problem(where, f"the pair is not valid UTF-8: {error.reason}"))
                    continue
                yield {"id": f"{split}:{number}", "where": where, "source": texts[0], "target": texts[1]}

    return read


def _open(path: Path) -> BinaryIO:
    return PACKED.get(path.suffix.lower(), open)(path, "rb")


def _count(path: Path) -> int:
    with _open(path) as file:
        return sum(1 for _ in file)
