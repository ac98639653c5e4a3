"""Encode the examples of a split, and report those that cannot be used."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from tqdm import tqdm

from pipelines.data.batching import Encoded
from pipelines.data.source import Example, Problem, Source
from pipelines.log import quiet, say
from pipelines.task import Mode, Task

MAX_BAD = 0.05
"""Largest share of unusable examples that is skipped; beyond it the data is refused."""
PART = 1024
"""Training examples that are encoded together at most, which bounds the memory that takes; see ``Task.part``."""


def encode_split(task: Task, source: Source, split: str, mode: Mode = "score") -> Encoded:
    """Read and encode a split at once, see `encode_parts`."""
    (encoded,) = encode_parts(task, source, split, mode, size=None)
    return encoded


def encode_parts(
    task: Task, source: Source, split: str, mode: Mode = "train", *, size: int | None = PART
) -> Iterator[Encoded]:
    """Read and encode a split, ``size`` examples at a time; bad rows are skipped, named, and stand in ``dropped``.

    What a task only refuses to learn from (``Task.refused``) is skipped in training, and named but scored otherwise: a
    score is that of the whole split. For training, examples keep their ``id`` and ``where`` only.

    Raises:
        ValueError: more than ``MAX_BAD`` of the examples are unusable, or none is left; names the first ones.
    """
    size = size and min(size, task.part)
    training = mode == "train"
    problems: list[str] = []
    odd: list[str] = []
    count = told = 0

    def note(problem: Problem) -> None:
        problems.append(f"{problem.where}: {problem.reason}")

    examples: Iterable[Example] = source.read(split, note)
    examples = _sifted(examples, task.refused, problems if training else odd, training)
    examples = iter(tqdm(examples, desc=f"encoding {split}", unit=" examples", disable=quiet(), leave=False))
    held = None  # until it is known whether it is the last one, which names what was skipped behind it too
    while chunk := list(islice(examples, size)):
        encoded = task.encode(chunk, mode)
        problems += encoded.dropped
        count += len(encoded)
        if len(encoded):
            if held:
                yield held
            held, told = dataclasses.replace(encoded, dropped=problems[told:]), len(problems)
    if held:
        yield dataclasses.replace(held, dropped=held.dropped + problems[told:])
    judge(source, split, count, problems, odd)


def judge(source: Source, split: str, count: int, problems: Sequence[str], odd: Sequence[str] = ()) -> None:
    """Say what was skipped, or refuse a split of which too much was.

    Args:
        source: what the split is of.
        split: its name.
        count: usable examples.
        problems: sentences about the others.
        odd: sentences about examples that training would skip, and that are used.

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


def _sifted(
    examples: Iterable[Example], refused: Callable[[Example], str], found: list[str], drop: bool
) -> Iterator[Example]:
    """Name the examples that are refused, and pass on the others, or all unless ``drop``."""
    for example in examples:
        reason = refused(example)
        found += [f"{example['where']}: {reason}"] if reason else []
        if not (reason and drop):
            yield example


def _first(problems: Sequence[str]) -> str:
    return "; ".join(problems[:3]) + ("; ..." if len(problems) > 3 else "")
