"""A source: named splits of raw examples, each a plain dict, read as a stream."""

import bisect
import hashlib
import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

Example = dict[str, Any]
"""One raw example: ``id`` (text, unique in its split), ``where`` (file and line), and the task's fields."""


@dataclass(frozen=True)
class Problem:
    """A row that cannot be used: ``where`` is ``FILE:LINE`` and ``reason`` one clause."""

    where: str
    reason: str


OnProblem = Callable[[Problem], None]
Reader = Callable[[OnProblem], Iterator[Example]]

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}


ALL = "all"
"""The only split of data that has none."""


def refuse(problem: Problem) -> None:
    """Stop at the first bad row.

    Raises:
        ValueError: always; names file, line and reason.
    """
    raise ValueError(f"{problem.where}: {problem.reason}")


def as_it_is(example: Example) -> Example:
    """Return an example that is whole already."""
    return example


@dataclass(frozen=True)
class Source:
    """Named splits of raw examples.

    Attributes:
        spec: what the user wrote after ``--data``.
        readers: split name -> function that streams its examples, handing bad rows to a callback.
        fingerprint: SHA-256 over what the examples are read from, so that a resumed run notices other data.
        cuts: split name -> sentence that says from where it was cut, for splits the data did not have.
        files: lists the files that examples name or are, such as recordings, of which ``fingerprint`` does not know the
            content.
        whole: of data without splits, that were cut: the reader of all of it, which answers to the split ``all``.
        lacking: split name -> sentence that says why it cannot be read, for those of which a part is not there.
        finish: makes an example whole whose reader left out what is dear, such as drawing; it is asked for those alone
            that are kept.
    """

    spec: str
    readers: Mapping[str, Reader]
    fingerprint: str
    cuts: Mapping[str, str] = field(default_factory=dict)
    files: Callable[[], Iterable[Path]] = tuple
    whole: Reader | None = None
    lacking: Mapping[str, str] = field(default_factory=dict)
    finish: Callable[[Example], Example] = as_it_is

    def read(self, split: str, on_problem: OnProblem = refuse) -> Iterator[Example]:
        """Stream the examples of ``split`` in the order of the data.

        Raises:
            ValueError: no such split, or (with the default callback) a bad row.
        """
        found = self.find(split)
        reader = self.whole if self.whole and found == ALL else self.readers[found]
        return map(self.finish, reader(on_problem))

    def find(self, split: str) -> str:
        """Return the name of the split that ``split`` means: itself, a usual synonym, or the only one beginning so.

        Raises:
            ValueError: no split, or several, answer to the name; lists them.
        """
        names = self._named(split)
        if not names:
            why = self._why(split)
            there = ", ".join(self.readers) or "none"
            raise ValueError(f"{self.spec}: there is no split {split}{why and f' ({why})'}; there are: {there}")
        return names[0]

    def has(self, split: str) -> bool:
        """Say whether ``find`` would find one.

        Raises:
            ValueError: several splits answer to the name; lists them.
        """
        return bool(self._named(split))

    def _why(self, split: str) -> str:
        """Say why a split is lacking, or nothing."""
        return next((self.lacking[n] for n in (split, *SPLIT_NAMES.get(split, ())) if n in self.lacking), "")

    def _named(self, split: str) -> list[str]:
        """Return the splits that ``split`` means, the first of which counts."""
        if split in self.lacking:  # not another one that begins so
            return []
        if split == ALL and self.whole:
            return [ALL]
        names = [name for name in (split, *SPLIT_NAMES.get(split, ())) if name in self.readers]
        names = names or sorted(name for name in self.readers if name.startswith(split))
        if len(names) > 1 and split not in self.readers and not set(names) <= set(SPLIT_NAMES.get(split, ())):
            raise ValueError(
                f"{self.spec}: several splits begin with {split}: {', '.join(names)}; "
                f"name one with --split, or call its file {split}"
            )
        return names


def alone(readers: dict[str, Reader]) -> dict[str, Reader]:
    """Call a split that is the only one ``all``, to be cut into three, unless it has the name of a split."""
    usual = {name for synonyms in SPLIT_NAMES.values() for name in synonyms}
    return readers if len(readers) != 1 or usual & set(readers) else {ALL: next(iter(readers.values()))}


def fraction(group: str) -> float:
    """Map a group's name to [0, 1) by SHA-256, so that a cut never depends on order, seed or machine."""
    return int.from_bytes(hashlib.sha256(group.encode("utf-8")).digest()[:8], "big") / 2**64


def with_cuts(source: Source, group: Callable[[Example], str], share: float) -> Source:
    """Cut the missing validation split from train by a hash of each example's group (text, speaker, picture).

    A source that is one unsplit file (its only split is called ``all``) also gets a test split of the same share.
    Equal groups stay together, so no text stands on both sides.
    """
    if set(source.readers) == {ALL}:
        every = source.readers[ALL]
        parts = {"train": (2 * share, 1.0), "validation": (share, 2 * share), "test": (0.0, share)}
        whole, cut = f"the only file of {source.spec}", ["train", "validation", "test"]
    elif source.has("train") and not source.has("validation"):
        every = source.readers[source.find("train")]
        parts = {source.find("train"): (share, 1.0), "validation": (0.0, share)}
        whole, cut = "train", ["validation"]
    else:
        return source
    readers = dict(source.readers) if ALL not in source.readers else {}
    readers |= {name: _between(every, group, low, high) for name, (low, high) in parts.items()}
    notes = {name: f"{name} is cut from {whole} by a hash of each example's group" for name in cut}
    return replace(source, readers=readers, cuts=notes, whole=source.readers.get(ALL))


