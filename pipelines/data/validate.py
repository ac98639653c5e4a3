"""Look at data before training: counts, lengths, unseen words, duplicates, and every example that cannot be used.

Splits are streamed once. What is kept is 8 or 16 bytes an example, the different lengths, and for each kind of text a
table of fixed size that remembers words, so a million lines need some tens of megabytes.
"""

import itertools
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipelines.data.counts import Lengths, Seen, Split
from pipelines.data.counts import WordTable as WordTable
from pipelines.data.counts import percentiles as percentiles
from pipelines.data.identity import Look, digest_of, kind_of, look
from pipelines.data.labels import need_classes, shown
from pipelines.data.source import Example, Problem, Source, distinct

NAMED = 5
"""How many duplicates and how many texts in another normal form are named by file and line."""
_FILES = {"audio", "image"}
_NO_TEXT = {"id", "where", "label", "speaker", "rate", "split", *_FILES}


@dataclass(frozen=True)
class Facets:
    """What validation looks at in one example.

    Attributes:
        texts: the texts by field name.
        label: the class, or None for tasks without.
        problem: why it cannot be used; empty when it can.
        unlearned: why training leaves it out, although evaluation scores it; empty when it does not.
        notes: what is unusual about an example that is used nevertheless, one clause each.
    """

    texts: dict[str, str]
    label: str | None = None
    problem: str = ""
    unlearned: str = ""
    notes: tuple[str, ...] = ()


View = Callable[[Example], Facets]
Tell = Callable[[str, Problem], None]


def usual_facets(example: Example) -> Facets:
    """View an example of any task: every text field must hold text, every named file must exist."""
    texts = {}
    for name, value in example.items():
        if name in _NO_TEXT:
            continue
        text = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
        if not isinstance(text, str) or not text.strip():
            return Facets({}, problem=f"the {name} is empty or no text ({value!r:.40})")
        texts[name] = text
    for name in _FILES:
        if isinstance(example.get(name), str) and not Path(example[name]).is_file():
            return Facets({}, problem=f"there is no file {example[name]}")
    return Facets(texts, None if example.get("label") is None else str(example["label"]))


def validate(
    source: Source, view: View, on_problem: Tell, most_bad: float, on_note: Tell = lambda split, note: None
) -> dict[str, Any]:
    """Read every split of a source, train first; what is read under several names is read once, see `distinct`.

    Args:
        source: the opened data.
        view: how to look at one example.
        on_problem: called with the split and each example that cannot be used, as it is found.
        most_bad: share of unusable examples above which training refuses the data.
        on_note: called likewise with what is unusual about an example that is used.

    Of recordings and pictures, duplicates have equal sound or pixels; equal texts are counted beside them.

    Returns:
        The report, JSON types: ``data``, ``splits`` (by name), ``unreadable`` (name of a split that training does not
        need -> why it cannot be read) and ``refusals`` (sentences; empty when training would begin).

    Raises:
        ValueError: what training needs cannot be read at all.
    """
    train = source.find("train") if source.has("train") else ""
    names = sorted(distinct(source.readers), key=lambda name: name != train)
    seen: Seen = {}
    splits: list[Split] = []
    unreadable: dict[str, str] = {}
    needed = [source.find(purpose) for purpose in ("train", "validation") if source.has(purpose)]
    for name in names:
        known = splits[0].labels if splits and splits[0].name == train else None
        try:
            splits.append(_count(source, name, view, (on_problem, on_note), seen, known))
        except ValueError as error:  # such as a test split without labels, which training does not look at
            if name in needed:
                raise
            unreadable[name] = str(error)
    report: dict[str, Any] = {}
    for split in splits:
        others = [other for other in splits[: splits.index(split)] if other.examples]
        report[split.name] = _summary(source, split, others, bool(train) and split.name != train)
    refusals = _refusals(source, splits, most_bad)
    return {"data": source.spec, "splits": report, "unreadable": unreadable, "refusals": refusals}


def _count(
    source: Source,
    name: str,
    view: View,
    tell: tuple[Tell, Tell],
    seen: Seen,
    known: Counter[str] | None,
) -> Split:
    split = Split(name, known)

    def bad(problem: Problem) -> None:
        split.bad += 1
        tell[0](name, problem)

    examples = source.read(name, bad)
    progress = tqdm(examples, desc=name, unit=" examples", disable=not sys.stderr.isatty(), leave=False)
    for number, (example, facets, found) in enumerate(_viewed(progress, view)):
        split.compared = kind_of(example)
        reason = _reason(facets, known)
        if reason:
            split.refused.add(number)
            bad(Problem(example["where"], reason))
        else:
            _add(split, example["where"], facets, found, seen, learn=known is None)
            for note in (*_notes(facets), *found.notes):
                tell[1](name, Problem(example["where"], note))
    return split


def _viewed(examples: Iterable[Example], view: View) -> Iterator[tuple[Example, Facets, Look]]:
    """View examples in their order; recordings and pictures, which are decoded outside of Python, several at a time."""
    source = iter(examples)
    with ThreadPoolExecutor() as pool:
        for first in source:
            chunk = [first, *itertools.islice(source, 63 if first.keys() & _FILES else 0)]
            several = pool.map if len(chunk) > 1 else map
            yield from zip(chunk, several(view, chunk), several(look, chunk), strict=True)


