"""Word vectors from a file in the text format that word2vec and GloVe share: a word and its numbers on each line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipelines.data.tables import open_text, readable
from pipelines.data.text.vocabulary import CONTINUES, RESERVED


def pieces_by_word(vocabulary: Sequence[str]) -> dict[str, list[int]]:
    """Return word -> ids of the pieces that are written like it, at the beginning of a word and inside one."""
    words: dict[str, list[int]] = {}
    for number, piece in enumerate(vocabulary[len(RESERVED) :], len(RESERVED)):
        words.setdefault(piece.removeprefix(CONTINUES), []).append(number)
    return words


def read_vectors(path: str | Path, words: Mapping[str, list[int]], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the vectors of the words that are wanted; the file is streamed.

    A first line with two numbers (word2vec's header) is skipped; of a word that comes twice the first vector counts.

    Args:
        path: text file, also .gz, .xz or .bz2.
        words: word -> ids of the rows that its vector is for.
        width: D, numbers of each vector.

    Returns:
        ids int64 [N] and vectors float32 [N, D].

    Raises:
        ValueError: the file cannot be read, a line is no word with D numbers, or no wanted word is in it.
    """
    found: dict[str, np.ndarray] = {}
    with readable(Path(path)), open_text(Path(path).expanduser()) as file:
        for number, line in enumerate(file, start=1):
            parts = line.rstrip().rsplit(" ", width)
            if number == 1 and len(line.split()) == 2:
                continue
            if len(parts) != width + 1 or (number < 3 and len(line.split()) > width + 1):
                raise ValueError(f"{path}:{number}: has {len(line.split()) - 1} numbers, the embedding is {width} wide")
            if parts[0] in words and parts[0] not in found:
                found[parts[0]] = _numbers(parts[1:], f"{path}:{number}")
    if not found:
        raise ValueError(f"{path}: holds none of the {len(words)} pieces of the vocabulary")
    ids = [row for word in found for row in words[word]]
    rows = [vector for word, vector in found.items() for _ in words[word]]
    return np.array(ids), np.stack(rows)


def _numbers(parts: list[str], where: str) -> np.ndarray:
    try:
        vector = np.array(parts, np.float32)
    except ValueError:
        raise ValueError(f"{where}: expected a word and numbers, in text and not in binary format") from None
    if not np.isfinite(vector).all():
        raise ValueError(f"{where}: holds a number that is not finite")
    return vector
