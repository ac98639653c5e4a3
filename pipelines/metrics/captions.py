"""Caption metrics with several references: BLEU, ROUGE-L, CIDEr-D, and diversity.

As in the COCO caption evaluation (Chen et al. 2015, arXiv 1504.00325), without METEOR and SPICE, which need Java. All
metrics are array operations on precomputed statistics of each example, so a bootstrap over examples is cheap.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Ranges of Chinese characters, also used in Japanese, for a regular expression class."""
OTHERS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
"""Ranges of Thai, Lao, Burmese, Khmer, and Japanese kana."""

ORDER = 4
ROUGE_BETA = 1.2
CIDER_SIGMA = 6.0

_BLEU = "corpus BLEU-{}, all references, closest length, no smoothing (as pycocoevalcap)"
SIGNATURES = {
    **{f"bleu{n}": _BLEU.format(n) for n in range(1, 5)},
    "rouge_l": "mean ROUGE-L, best precision and best recall over the references, beta 1.2 (as pycocoevalcap)",
    "cider_d": "mean CIDEr-D x 100, document frequencies of the scored references (as pycocoevalcap)",
    "unique_share": "distinct captions over all captions",
    "repetition_rate": "share of bigrams that came earlier in the same caption",
    "vocabulary_used": "distinct words in all captions",
}
"""Definition of each metric; on lower-cased words without punctuation (Penn Treebank tokenisation in Python)."""

Scorer = Callable[[np.ndarray], dict[str, float]]
Words = Sequence[str]
Counts = Counter[tuple[str, ...]]

_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})
_CLITICS = r"n't|'(?:s|m|d|re|ve|ll)"
# Combining marks, such as vowel signs of Hindi and Thai, do not match \w but belong to the preceding letter. Ranges,
# because `re` compares single characters above 2^16 one by one.
_MARKS = (code for code in range(0x20000) if unicodedata.category(chr(code)).startswith("M"))
_RUNS = (list(run) for _, run in groupby(enumerate(_MARKS), lambda pair: pair[1] - pair[0]))
_MARK = "".join(f"{chr(run[0][1])}-{chr(run[-1][1])}" for run in _RUNS)
_MORE = rf"[\w{_MARK}]"
_ALONE = re.compile(rf"([{HAN}{OTHERS}][{_MARK}]*)")
_TOKEN = re.compile(
    r"(?:mr|mrs|ms|dr|st|jr|sr|prof|vs|inc|co|no)\.(?!\w)"  # abbreviations keep their full stop
    rf"|(?:[^\W\d_][{_MARK}]*\.){{2,}}"  # so do initials: u.s.
    r"|\d+(?:[.,:/]\d+)*(?!-?\w)"
    rf"|\w{_MORE}*?(?={_CLITICS}(?!\w))"
    rf"|{_CLITICS}(?!\w)"
    rf"|\w{_MORE}*(?:[-'.]\w{_MORE}*)*"
    r"|[#$%&@+*=/<>^~|\\]"
)
_SPLIT_WORDS = {"cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"), "wanna": ("wan", "na")}


def tokenise(text: str) -> list[str]:
    """Tokenise a caption as the COCO evaluation does: lower case, Penn Treebank words, punctuation removed.

    ``n't`` and ``'s`` are separate words, hyphenated words are one. Brackets are removed too (the original keeps
    ``-lrb-`` by mistake). Text is normalised to NFC; in scripts without spaces every character is a word.
    """
    text = _ALONE.sub(r" \1 ", unicodedata.normalize("NFC", text.lower()))
    words = _TOKEN.findall(text.translate(_QUOTES))
    return [part for word in words for part in _SPLIT_WORDS.get(word, (word,))]


@dataclass(frozen=True)
class Statistics:
    """Sufficient statistics of the scores of N captions.

    Attributes:
        matches: int64 [N, 4], n-grams that occur in a reference, clipped by the largest count in one.
        guesses: int64 [N, 4], n-grams of the caption.
        lengths: int64 [N, 2], words of the caption and of the reference nearest in length (the shorter of two).
        rouge: float64 [N], ROUGE-L of each caption.
        cider: float64 [N], CIDEr-D of each caption.
        repeated: int64 [N, 2], repeated bigrams of a caption, and all its bigrams.
        unique: float64 [N], 1 / number of captions with the same words.
        vocabulary: float64 [N], sum over words of 1 / number of the word in all captions.
    """

    matches: np.ndarray
    guesses: np.ndarray
    lengths: np.ndarray
    rouge: np.ndarray
    cider: np.ndarray
    repeated: np.ndarray
    unique: np.ndarray
    vocabulary: np.ndarray