def _reason(facets: Facets, known: Counter[str] | None) -> str:
    """Say why an example cannot be used; a label must be one of train's, which is the split without ``known`` ones."""
    if known is None and facets.unlearned:
        return facets.problem or facets.unlearned
    if facets.problem or not known or facets.label is None or facets.label in known:
        return facets.problem
    return f"unknown label {facets.label!r}; train has {shown(sorted(known))}"


def _notes(facets: Facets) -> tuple[str, ...]:
    skipped = (f"{facets.unlearned}: scored, though training would skip it",) if facets.unlearned else ()
    return facets.notes + skipped


def _add(split: Split, where: str, facets: Facets, found: Look, seen: Seen, learn: bool) -> None:
    split.examples += 1
    if facets.label is not None:
        split.labels[facets.label] += 1
    for name, text in facets.texts.items():
        if name not in seen:
            seen[name] = WordTable()
        split.fields.setdefault(name, Lengths()).add(text, seen[name], learn)
    text = "\n".join(facets.texts.values())
    if not unicodedata.is_normalized("NFC", text):
        split.not_nfc += 1
        split.not_nfc_at += [where] if len(split.not_nfc_at) < NAMED else []
    if found.notes or _notes(facets):
        split.unusual += 1
        split.unusual_at += [where] if len(split.unusual_at) < NAMED else []
    split.texts.append(digest_of(text))
    if found.digest is not None:
        split.files.append(found.digest)


def _summary(source: Source, split: Split, others: list[Split], unseen: bool) -> dict[str, Any]:
    compared = {name: _compared(split, others, name) for name in (("files", "texts") if split.files else ("texts",))}
    wanted = {at: np.flatnonzero(mask)[:NAMED].tolist() for at, mask in _flat(compared).items()}
    examples = enumerate(source.read(split.name, lambda problem: None))
    usable = (example for number, example in examples if number not in split.refused)
    places = _places(usable, set(itertools.chain(*wanted.values())))

    def told(at: tuple[str, str]) -> dict[str, Any]:
        return {"count": int(compared[at[0]][at[1]].sum()), "at": [places[i] for i in wanted[at] if i in places]}

    main = "files" if split.files else "texts"
    also = [other.name for other in others]
    equal = {"within": told(("texts", "")), **{name: told(("texts", name)) for name in also}} if split.files else None
    fields = {name: lengths.summary(unseen) for name, lengths in split.fields.items()}
    only = next(iter(fields.values())) if len(fields) == 1 else Lengths().summary(False)
    return {
        "examples": split.examples,
        "bad": split.bad,
        "labels": dict(sorted(split.labels.items())),
        **only,
        "fields": fields,
        "compared": split.compared,
        "duplicates": told((main, "")),
        "also_in": {name: told((main, name)) for name in also},
        "equal_texts": equal,
        "not_nfc": {"count": split.not_nfc, "at": split.not_nfc_at},
        "unusual": {"count": split.unusual, "at": split.unusual_at},
    }


def _compared(split: Split, others: list[Split], name: str) -> dict[str, np.ndarray]:
    """Which examples are in another split too, by its name, and under no name which repeat an earlier one: bool [N]."""
    digests = np.frombuffer(getattr(split, name), np.uint64) if split.examples else np.zeros(0, np.uint64)
    _, first = np.unique(digests, return_index=True)
    repeated = np.ones(len(digests), bool)
    repeated[first] = False
    shared = {o.name: np.isin(digests, np.frombuffer(getattr(o, name), np.uint64)) for o in others}
    return {**shared, "": repeated}


def _flat(compared: dict[str, dict[str, np.ndarray]]) -> dict[tuple[str, str], np.ndarray]:
    return {(what, name): mask for what, masks in compared.items() for name, mask in masks.items()}


def _places(usable: Iterable[Example], wanted: set[int]) -> dict[int, str]:
    """Read again as far as needed and return where the examples with these numbers stand."""
    found: dict[int, str] = {}
    for number, example in enumerate(usable if wanted else ()):
        if number in wanted:
            found[number] = str(example["where"])
            if len(found) == len(wanted):
                break
    return found


def _refusals(source: Source, splits: list[Split], most_bad: float) -> list[str]:
    """Say why training would not begin."""
    found = []
    needed = {"train", "validation"}
    for purpose in sorted(needed):
        if not source.has(purpose):
            found.append(f"there is no {purpose} split; there are: {', '.join(source.readers) or 'none'}")
            continue
        split = next(split for split in splits if split.name == source.find(purpose))
        total = split.examples + split.bad
        if not split.examples:
            found.append(f"{split.name}: no usable example")
        elif split.bad > most_bad * total:
            found.append(f"{split.name}: {split.bad} of {total} examples cannot be used, more than {most_bad:.0%}")
        if purpose == "train" and split.labels:
            try:
                need_classes(split.labels)
            except ValueError as error:
                found.append(f"{split.name}: {error}")
    return found
