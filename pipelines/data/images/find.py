"""Finds pictures by the names that data gives them, in the folders near the file that names them.

Numbering often begins anew in each folder, so a name may be that of several pictures. Which one is meant depends on the
split and on nothing that was looked up before; where it cannot be told, the data is refused.
"""

import filecmp
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from pipelines.data.source import SPLIT_NAMES, Problem
from pipelines.data.tables import stem

SAMPLE = 50
"""Names of each split for which all folders are looked into: where are its pictures, and which are there twice?"""
_BESIDE_SPLIT = {"caption", "captions", "data", "image", "images", "img", "imgs", "jpeg", "jpg", "photo", "photos"}
_BESIDE_SPLIT |= {"picture", "pictures", "png", "set", "split"}


class Place(NamedTuple):
    """A folder that may hold pictures, the names on the way to it in small letters, and the split they speak of."""

    path: Path
    words: tuple[str, ...]
    split: str


def split_of(*names: str) -> str:
    """Return the split of which the last of ``names`` speaks that speaks of one, or nothing.

    ``train2017``, ``trainImages`` and ``dev`` do, ``test_bench`` does not.
    """
    for name in reversed(names):
        words = {word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)} - _BESIDE_SPLIT
        for split, usual in SPLIT_NAMES.items():
            if len(words) == 1 and words <= set(usual):
                return split
    return ""


class Places:
    """The folders near a file that names pictures, each once, those whose names begin with a dot left out.

    Attributes:
        folder: the folder of the file.
        tiers: that folder alone; the folders within it (two levels); those beside it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        within = list(_folders(folder))
        within += [inner for outer in within for inner in _folders(outer)]
        beside = list(_folders(folder / ".."))
        seen: set[str] = set()
        self.tiers: list[list[Place]] = []
        for paths, root in (([folder], folder), (within, folder), (beside, folder / "..")):
            own = {os.path.realpath(path): path for path in reversed(paths)}
            new = [path for real, path in reversed(own.items()) if real not in seen]
            self.tiers.append([_place(path, root) for path in new])
            seen |= own.keys()


def _folders(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found if entry.is_dir() and not entry.name.startswith("."))
    except OSError:  # a folder that may not be read holds no pictures that could be
        return
    yield from (folder / name for name in names)


def _place(path: Path, root: Path) -> Place:
    parts = path.relative_to(root).parts
    return Place(path, tuple(part.lower() for part in parts), split_of(*parts))


def finders(folder: Path, named: Mapping[str, Mapping[str, str]]) -> dict[str, "Finder"]:
    """Return what finds the pictures of each split.

    Args:
        folder: the folder of the file that names the pictures.
        named: split -> the names of its pictures, each with file and line for the first ``SAMPLE``.

    Raises:
        ValueError: a name is that of two pictures, see `Finder`.
    """
    held = Counter(chain.from_iterable(named.values()))
    shared = {name for name, splits in held.items() if splits > 1}
    places = Places(folder)
    first = {split: dict(islice(names.items(), SAMPLE)) for split, names in named.items()}
    return {split: Finder(places, split, _table(wheres), wheres, shared) for split, wheres in first.items()}


def _table(wheres: Mapping[str, str]) -> str:
    """The name, without endings, of the file that the first of ``wheres`` tells."""
    where = next(iter(wheres.values()), "")
    return stem(Path(where.rpartition(":")[0]))


class Finder:
    """Finds the pictures of one split.

    The nearest counts: what is beside the table, then in the folders within its folder, then in those beside it, which
    are left alone where the others have at least as many of the first pictures: there is much that has the same names.
    Among folders that are equally near, those named like the split come first, then those named like the table.

    Args:
        places: the folders.
        split: the split's name.
        table: the name of the file that names the pictures, without endings.
        first: some of the names -> file and line of each, see ``SAMPLE``.
        shared: names that other splits have too. Those are never taken from a folder that is named like another split:
            where the picture itself is missing, that would be the other's.

    Raises:
        ValueError: two different pictures in equally near folders have one of the names in ``first``.
    """

    def __init__(
        self, places: Places, split: str, table: str, first: Mapping[str, str], shared: Container[str]
    ) -> None:
        self.folder, self.shared = places.folder, shared
        self.split = split_of(split) or split.lower()
        own, within, beside = (self._preferred(tier, table.lower()) for tier in places.tiers)
        groups = own + within
        found = {name: _holding(groups, name) for name in first}
        others = {name: _holding(beside, name) for name, held in found.items() if not held}
        near, far = (sum(map(bool, held.values())) for held in (found, others))
        if not near or near < far:
            groups, found = groups + beside, found | others
        for name, held in found.items():
            self._refuse_two(held, name, first[name])
        hits = Counter(held[0] for held in found.values() if held)
        # A folder that holds most of them is looked into first; within a group that changes nothing but the time.
        self.places = [place for group in groups for place in sorted(group, key=lambda place: -hits[place.path])]

    def __call__(self, name: str) -> Path | None:
        """Return the picture's path, or None where it is nowhere."""
        for place in self.places:
            found = os.path.join(place.path, name)
            if os.path.isfile(found) and not self._anothers(place, name):  # that of `Path` raises for a long name
                return Path(found)
        return None

    def missing(self, name: str) -> str:
        """Say in one clause that a picture is not there, or that it can only be that of another split."""
        for place in self.places:
            if self._anothers(place, name) and os.path.isfile(place.path / name):
                there = self._written(place.path)
                return (
                    f"the picture {name} is in {there} alone, but {place.split} has one of that name; write "
                    f"{there}/{name} where that one is meant"
                )
        return f"there is no picture {name} in {self.folder} or near it"

    def _preferred(self, tier: Iterable[Place], table: str) -> list[list[Place]]:
        """Sort equally near folders into those named like the split, those named like the table, and others."""
        groups: list[list[Place]] = [[], [], []]
        for place in tier:
            of_split = self.split == place.split or (not place.split and self.split in place.words)
            groups[0 if of_split else 1 if table in place.words and not place.split else 2].append(place)
        return groups

    def _anothers(self, place: Place, name: str) -> bool:
        return place.split not in ("", self.split) and name in self.shared

    def _refuse_two(self, found: Sequence[Path], name: str, where: str) -> None:
        for other in found[1:]:
            if not _same(found[0] / name, other / name):
                one, two = self._written(found[0]), self._written(other)
                raise ValueError(
                    f"{where}: {name} is in {one} and in {two}, two different pictures; write {one}/{name} in the "
                    "column, or whichever is meant"
                )

    def _written(self, folder: Path) -> str:
        """How a table writes a folder: relative to its own."""
        return Path(os.path.relpath(folder, self.folder)).as_posix()


