"""n-gram language models: Kneser-Ney estimation, ARPA files, and log-probabilities for decoding.

Interpolated Kneser-Ney with one discount an order: Ney, Essen and Kneser 1994; Chen and Goodman, "An empirical study
of smoothing techniques for language modeling", 1999, section 2.7 and equation 24. Tokens are words, or characters
with `SPACE` for the blank between words.
"""

from __future__ import annotations

import gzip
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipelines.data.reading import broken, lines

BEGIN, END, UNKNOWN, SPACE = "<s>", "</s>", "<unk>", "<space>"
LN10 = math.log(10.0)
NEVER = -99.0
UNSEEN = -7.0

Gram = tuple[str, ...]


@dataclass(frozen=True)
class NGram:
    """A back-off model: `logs` holds log10 p(last token | context) of n-grams, `backoffs` log10 weights of contexts."""

    order: int
    logs: dict[Gram, float]
    backoffs: dict[Gram, float]

    def log(self, context: Gram, token: str) -> float:
        """Natural logarithm of p(token | context); unknown tokens are scored as `<unk>`, or 1e-7 if the model has none.

        The context may be longer than the model's order; at the start of a sentence it is `<s>`.
        """
        if (token,) not in self.logs:
            token = UNKNOWN
        context = context[-(self.order - 1) :] if self.order > 1 else ()
        weight = 0.0
        while True:
            found = self.logs.get((*context, token))
            if found is not None:
                return LN10 * (weight + found)
            if not context:
                return LN10 * (weight + UNSEEN)
            weight += self.backoffs.get(context, 0.0)
            context = context[1:]

    def advance(self, context: Gram, token: str) -> Gram:
        """The context after `token`, truncated to the model's order."""
        known = token if (token,) in self.logs else UNKNOWN
        return (*context, known)[-(self.order - 1) :] if self.order > 1 else ()

    def sentence(self, tokens: Sequence[str]) -> float:
        """Natural log-probability of a complete sentence, including its end."""
        context: Gram = (BEGIN,)
        total = 0.0
        for token in (*tokens, END):
            total += self.log(context, token)
            context = self.advance(context, token)
        return total


def words(line: str) -> list[str]:
    """Split a line into tokens of a word model."""
    return line.split()


def characters(line: str) -> list[str]:
    """Split a line into tokens of a character model, with `SPACE` for white space."""
    return [SPACE if character == " " else character for character in " ".join(line.split())]


def estimate(sentences: Iterable[Sequence[str]], order: int) -> NGram:
    """Estimate an interpolated Kneser-Ney model of the given order.

    Raises ValueError for an order below 1, for no sentences, or a token that an ARPA file cannot hold.
    """
    if order < 1:
        raise ValueError(f"the order of a language model must be at least 1, got {order}")
    counts = _adjusted(_count(sentences, order), order)
    vocabulary = {gram[0] for gram in counts[0]} - {BEGIN} | {UNKNOWN, END}
    # <s> is only ever a context, never predicted
    lower: dict[Gram, float] = {(): 1.0 / len(vocabulary)}
    logs: dict[Gram, float] = {(BEGIN,): NEVER}
    backoffs: dict[Gram, float] = {}
    for length in range(1, order + 1):
        grams = {gram: count for gram, count in counts[length - 1].items() if gram != (BEGIN,)}
        probabilities, weights = _interpolated(grams, lower, vocabulary if length == 1 else None)
        backoffs |= {context: math.log10(weight) for context, weight in weights.items() if context}
        logs |= {gram: math.log10(value) for gram, value in probabilities.items()}
        lower = probabilities
    return NGram(order, logs, backoffs)


