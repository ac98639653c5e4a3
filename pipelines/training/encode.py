"""Encoding of a split, with a report of unusable examples."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from tqdm import tqdm

from pipelines.data.batching import Encoded
from pipelines.data.source import Example, Problem, Source
from pipelines.log import quiet, say
from pipelines.task import Mode, Task

MAX_BAD = 0.05
"""Largest share of unusable examples that may be skipped; above it the data is rejected."""
PART = 1024
"""Largest number of training examples encoded at once, which bounds memory; see ``Task.part``."""


def encode_split(task: Task, source: Source, split: str, mode: Mode = "score") -> Encoded:
    """Read and encode a split as one part, see `encode_parts`."""
    (encoded,) = encode_parts(task, source, split, mode, size=None)
    return encoded


def encode_parts(
    task: Task, source: Source, split: str, mode: Mode = "train", *, size: int | None = PART
) -> Iterator[Encoded]:
    """Read and encode a split, ``size`` examples at a time; skipped rows are reported in ``dropped``.

    Examples that a task excludes from training only (``Task.refused``) are skipped in training; otherwise they are
    reported but scored, because a score covers the full split. Training examples keep only their ``id`` and ``where``.

    Raises:
        ValueError: see `judge`.
    """
    size = size and min(size, task.part)
    training = mode == "train"
    problems: list[str] = []
    odd: list[str] = []
    count = reported = 0

    def note(problem: Problem) -> None:
        problems.append(f"{problem.where}: {problem.reason}")

    examples: Iterable[Example] = source.read(split, note)
    examples = _filtered(examples, task.refused, problems if training else odd, training)
    examples = iter(tqdm(examples, desc=f"encoding {split}", unit=" examples", disable=quiet(), leave=False))
    held = None  # the last part also reports the rows skipped after it, so each part waits for the next one
    while chunk := list(islice(examples, size)):
        encoded = task.encode(chunk, mode)
        problems += encoded.dropped
        count += len(encoded)
        if len(encoded):
            if held:
                yield held
            held, reported = dataclasses.replace(encoded, dropped=problems[reported:]), len(problems)
    if held:
        yield dataclasses.replace(held, dropped=held.dropped + problems[reported:])
    judge(source, split, count, problems, odd)


def judge(source: Source, split: str, count: int, problems: Sequence[str], odd: Sequence[str] = ()) -> None:
    """Report skipped examples of a split, or reject a split with too many of them.

    ``count`` is the number of usable examples. ``problems`` are messages about the others, ``odd`` about examples that
    are scored although training would skip them.

    Raises:
        ValueError: more than ``MAX_BAD`` of the examples are unusable, or none is left; names the first ones.
    """
    total = count + len(problems)
    first = _first(problems)
    if not count:
        raise ValueError(f"{source.spec}: no usable example in split {split}{': ' + first if first else ''}")
    if len(problems) > MAX_BAD * total:
        raise ValueError(
            f"{source.spec}: {len(problems)} of {total} examples in split {split} cannot be used, more than "
            f"{MAX_BAD:.0%}: {first}"
        )
    if problems:
        say(f"{split}: {len(problems)} of {total} examples skipped: {first}")
    if odd:
        say(f"{split}: {len(odd)} of {total} examples are scored although training would skip them: {_first(odd)}")


def _filtered(
    examples: Iterable[Example], reject: Callable[[Example], str], found: list[str], drop: bool
) -> Iterator[Example]:
    """Add a message to ``found`` for each rejected example; yield the others, or all unless ``drop``."""
    for example in examples:
        reason = reject(example)
        found += [f"{example['where']}: {reason}"] if reason else []
        if not (reason and drop):
            yield example


def _first(problems: Sequence[str]) -> str:
    return "; ".join(problems[:3]) + ("; ..." if len(problems) > 3 else "")