def _holding(groups: Iterable[Iterable[Place]], name: str) -> list[Path]:
    """The folders of the first group in which the picture is."""
    for group in groups:
        if held := [place.path for place in group if os.path.isfile(os.path.join(place.path, name))]:
            return held
    return []


def _same(one: Path, two: Path) -> bool:
    """A copy, such as of an archive that was unpacked twice, is the same picture."""
    try:
        return filecmp.cmp(one, two, shallow=False)
    except OSError:
        return False


class Lost:
    """Rows and captions that cannot be used; as many as a picture has make one bad picture.

    Counted one by one against pictures of five captions each, 2.5 % of bad captions would read as 11 %.
    """

    def __init__(self) -> None:
        self.found: list[tuple[Problem, bool]] = []

    def row(self, problem: Problem) -> None:
        """Keep a row that cannot be read."""
        self.found.append((problem, True))

    def caption(self, problem: Problem) -> None:
        """Keep a caption that cannot be used."""
        self.found.append((problem, False))

    def told(self, pictures: int, rows: int, captions: int) -> tuple[list[Problem], list[str]]:
        """Name everything that was kept, by file and line.

        Args:
            pictures: how many have a usable caption.
            rows: how many hold one.
            captions: how many are usable.

        Returns:
            Problems, one for as much as a picture has; where all of it is less than half of that, sentences instead.
        """
        share = {True: pictures / max(1, rows), False: pictures / max(1, captions)}
        whole: list[list[Problem]] = []
        held: list[Problem] = []
        weight = 0.0
        for problem, is_row in self.found:
            held.append(problem)
            weight += share[is_row]
            if weight > 0.999 or not pictures:
                whole.append(held)
                held, weight = [], 0.0
        if weight >= 0.5:
            whole.append(held)
            held = []
        elif whole:
            whole[-1] += held
            held = []
        return [_joined(*group) for group in whole], [f"{p.where}: {p.reason}" for p in held]


def _joined(first: Problem, *others: Problem) -> Problem:
    return Problem(first.where, "; ".join([first.reason, *(f"{p.where}: {p.reason}" for p in others)]))