def with_time_cuts(
    source: Source, time: Callable[[Example], float], share: float, series: Callable[[Example], str] = lambda e: ""
) -> Source:
    """Cut the missing splits by time: validation, and of unsplit data test too, are the last part of each series.

    A split by hash would let a network learn from the future of what it is tested on. Times are read once before the
    first split is; rows of equal time stay together.

    Args:
        source: the data.
        time: the time of an example, on any scale that increases.
        share: part of each series' examples in validation, and in test.
        series: the series of an example; all are one when left out.

    Returns:
        The source with the splits ``train``, ``validation`` and, of unsplit data, ``test``.
    """
    if set(source.readers) == {ALL}:
        every, names = source.readers[ALL], ["train", "validation", "test"]
    elif source.has("train") and not source.has("validation"):
        every, names = source.readers[source.find("train")], ["train", "validation"]
    else:
        return source
    limits = _Limits(every, time, series, share, len(names) - 1)
    readers = dict(source.readers) if ALL not in source.readers else {}
    readers |= {name: _within(every, limits, number) for number, name in enumerate(names)}
    notes = {name: f"{name} is cut from {source.spec} by time: the later part of each series" for name in names[1:]}
    return replace(source, readers=readers, cuts=notes, whole=source.readers.get(ALL))


class _Limits:
    """The times at which each series is cut, read when they are first needed."""

    def __init__(
        self,
        reader: Reader,
        time: Callable[[Example], float],
        series: Callable[[Example], str],
        share: float,
        cuts: int,
    ) -> None:
        self.reader, self.time, self.series, self.share, self.cuts = reader, time, series, share, cuts
        self.found: dict[str, list[float]] = {}

    def part(self, example: Example) -> int:
        """Return which part of its series an example lies in, 0 being the earliest."""
        if not self.found:
            times: dict[str, list[float]] = {}
            for one in self.reader(lambda problem: None):
                times.setdefault(self.series(one), []).append(self.time(one))
            self.found = {name: self._cut(sorted(values)) for name, values in times.items()}
        return bisect.bisect_right(self.found[self.series(example)], self.time(example))

    def _cut(self, times: list[float]) -> list[float]:
        size = round(self.share * len(times))
        return [times[len(times) - size * number] if size else math.inf for number in range(self.cuts, 0, -1)]


def _within(reader: Reader, limits: _Limits, number: int) -> Reader:
    def read(on_problem: OnProblem) -> Iterator[Example]:
        problems = on_problem if number == 0 else lambda problem: None  # a row without a time is reported once
        return (example for example in reader(problems) if limits.part(example) == number)

    return read


def told(cuts: Mapping[str, str]) -> list[str]:
    """Return the sentences of ``Source.cuts``; what is said of several splits alike is said once of them together."""
    together: dict[str, list[str]] = {}
    for name, sentence in cuts.items():
        together.setdefault(sentence.removeprefix(f"{name} is "), []).append(name)
    found = []
    for rest, names in together.items():
        every = f"{', '.join(names[:-1])} and {names[-1]} are " if len(names) > 1 else f"{names[0]} is "
        found.append(rest if rest == cuts[names[0]] else every + rest)
    return found


def _between(reader: Reader, group: Callable[[Example], str], low: float, high: float) -> Reader:
    def read(on_problem: OnProblem) -> Iterator[Example]:
        def inside(problem: Problem) -> None:
            if low <= fraction(problem.where) < high:  # a row without a group is reported by one part only
                on_problem(problem)

        return (example for example in reader(inside) if low <= fraction(group(example)) < high)

    return read


def limited(source: Source, limit: int) -> Source:
    """Keep at most ``limit`` examples of every split, spread over the whole split by the hash of their ids.

    The first ones would not do: many sets are sorted by class. Of a longer split no more than ``limit`` examples are in
    memory at a time.
    """

    def cut(reader: Reader) -> Reader:
        def read(on_problem: OnProblem) -> Iterator[Example]:
            ranked = ((fraction(f"limit {e['id']} {i}"), i, e) for i, e in enumerate(reader(on_problem)))
            kept = heapq.nsmallest(limit, ranked, key=lambda entry: entry[:2])
            return (example for _, _, example in sorted(kept, key=lambda entry: entry[1]))

        return read

    readers = {name: cut(reader) for name, reader in source.readers.items()}
    whole = cut(source.whole) if source.whole else None
    return replace(source, readers=readers, whole=whole, fingerprint=f"{source.fingerprint}-limit-{limit}")


@dataclass(frozen=True)
class Joined:
    """Reads several splits one after another as one, such as the three training parts of LibriSpeech."""

    parts: tuple[Reader, ...]

    def __call__(self, on_problem: OnProblem) -> Iterator[Example]:
        """Stream the examples of all parts; bad rows are handed to the callback."""
        return chain.from_iterable(part(on_problem) for part in self.parts)


def distinct(readers: Mapping[str, Reader]) -> dict[str, Reader]:
    """Leave out what another name reads too: the parts of a joined split, and all names of a reader but the last."""
    parts = {id(part) for reader in readers.values() if isinstance(reader, Joined) for part in reader.parts}
    last = {id(reader): name for name, reader in readers.items()}
    return {name: readers[name] for name in last.values() if id(readers[name]) not in parts}