def _count(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for number, sentence in enumerate(sentences, 1):
        for token in sentence:
            if not token or token.split() != [token] or token in (BEGIN, END):
                raise ValueError(f"sentence {number}: {token!r} cannot be a token of a language model")
        tokens = (BEGIN, *sentence, END)
        for length, counter in enumerate(counts, 1):
            counter.update(tokens[start : start + length] for start in range(len(tokens) - length + 1))
    if not counts[0]:
        raise ValueError("a language model needs at least one sentence")
    return counts


def _adjusted(counts: list[Counter[Gram]], order: int) -> list[Counter[Gram]]:
    """Replace counts below the highest order by numbers of distinct contexts, except at the start of a sentence."""
    adjusted = list(counts)
    for length in range(1, order):
        kinds = Counter(gram[1:] for gram in counts[length])
        begun = {gram: count for gram, count in counts[length - 1].items() if gram[0] == BEGIN}
        adjusted[length - 1] = kinds + Counter(begun)
    return adjusted


def _discount(grams: dict[Gram, int]) -> float:
    """n1 / (n1 + 2 n2) from the numbers of n-grams counted once and twice; 0.5 if either is 0."""
    once = sum(count == 1 for count in grams.values())
    twice = sum(count == 2 for count in grams.values())
    return once / (once + 2.0 * twice) if once and twice else 0.5


def _interpolated(
    grams: dict[Gram, int], lower: dict[Gram, float], vocabulary: set[str] | None
) -> tuple[dict[Gram, float], dict[Gram, float]]:
    """Probabilities of one order, given those of the order below, and the back-off weight of each context."""
    discount = _discount(grams)
    totals: defaultdict[Gram, int] = defaultdict(int)
    kinds: defaultdict[Gram, int] = defaultdict(int)
    for gram, count in grams.items():
        totals[gram[:-1]] += count
        kinds[gram[:-1]] += 1
    weights = {context: discount * kinds[context] / totals[context] for context in totals}
    candidates: Iterable[Gram] = grams if vocabulary is None else ((token,) for token in sorted(vocabulary))
    probabilities = {}
    for gram in candidates:
        context, below = gram[:-1], gram[1:] if len(gram) > 1 else ()
        seen = max(grams.get(gram, 0) - discount, 0.0) / totals[context]
        probabilities[gram] = seen + weights[context] * lower[below]
    return probabilities, weights


def build(text: str | Path, out: str | Path, order: int = 3, spelled: bool = False) -> Path:
    """Estimate a model from a file with one sentence per line (.gz too), write an ARPA file and return its path.

    Empty lines are skipped; ``spelled`` builds a character model. Raises ValueError naming the file when it cannot be
    read or is empty, RuntimeError when the model cannot be written.
    """
    cut = characters if spelled else words
    sentences = (tokens for _, line in _lines(Path(text), "text") if (tokens := cut(line)))
    try:
        model = estimate(sentences, order)
    except ValueError as error:
        raise ValueError(str(error) if str(text) in str(error) else f"{text}: {error}") from None
    return write(model, out)


def write(model: NGram, out: str | Path) -> Path:
    """Write an ARPA file atomically (see ``save``) and return its path; raises RuntimeError if that fails."""
    path = Path(out).expanduser()
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        save(model, temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise RuntimeError(f"{out}: cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def save(model: NGram, path: str | Path) -> None:
    """Write an ARPA file (compressed if the name ends in .gz)."""
    grams = [[gram for gram in model.logs if len(gram) == length] for length in range(1, model.order + 1)]
    with _text(Path(path), "wt") as file:
        file.write("\\data\\\n" + "".join(f"ngram {n}={len(some)}\n" for n, some in enumerate(grams, 1)))
        for length, some in enumerate(grams, 1):
            file.write(f"\n\\{length}-grams:\n")
            for gram in sorted(some):
                weight = f"\t{model.backoffs[gram]:.7f}" if gram in model.backoffs else ""
                file.write(f"{model.logs[gram]:.7f}\t{' '.join(gram)}{weight}\n")
        file.write("\n\\end\\\n")


def load(path: str | Path) -> NGram:
    """Read an ARPA file, plain or .gz; raises ValueError naming the file and the malformed line."""
    logs: dict[Gram, float] = {}
    backoffs: dict[Gram, float] = {}
    promised: dict[int, int] = {}
    length = 0
    for number, line in _lines(Path(path)):
        if line.startswith("ngram ") and length == 0:
            promised |= _promise(line, f"{path}:{number}")
        elif line.startswith("\\") and line.endswith("-grams:"):
            length = int(line[1:-7]) if line[1:-7].isdecimal() else 0
        elif line == "\\end\\":
            break
        elif line and line != "\\data\\":
            gram, value, weight = _entry(line, length, f"{path}:{number}")
            logs[gram] = value
            if weight is not None:
                backoffs[gram] = weight
    else:
        raise ValueError(f"{path}: incomplete ARPA file, the line \\end\\ is missing")
    found = Counter(len(gram) for gram in logs)
    for length, count in promised.items():
        if found[length] != count:
            raise ValueError(f"{path}: promises {count} {length}-grams, {found[length]} were found")
    return NGram(max(promised, default=1), logs, backoffs)


def _promise(line: str, place: str) -> dict[int, int]:
    length, _, count = line[6:].partition("=")
    if not (length.strip().isdecimal() and count.strip().isdecimal()):
        raise ValueError(f"{place}: expected 'ngram ORDER=COUNT', came {line!r}")
    return {int(length): int(count)}


def _entry(line: str, length: int, place: str) -> tuple[Gram, float, float | None]:
    fields = line.split()
    if length == 0 or len(fields) not in (length + 1, length + 2):
        raise ValueError(f"{place}: expected a logarithm, {length or 'no'} tokens and a weight, came {line!r}")
    try:
        weight = float(fields[-1]) if len(fields) == length + 2 else None
        return tuple(fields[1 : length + 1]), float(fields[0]), weight
    except ValueError:
        raise ValueError(f"{place}: expected numbers around the tokens, came {line!r}") from None


def _text(path: Path, mode: str) -> IO[str]:
    encoding = "utf-8-sig" if mode == "rt" else "utf-8"  # some editors begin a file with a byte order mark
    return gzip.open(path, mode, encoding=encoding) if path.suffix == ".gz" else path.open(mode[0], encoding=encoding)  # type: ignore[return-value]


def _lines(path: Path, kind: str = "an ARPA file") -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines(path.expanduser(), newline="\n"), 1):
        if broken(line):
            raise ValueError(f"{path}:{number}: cannot be read as {kind}: the text {broken(line)}")
        yield number, line.strip()
