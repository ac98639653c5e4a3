"""Wrap a generator of built-in examples as a source with the usual three splits."""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping

from pipelines.data.sources.source import Example, OnProblem, Reader, Source

Generator = Callable[[str, int, int], Iterator[Example]]


def builtin(examples: Generator, counts: Mapping[str, int], seed: int = 0) -> Source:
    """Return the source ``synthetic``: ``examples(split, count, seed)`` for every split in ``counts``."""

    def reader(split: str, count: int) -> Reader:
        def read(on_problem: OnProblem) -> Iterator[Example]:
            for number, example in enumerate(examples(split, count, seed), start=1):
                yield {"where": f"synthetic {split}:{number}", **example}

        return read

    module = inspect.getmodule(examples)
    content = (inspect.getsource(module) if module else "") + repr((dict(counts), seed))
    fingerprint = hashlib.sha256(content.encode()).hexdigest()
    return Source("synthetic", {split: reader(split, count) for split, count in counts.items()}, fingerprint)
