"""Scores of translations: BLEU and chrF by sacrebleu, exact match, length ratio, repetition.

Every score is a function of sums over examples, so the statistics of each example are extracted once and a bootstrap
resample costs one addition of rows.
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
    metric.corpus_score(["a"], [["a"]])  # only a metric that has scored knows its signature
    return str(metric.get_signature())


def tokeniser(references: Sequence[str]) -> str:
    """Name sacrebleu's way of cutting text into words that fits the references' script.

    ``13a`` cuts at spaces. For text that has few, a sentence would be one word, and BLEU 0 or 100: Chinese is cut into
    its characters beside words of other scripts (``zh``), and what else is written without spaces into characters
    (``char``).
    """
    han, others, letters = counted("".join(references))
    if 2 * (han + others) < letters:
        return "13a"
    return "char" if 20 * others > han else "zh"


def _metrics(references: Sequence[str]) -> dict[str, Any]:
    cut = tokeniser(references)
    return {"bleu": BLEU(tokenize=cut), "bleu_lc": BLEU(lowercase=True, tokenize=cut), "chrf": CHRF()}


def signatures(references: Sequence[str]) -> dict[str, str]:
    """Say of each score what computes it; for BLEU and chrF the signature of sacrebleu."""
    return {name: f"sacrebleu {_signature(metric)}" for name, metric in _metrics(references).items()} | {
        "exact_match": "share of answers equal to the reference, 0 to 100",
        "length_ratio": f"{tokeniser(references)} tokens of the answers over those of the references",
        "repetition_rate": "share of word pairs in an answer that stood in it before",
    }


def scorer(answers: list[str], references: list[str]) -> Scorer:
    """Prepare the corpus scores of answers with one reference each.

    Args:
        answers: plain text, N of them.
        references: plain text, in the same order.

    Returns:
        Function from example numbers int64 [M] to the scores named in `signatures`.
    """
    metrics = _metrics(references)
    for metric in metrics.values():
        metric._force = True  # toy data may well end in a spaced full stop; the warning would be noise
    rows = {
        name: np.array(metric._extract_corpus_statistics(answers, [references]), np.int64)
        for name, metric in metrics.items()
    }
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
    """Count the word pairs of an answer that stood in it before, and all its word pairs."""
    words = answer.split()
    pairs = list(itertools.pairwise(words))
    return len(pairs) - len(set(pairs)), len(pairs)


def report(predictions: list[dict[str, Any]], count: int = 5) -> str:
    """Return the translations furthest from their references by sentence chrF, and what else stands out."""
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
    """Return how many characters of ``text`` are Chinese, of the other scripts here, and letters of any script."""
    return len(_HAN.findall(text)), len(_OTHERS.findall(text)), sum(map(str.isalpha, text))