def scorer(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Scorer:
    """Prepare the metrics of ``answers`` (N captions) against ``references`` (N lists of captions).

    Returns:
        A function from example indices, int64 [n] with repeats, to ``bleu1`` ... ``bleu4`` and ``rouge_l`` (0 to 100),
        ``cider_d`` (0 to 1000), ``unique_share`` and ``repetition_rate`` (fractions) and ``vocabulary_used`` (words).
        Document and word frequencies are always those of all N, because a resample lacks rare words by chance.

    Raises:
        ValueError: an example has no reference.
    """
    values = statistics([tokenise(a) for a in answers], [[tokenise(r) for r in group] for group in references])
    return lambda indices: corpus_scores(values, indices)


def report(predictions: Sequence[Mapping[str, Any]], count: int = 5) -> str:
    """List the most frequent captions, and those with the lowest CIDEr-D with one reference each."""
    values = statistics(
        [tokenise(p["answer"]) for p in predictions], [[tokenise(r) for r in p["references"]] for p in predictions]
    )
    common = Counter(p["answer"] for p in predictions).most_common(count)
    lines = ["commonest captions:", *(f"  {n:5d}  {caption}" for caption, n in common), "worst by CIDEr-D:"]
    for i in np.argsort(values.cider, kind="stable")[:count]:
        one = predictions[i]
        lines.append(f"  {100 * values.cider[i]:6.1f}  {one['id']}: {one['answer']!r}, e.g. {one['references'][0]!r}")
    return "\n".join(lines)


def statistics(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> Statistics:
    """Compute the statistics of N tokenised captions, each with one or more tokenised references.

    Raises:
        ValueError: the numbers differ, or an example has no reference.
    """
    if len(captions) != len(references):
        raise ValueError(f"expected as many lists of references as captions, came {len(references)}, {len(captions)}")
    empty = next((i for i, group in enumerate(references) if not group), None)
    if empty is not None:
        raise ValueError(f"example {empty} has no reference to compare with")
    counts = [ngrams(words) for words in captions]
    reference_counts = [[ngrams(words) for words in group] for group in references]
    rows = [_matches(c, group) for c, group in zip(counts, reference_counts, strict=True)]
    pairs = list(zip(captions, references, strict=True))
    nearest = [min((abs(len(r) - len(c)), len(r)) for r in group)[1] for c, group in pairs]
    shared = Counter(tuple(c) for c in captions)
    frequency = Counter(word for words in captions for word in words)
    bigrams = [[n for gram, n in c.items() if len(gram) == 2] for c in counts]
    return Statistics(
        matches=np.array(rows, np.int64).reshape(-1, ORDER),
        guesses=np.array([[max(0, len(c) - n) for n in range(ORDER)] for c in captions], np.int64).reshape(-1, ORDER),
        lengths=np.array([[len(c) for c in captions], nearest], np.int64).T,
        rouge=np.array([rouge_l(c, group) for c, group in pairs]),
        cider=cider_d(counts, reference_counts),
        repeated=np.array([[sum(b) - len(b), sum(b)] for b in bigrams], np.int64).reshape(-1, 2),
        unique=np.array([1 / shared[tuple(c)] for c in captions]),
        vocabulary=np.array([sum(1 / frequency[word] for word in words) for words in captions]),
    )


def corpus_scores(values: Statistics, indices: np.ndarray) -> dict[str, float]:
    """Return the metrics of the examples ``indices``, int64 [n]; see `scorer` for names and units.

    Raises:
        ValueError: ``indices`` is empty.
    """
    if len(indices) == 0:
        raise ValueError("expected at least one caption to score, came none")
    bleus = bleu(values.matches[indices].sum(0), values.guesses[indices].sum(0), *values.lengths[indices].sum(0))
    repeated, bigrams = values.repeated[indices].sum(0)
    return {f"bleu{n}": 100 * value for n, value in enumerate(bleus, 1)} | {
        "rouge_l": 100 * float(values.rouge[indices].mean()),
        "cider_d": 100 * float(values.cider[indices].mean()),
        "unique_share": float(values.unique[indices].mean()),
        "repetition_rate": float(repeated / bigrams) if bigrams else 0.0,
        "vocabulary_used": float(values.vocabulary[indices].mean() * len(values.vocabulary)),
    }


def ngrams(words: Words) -> Counts:
    """Count the n-grams of 1 to 4 words."""
    return Counter(tuple(words[i : i + n]) for n in range(1, ORDER + 1) for i in range(len(words) - n + 1))


def _matches(counts: Counts, references: Sequence[Counts]) -> list[int]:
    matches = [0] * ORDER
    for gram, count in counts.items():
        matches[len(gram) - 1] += min(count, max(reference[gram] for reference in references))
    return matches


def bleu(matches: np.ndarray, guesses: np.ndarray, length: int, reference_length: int) -> list[float]:
    """BLEU-1 to BLEU-4, fractions, without smoothing (Papineni et al. 2002, P02-1040, section 2.3).

    Clipped ``matches`` and ``guesses`` int64 [N], N = 4, count n-grams of the corpus; ``reference_length`` counts the
    words of the nearest references.
    """
    penalty = min(1.0, math.exp(1 - reference_length / length)) if length else 0.0
    precisions = matches / np.maximum(guesses, 1)
    means = np.cumprod(precisions) ** (1 / np.arange(1, ORDER + 1))
    return [float(penalty * mean) for mean in means]


def rouge_l(words: Words, references: Sequence[Words]) -> float:
    """ROUGE-L (Lin 2004, W04-1013, equations 2 to 4), a fraction, with beta 1.2.

    As in the COCO evaluation, the best precision and the best recall may come from different references.
    """
    common = [_longest_common(words, reference) for reference in references]
    precision = max(common) / max(len(words), 1)
    recall = max(n / max(len(reference), 1) for n, reference in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)


def _longest_common(one: Words, other: Words) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for j, candidate in enumerate(other, 1):
            before, row[j] = row[j], before + 1 if word == candidate else max(row[j], row[j - 1])
    return row[-1]


def cider_d(counts: Sequence[Counts], references: Sequence[Sequence[Counts]]) -> np.ndarray:
    """CIDEr-D of each caption, float64 [N] (Vedantam et al. 2015, arXiv 1411.5726, section 6), 0 to 10.

    Document frequencies come from the references, one document per example. The length penalty compares numbers of
    bigrams, as the published code does.
    """
    frequency = Counter(gram for group in references for gram in set().union(*group))
    documents = math.log(max(len(references), 1))

    def weigh(group: Counts) -> tuple[dict[tuple[str, ...], float], np.ndarray, int]:
        vector = {gram: n * (documents - math.log(max(frequency[gram], 1))) for gram, n in group.items()}
        squares = np.zeros(ORDER)
        for gram, value in vector.items():
            squares[len(gram) - 1] += value**2
        return vector, np.sqrt(squares), sum(n for gram, n in group.items() if len(gram) == 2)

    scores = [
        np.mean([_similarity(weigh(caption), weigh(reference)) for reference in group])
        for caption, group in zip(counts, references, strict=True)
    ]
    return 10 * np.array(scores, np.float64)


def _similarity(caption: tuple[Mapping, np.ndarray, int], reference: tuple[Mapping, np.ndarray, int]) -> Any:
    """Mean over n of the clipped cosine of two tf-idf vectors, times the length penalty."""
    (vector, norm, length), (other, other_norm, other_length) = caption, reference
    products = np.zeros(ORDER)
    for gram, value in vector.items():
        if gram in other:
            products[len(gram) - 1] += min(value, other[gram]) * other[gram]
    norms = norm * other_norm
    cosines = products / np.where(norms > 0, norms, 1.0)
    return cosines.mean() * math.exp(-((length - other_length) ** 2) / (2 * CIDER_SIGMA**2))
