"""Captioned pictures from the layouts that the community uses: Flickr8k, COCO, and tables of picture and caption.

An example is one picture with all its captions: ``id`` (the file's name as the data writes it), ``image`` (its
path), ``captions`` and ``where``. A picture is also the group by which missing splits are cut. ``notes`` of the first
example names captions that cannot be used, where in all the split they are fewer than half of what a picture has.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pipelines.data import tables as files
from pipelines.data.images.files import inspect, read
from pipelines.data.images.find import SAMPLE, Finder, Lost, finders
from pipelines.data.images.flickr import open_flickr
from pipelines.data.images.tables import Row, Rows, open_barred, table_rows
from pipelines.data.reading import read_regular, text_of
from pipelines.data.source import Example, OnProblem, Problem, Reader, Source

COLUMNS = {
    "image": ("image", "image_path", "picture", "path", "file", "file_name", "filename", "image_name"),
    "caption": ("caption", "captions", "text", "sentence", "comment"),
}
LARGEST_JSON = 2**31
"""Bytes of a file of captions; that of COCO has 2**27."""
LONGEST_CAPTION = 60
"""Words beyond which a caption is called out as more than a caption."""


def open_pictures(spec: str, columns: files.Columns = COLUMNS) -> Source:
    """Open captioned pictures.

    Accepted are: a folder with ``*.token.txt`` (Flickr8k, Flickr30k) or ``captions.txt``, or that file, and the split
    lists (``*trainImages.txt``, ``*devImages.txt``, ``*testImages.txt``) beside it if there are any; a COCO captions
    file or the folder above it; a Karpathy ``dataset_*.json``; and what `files.open_tables` opens, also with bars
    between the columns (Flickr30k's ``results.csv``), with a row for every picture and caption. Pictures are looked
    for beside the file that names them, and in folders in and next to its folder, see `pictures_find.Finder`.

    Raises:
        ValueError: no such path, nothing of the above in it, two files of captions or of one split, none of the
            pictures is there, or a name is that of two.
    """
    path = Path(spec).expanduser()
    if not path.exists():
        raise ValueError(f"--data {spec}: there is no such file or folder")
    notations = _json_files(path)
    if notations:
        return _source(spec, path, notations, _coco(notations, spec))
    found = open_flickr(spec, path, columns) or open_barred(spec, path, columns)
    if found:
        return _source(spec, path, *found)
    tables = files.open_tables(spec, columns)
    readers = {name: partial(table_rows, reader) for name, reader in tables.readers.items()}
    return _with_pictures(spec, path if path.is_dir() else path.parent, readers, tables.fingerprint)


def _source(spec: str, path: Path, read_from: list[Path], readers: dict[str, Rows]) -> Source:
    return _with_pictures(spec, path if path.is_dir() else path.parent, readers, files.fingerprint(read_from))


def _with_pictures(spec: str, folder: Path, rows: Mapping[str, Rows], fingerprint: str) -> Source:
    rows = {split: partial(_named, reader) for split, reader in rows.items()}
    named = {split: _names(reader) for split, reader in rows.items()}
    find = finders(folder, named)
    every = sorted(set[str]().union(*named.values()))

    def pictures(name: str) -> list[Path]:
        """The pictures of that name; splits may have different ones."""
        found = (find[split](name) for split in named if name in named[split])
        return list(dict.fromkeys(path for path in found if path))

    first = [name for names in named.values() for name in islice(names, SAMPLE)]
    if first and not any(map(pictures, first)):
        raise ValueError(f"--data {spec}: names pictures such as {first[0]}, but none is in {folder} or near it")
    total = hashlib.sha256(fingerprint.encode())
    for name in every:  # captions alone would not tell that a picture was replaced
        for path in pictures(name) or (None,):
            total.update(f"{name} {path.stat().st_size if path else None}\n".encode())
    readers = {split: _reader(reader, find[split]) for split, reader in rows.items()}
    return Source(spec, readers, total.hexdigest(), files=lambda: chain.from_iterable(map(pictures, every)))


def _names(rows: Rows) -> dict[str, str]:
    """The pictures that have captions -> file and line, for the first ``SAMPLE`` of them."""
    names: dict[str, str] = {}
    for row in rows(lambda _: None):
        if row.captions:
            names.setdefault(row.name, row.where if len(names) < SAMPLE else "")  # of all it would be much memory
    return names


def _named(rows: Rows, on_problem: OnProblem) -> Iterator[Row]:
    for row in rows(on_problem):
        if reason := files.broken(row.name):
            on_problem(Problem(row.where, f"the name of the picture {reason}"))
        else:
            yield row


def _reader(rows: Rows, find: Finder) -> Reader:
    """Group rows by picture, in the order in which pictures first appear."""

    def examples(on_problem: OnProblem) -> Iterator[Example]:
        groups: dict[str, Example] = {}
        lost, used = Lost(), 0
        for name, captions, where in rows(lost.row):
            if not captions:
                on_problem(Problem(where, f"{name} has no caption"))
                continue
            good = [" ".join(caption.split()) for caption in captions if usable(caption, where, lost.caption)]
            used += bool(good)
            if name not in groups:
                path = find(name)
                if path is None:
                    on_problem(Problem(where, find.missing(name)))
                groups[name] = {"id": name, "image": path and str(path), "captions": [], "where": where}
            groups[name]["captions"] += good
        described = [group for group in groups.values() if group["captions"]]
        problems, notes = lost.told(len(described), used, sum(len(group["captions"]) for group in described))
        for problem in problems:
            on_problem(problem)
        kept = [group for group in described if group["image"]]
        if kept and notes:
            kept[0]["notes"] = notes
        return iter(kept)

    return examples


def usable(caption: str, where: str, on_problem: OnProblem) -> bool:
    """Say whether a caption has any letter; hand it to ``on_problem`` when not."""
    reason = files.broken(caption)
    if not reason and not re.search(r"[^\W\d_]", caption):
        reason = f"has no word ({caption.strip()!r})"
    if reason:
        on_problem(Problem(where, f"the caption {reason}"))
    return not reason


# ----------------------------------------------------------------------------------------------------- layouts


def _json_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    patterns = ("captions_*.json", "annotations/captions_*.json", "dataset_*.json", "dataset.json")
    return next((found for found in (sorted(path.glob(pattern)) for pattern in patterns) if found), [])


def _coco(paths: Sequence[Path], spec: str) -> dict[str, Rows]:
    readers: dict[str, Rows] = {}
    held: dict[str, Path] = {}
    for path in paths:
        for split, rows in _splits(path, _load(path, spec)).items():
            if split in held:
                raise ValueError(
                    f"--data {spec}: {held[split].name} and {path.name} hold the same split, {split}; name one of "
                    "the two, or put the other elsewhere"
                )
            readers[split], held[split] = rows, path
    return readers


def _splits(path: Path, content: dict[str, Any]) -> dict[str, Rows]:
    if "annotations" in content:
        word = re.search("train|val|test", path.name)
        split = {"train": "train", "val": "validation", "test": "test"}[word[0]] if word else "all"
        return {split: partial(_coco_rows, content, path)}
    names = {str(image.get("split", "all")) for image in content["images"]}
    names = {"train" if name == "restval" else name for name in names}
    return {name: partial(_karpathy_rows, content, path, name) for name in sorted(names)}


def _load(path: Path, spec: str) -> dict[str, Any]:
    try:
        content = json.loads(text_of(read_regular(path, LARGEST_JSON)))
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"--data {spec}: {path} cannot be read as JSON: {error}") from None
    coco = isinstance(content, dict) and isinstance(content.get("images"), list)
    sentences = coco and content["images"] and all(isinstance(i, dict) and "sentences" in i for i in content["images"])
    if not coco or not (isinstance(content.get("annotations"), list) or sentences):
        raise ValueError(f"--data {spec}: {path} is no COCO captions file (lists named images and annotations)")
    return dict(content)


def _coco_rows(content: dict[str, Any], path: Path, on_problem: OnProblem) -> Iterator[Row]:
    names = {image.get("id"): str(image.get("file_name", "")) for image in content["images"]}
    for number, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotation {annotation.get('id', number)}"
        name = names.get(annotation.get("image_id"))
        if not name:
            on_problem(Problem(where, f"there is no image with id {annotation.get('image_id')!r}"))
        elif "caption" not in annotation:
            on_problem(Problem(where, "has no caption"))
        else:
            yield Row(name, (str(annotation["caption"]),), where)


def _karpathy_rows(content: dict[str, Any], path: Path, split: str, on_problem: OnProblem) -> Iterator[Row]:
    for number, image in enumerate(content["images"]):
        own = str(image.get("split", "all"))
        if split == ("train" if own == "restval" else own):
            name = str(Path(image.get("filepath", ""), str(image.get("filename", ""))))
            captions = tuple(str(sentence.get("raw", "")) for sentence in image["sentences"])
            yield Row(name, captions, f"{path}: image {number}")


# -------------------------------------------------------------------------------------------------- inspection


def review(example: Example) -> tuple[str, list[str]]:
    """Look at one example: why its picture (read whole) cannot be used, and what is unusual about it all.

    Returns:
        The problem, empty when there is none; notes on a usable picture and on junk captions.
    """
    try:
        finding = inspect(read(example["image"]))
    except ValueError as error:
        return str(error), []
    name = example["id"]
    notes = [*example.get("notes", ()), *(f"{name} {note}" for note in finding.notes)]
    notes += [f"{name}: {reason}" for reason in junk(example["captions"], str(name))]
    return f"{name} {finding.problem}" if finding.problem else "", notes


def junk(captions: Iterable[str], name: str) -> Iterator[str]:
    """Name captions that hardly describe a picture: one word, very long, a file's name, or said twice."""
    seen: set[str] = set()
    for caption in captions:
        words = caption.split()
        if len(words) < 2:
            yield f"the caption has only one word ({caption!r})"
        elif len(words) > LONGEST_CAPTION:
            yield f"the caption has {len(words)} words, more than {LONGEST_CAPTION}"
        if Path(name).stem and Path(name).stem in caption:
            yield f"the caption repeats the file's name ({caption!r})"
        if caption.lower() in seen:
            yield f"the same caption is there twice ({caption!r})"
        seen.add(caption.lower())
