"""Translation metrics: sacrebleu's BLEU and chrF, exact match, length ratio, repetition.

All are functions of sums over precomputed statistics of each example, so a bootstrap is cheap.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from pipelines.metrics.captions import HAN, OTHERS

Scorer = Callable[[np.ndarray], dict[str, float]]


def _signature(metric: Any) -> str:
    metric.corpus_score(["a"], [["a"]])  # the signature is only known after scoring
    return str(metric.get_signature())


def tokeniser(references: Sequence[str]) -> str:
    """Name the sacrebleu tokeniser for the script of the references.

    ``13a`` splits at spaces. In scripts without spaces, where a sentence would be one word, Chinese is split into
    characters (``zh``), other scripts into single characters throughout (``char``).
    """
    han, others, letters = counted("".join(references))
    if 2 * (han + others) < letters:
        return "13a"
    return "char" if 20 * others > han else "zh"


def _metrics(references: Sequence[str]) -> dict[str, Any]:
    cut = tokeniser(references)
    return {"bleu": BLEU(tokenize=cut), "bleu_lc": BLEU(lowercase=True, tokenize=cut), "chrf": CHRF()}


def signatures(references: Sequence[str]) -> dict[str, str]:
    """Describe how each metric is computed; for BLEU and chrF by sacrebleu's signature."""
    return {name: f"sacrebleu {_signature(metric)}" for name, metric in _metrics(references).items()} | {
        "exact_match": "share of answers equal to the reference, 0 to 100",
        "length_ratio": f"{tokeniser(references)} tokens of the answers over those of the references",
        "repetition_rate": "share of word pairs in an answer that stood in it before",
    }


def scorer(answers: list[str], references: list[str]) -> Scorer:
    """Prepare the corpus metrics of N answers with one reference each.

    Returns:
        A function from example indices int64 [M] to the metrics named in `signatures`.
    """
    metrics = _metrics(references)
    for metric in metrics.values():
        metric._force = True  # no warning about a spaced full stop, which toy data may have
    extracted = {name: metric._extract_corpus_statistics(answers, [references]) for name, metric in metrics.items()}
    rows = {name: np.array(values, np.int64) for name, values in extracted.items()}
    exact = np.array([a.strip() == r.strip() for a, r in zip(answers, references, strict=True)])
    repeats = np.array([_repeats(answer) for answer in answers])

    def score(indices: np.ndarray) -> dict[str, float]:
        sums = {name: values[indices].sum(axis=0).tolist() for name, values in rows.items()}
        scores = {name: metric._compute_score_from_stats(sums[name]).score for name, metric in metrics.items()}
        repeated, pairs = repeats[indices].sum(axis=0)
        made, expected = (int(rows["bleu"][indices, column].sum()) for column in (0, 1))
        return scores | {
            "exact_match": 100 * float(exact[indices].mean()),
            "length_ratio": made / expected if expected else float("nan"),
            "repetition_rate": float(repeated / pairs) if pairs else 0.0,
        }

    return score


def _repeats(answer: str) -> tuple[int, int]:
    """Count the repeated word pairs of an answer, and all its word pairs."""
    words = answer.split()
    pairs = list(itertools.pairwise(words))
    return len(pairs) - len(set(pairs)), len(pairs)


def report(predictions: list[dict[str, Any]], count: int = 5) -> str:
    """Return the translations with the lowest sentence chrF, and the numbers of empty answers and cut sources."""
    metric = CHRF()
    scores = [metric.sentence_score(p["answer"], p["references"]).score for p in predictions]
    cut, empty = sum(p["cut"] for p in predictions), sum(not p["answer"] for p in predictions)
    lines = [f"{empty} empty answers, {cut} sources cut at the longest length", "", "furthest from the reference"]
    for i in np.argsort(scores, kind="stable")[:count]:
        p = predictions[i]
        lines.append(f"  {p['id']}, chrF {scores[i]:.1f}")
        lines += [f"    {name:<9} {text}" for name, text in (("source", p["input"]), ("answer", p["answer"]))]
        lines.append(f"    reference {p['references'][0]}")
    return "\n".join(lines)


_HAN, _OTHERS = re.compile(f"[{HAN}]"), re.compile(f"[{OTHERS}]")


def counted(text: str) -> tuple[int, int, int]:
    """Return the number of Chinese characters, of characters of the other scripts here, and of all letters."""
    return len(_HAN.findall(text)), len(_OTHERS.findall(text)), sum(map(str.isalpha, text))
