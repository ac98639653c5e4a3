"""Raw examples from tensorflow-datasets: `tfds:NAME[/CONFIG][:VERSION]`, once it is prepared on this machine.

Opening a set never reaches for the network: what is missing is said in a sentence, with the command that prepares it.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from pipelines.config import nearest
from pipelines.data.cells import LISTS, unfit
from pipelines.data.source import Example, OnProblem, Problem, Reader, Source
from pipelines.data.tables import Columns
from pipelines.data.text.layouts import CLASS_NAMES
from pipelines.data.tfds_folder import PREFIX, folder, missing

HIDDEN = -1
"""What tensorflow-datasets writes for a label that is not published."""
_SPEC = re.compile(r"[A-Za-z0-9_]+(/[\w.\-]+)?(:\d+\.\d+\.\d+)?")


def find_builder(spec: str) -> Any:
    """Return the builder that ``tfds:NAME`` means, prepared or not.

    Raises:
        ValueError: the name is malformed, or there is no such set, configuration or version.
    """
    name = spec.removeprefix(PREFIX)
    if not _SPEC.fullmatch(name):
        raise ValueError(f"--data {spec}: expected tfds:NAME, tfds:NAME/CONFIG or tfds:NAME/CONFIG:1.0.0")
    try:
        return tfds.builder(name, data_dir=folder(), try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        own = re.split("[/:]", name)[0]
        hint = nearest(own, tfds.list_builders(with_community_datasets=False))
        raise ValueError(
            f"--data {spec}: tensorflow-datasets knows no {own}, and {folder()} holds none{hint}"
        ) from None
    except (ValueError, AssertionError, OSError, RuntimeError) as error:
        raise ValueError(f"--data {spec}: cannot be opened: {_first_line(error)}") from None


def open_named(spec: str, columns: Columns, optional: tuple[str, ...] = ()) -> Source:
    """Open a prepared set.

    Args:
        spec: ``tfds:NAME[/CONFIG][:VERSION]``.
        columns: field of the example -> names of the feature that may hold it; the first that is there is taken.
        optional: fields that a set may lack.

    Returns:
        A source with the official splits; splits without published labels are left out. Texts are decoded, classes
        are named (``neg`` and ``pos`` as negative and positive, names that are numbers by their index), other features
        come as NumPy values.

    Raises:
        ValueError: the set is not prepared, unknown, or lacks a feature.
    """
    builder = find_builder(spec)
    if not builder.is_prepared():
        raise ValueError(missing(spec))
    chosen = _features(spec, builder.info.features, columns, optional)
    convert = {field: _converter(builder.info.features[name]) for field, name in chosen.items()}

    def reader(split: str) -> Reader:
        def read(on_problem: OnProblem) -> Iterator[Example]:
            rows = tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))
            for number, row in enumerate(rows, start=1):
                fields = {field: convert[field](row[name]) for field, name in chosen.items()}
                where = f"{spec} {split}:{number}"
                texts = {name: value for name, value in fields.items() if name not in LISTS}  # `usable` sees to those
                if reason := next(filter(None, (unfit(name, value) for name, value in texts.items())), ""):
                    on_problem(Problem(where, reason))
                    continue
                yield {"id": f"{split}:{number}", "where": where, **fields}

        return read

    readers = {split: reader(split) for split in builder.info.splits}
    label = chosen.get("label")
    if label is not None:
        readers = {split: read for split, read in readers.items() if not _hidden(builder, split, label)}
    return Source(spec, readers, _fingerprint(builder))


def prepare(spec: str) -> Path:
    """Download and prepare a set, and return its folder.

    Raises:
        ValueError: there is no such set.
        RuntimeError: it cannot be downloaded or prepared.
    """
    builder = find_builder(spec)
    try:
        builder.download_and_prepare()
    except Exception as error:  # every builder raises its own
        raise RuntimeError(f"{spec}: cannot be prepared: {type(error).__name__}: {_first_line(error)}") from None
    return Path(builder.data_dir)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _features(spec: str, features: Any, columns: Columns, optional: tuple[str, ...]) -> dict[str, str]:
    """Choose the feature for every field."""
    chosen = {}
    for field, candidates in columns.items():
        found = next((name for name in candidates if name in features), None)
        if found is not None:
            chosen[field] = found
        elif field not in optional:
            there = ", ".join(sorted(features))
            raise ValueError(
                f"--data {spec}: no feature for {field} (one of: {', '.join(candidates)}); there are: {there}"
            )
    return chosen


def _converter(feature: Any) -> Callable[[Any], Any]:
    if isinstance(feature, tfds.features.ClassLabel):
        names = feature.names
        if len(names) == 2 and all(name.isdecimal() for name in names):
            return int
        return lambda value: CLASS_NAMES.get(names[value], names[value]) if value >= 0 else HIDDEN
    if isinstance(feature, tfds.features.Text):
        return lambda value: value.decode("utf-8", "surrogateescape")  # what is no text is found by `unfit`
    return lambda value: value


def _hidden(builder: Any, split: str, label: str) -> bool:
    first = next(iter(tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))), None)
    return first is not None and isinstance(builder.info.features[label], tfds.features.ClassLabel) and first[label] < 0


def _fingerprint(builder: Any) -> str:
    """SHA-256 over name, version and the sizes of all shards."""
    total = hashlib.sha256(builder.info.full_name.encode())
    for name, split in sorted(builder.info.splits.items()):
        total.update(f"{name} {split.num_bytes} {split.shard_lengths}\n".encode())
    return total.hexdigest()
