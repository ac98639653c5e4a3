"""Splits that are read under several names: parts that together are another split, and other names for the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from pipelines.data.sources.source import Example, OnProblem, Reader


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
