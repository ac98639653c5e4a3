"""Learns a subword vocabulary from texts with the `tokenizers` library (training only: using one needs no library)."""

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

import tensorflow as tf
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from pipelines.data.text.vocabulary import CONTINUES, RESERVED, normalise

_START = "\x01"  # marks the beginning of a word; cleaned text holds no control characters
_LONGEST_PIECE = 20  # characters
_APOSTROPHES = "'’"
_CHUNK = 1024


def learn_vocabulary(
    texts: Iterable[str],
    size: int,
    lowercase: bool = True,
    min_frequency: int = 2,
    markup: bool = False,
    kind: str = "subword",
) -> list[str]:
    """Learns at most `size` pieces, the reserved ones included, for `SubwordVocabulary`.

    Pieces are merged by byte-pair encoding (Sennrich et al. 2016) within runs of one kind of character, so that none
    crosses from a word into its punctuation: `film.` is `film` and `##.`. An apostrophe between letters begins a run
    (`don` `##'t`). The result depends on the multiset of texts and the options only.

    Args:
        texts: read once; memory grows with the number of distinct words, not of texts.
        size: upper bound of the number of pieces; a small corpus gives fewer.
        lowercase, markup: as in `normalise`, which the texts pass first.
        min_frequency: a character, a merge or a word that occurs less often gets no piece.
        kind: "subword" learns merges; "word" takes the most frequent whole runs, so that a frequent word is one piece
            and only a rare one is spelled by shorter pieces.

    Raises:
        ValueError: `size` has no room for a learned piece, `min_frequency` is below 1, or the kind is unknown.
    """
    if size <= len(RESERVED):
        raise ValueError(f"size must be above {len(RESERVED)}, the number of reserved pieces, got {size}")
    if min_frequency < 1:
        raise ValueError(f"min_frequency must be at least 1, got {min_frequency}")
    if kind not in ("subword", "word"):
        raise ValueError(f"kind must be subword or word, got {kind!r}")
    room = size - len(RESERVED)
    runs = _count_runs(_count_words(texts, lowercase, markup))
    alphabet = _alphabet(runs, room, min_frequency)
    if kind == "word":
        return [*RESERVED, *_frequent(runs, alphabet, min_frequency)][:size]
    trainer = trainers.BpeTrainer(
        vocab_size=room + 1,  # the start mark takes one
        min_frequency=min_frequency,
        initial_alphabet=sorted(alphabet),
        max_token_length=_LONGEST_PIECE,
        show_progress=False,
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(_repeated(runs, alphabet), trainer)
    learned = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return [*RESERVED, *(name for piece, _ in learned if (name := _name(piece)))][:size]


def _count_words(texts: Iterable[str], lowercase: bool, markup: bool) -> Counter[str]:
    """Counts white-space words after the same in-graph cleaning that `encode` will see."""
    counts: Counter[str] = Counter()
    source = iter(texts)
    while chunk := list(itertools.islice(source, _CHUNK)):
        cleaned = normalise(tf.constant(chunk), lowercase, markup).numpy()
        counts.update(b" ".join(cleaned).decode("utf-8").split(" "))
    del counts[""]
    return counts


def _count_runs(words: Counter[str]) -> Counter[str]:
    """Cuts words into runs of letters, digits or other characters; the first run of a word carries the start mark."""
    runs: Counter[str] = Counter()
    for word, count in words.items():
        for run in _split_kinds(_START + word):
            runs[run] += count
    return runs


def _split_kinds(word: str) -> Iterator[str]:
    """Yields the runs of a marked word; the mark belongs to the run behind it."""
    run, kind = word[:2], _kind(word, 1)
    for position in range(2, len(word)):
        following = _kind(word, position)
        if following != kind or (kind == "L" and word[position] in _APOSTROPHES):
            yield run
            run = ""
        run, kind = run + word[position], following
    yield run


def _kind(word: str, position: int) -> str:
    """The kind of one character: letter (with combining marks), number, or other."""
    character = word[position]
    if (
        character in _APOSTROPHES
        and word[position - 1 : position].isalpha()
        and word[position + 1 : position + 2].isalpha()
    ):
        return "L"
    return {"L": "L", "M": "L", "N": "N"}.get(unicodedata.category(character)[0], "S")


def _alphabet(runs: Counter[str], room: int, min_frequency: int) -> set[str]:
    """The most frequent characters, at most half of the room, the start mark not counted but included."""
    counts: Counter[str] = Counter()
    for run, count in runs.items():
        for character in run:
            counts[character] += count
    del counts[_START]
    ranked = sorted((c for c in counts if counts[c] >= min_frequency), key=lambda c: (-counts[c], c))
    return {_START, *ranked[: max(1, room // 2)]}


def _frequent(runs: Counter[str], alphabet: set[str], min_frequency: int) -> Iterator[str]:
    """Names the alphabet's characters, then whole runs, the most frequent first."""
    names = dict.fromkeys(name for c in sorted(alphabet - {_START}) for name in (_name(c),) if name)
    ranked = sorted((run for run in runs if runs[run] >= min_frequency), key=lambda run: (-runs[run], run))
    names |= dict.fromkeys(name for run in ranked if len(run) <= _LONGEST_PIECE + 1 and (name := _name(run)))
    yield from names


def _repeated(runs: Counter[str], alphabet: set[str]) -> Iterator[str]:
    """Writes each run as often as it occurs, in a fixed order, cut where a character is outside the alphabet."""
    outside = {c for run in runs for c in run} - alphabet
    cut = re.compile("[" + "".join(map(re.escape, sorted(outside))) + "]") if outside else None
    for run in sorted(runs):
        text = (cut.sub(" ", run) if cut else run) + " "
        for start in range(0, runs[run], _CHUNK):
            yield text * min(_CHUNK, runs[run] - start)


def _name(piece: str) -> str:
    """Writes a learned piece as the vocabulary file does; empty for what the file cannot hold unambiguously."""
    if not piece.startswith(_START):
        return CONTINUES + piece
    bare = piece.removeprefix(_START)
    return "" if bare.startswith(CONTINUES) else bare
