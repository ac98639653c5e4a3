"""Speech recognition metrics: corpus word and character error rates, and an error report."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jiwer
import numpy as np

Predictions = list[dict[str, Any]]
KINDS = ("hits", "substitutions", "deletions", "insertions")


def _counts(references: list[str], answers: list[str], process: Any) -> np.ndarray[Any, Any]:
    """Hits, substitutions, deletions and insertions of each pair, int64 [N, 4]."""
    rows = []
    for reference, answer in zip(references, answers, strict=True):
        if not reference.strip():
            size = len(answer.split()) if process is jiwer.process_words else len(answer)
            rows.append((0, 0, 0, size))
            continue
        result = process(reference, answer)
        rows.append(tuple(getattr(result, kind) for kind in KINDS))
    return np.array(rows, np.int64).reshape(-1, 4)


def error_rate(counts: np.ndarray[Any, Any]) -> float:
    """(S + D + I) / (H + S + D) over all rows [N, 4]; without reference words 0, or inf with insertions."""
    hits, substituted, deleted, inserted = counts.sum(axis=0)
    spoken = hits + substituted + deleted
    errors = substituted + deleted + inserted
    return float(errors / spoken) if spoken else float(errors and np.inf)


def scorer(predictions: Predictions) -> Any:
    """Prepare corpus WER and CER of N predictions from alignment counts int64 [N, 4]."""
    references = [p["references"][0] for p in predictions]
    answers = [p["answer"] for p in predictions]
    words = _counts(references, answers, jiwer.process_words)
    letters = _counts(references, answers, jiwer.process_characters)

    def score(indices: np.ndarray[Any, Any]) -> dict[str, float]:
        return {"wer": error_rate(words[indices]), "cer": error_rate(letters[indices])}

    return score


def report(predictions: Predictions, worst: int = 5) -> str:
    """Alignment counts, word error rate by speaker, the most frequent confusions, and the worst recordings."""
    references = [p["references"][0] for p in predictions]
    answers = [p["answer"] for p in predictions]
    counts = _counts(references, answers, jiwer.process_words)
    total = dict(zip(KINDS, counts.sum(axis=0), strict=True))
    lines = ["words: " + ", ".join(f"{name} {value}" for name, value in total.items())]
    lines += _by_speaker(predictions, counts)
    confused = _confusions(references, answers)
    if confused:
        lines.append("confusions: " + ", ".join(f"{a} -> {b} ({n})" for (a, b), n in confused.most_common(8)))
    errors = counts[:, 1:].sum(axis=1)
    order = [int(i) for i in np.argsort(-errors, kind="stable")[:worst] if errors[i]]
    lines += ["", "worst recordings" if order else "no mistakes"]
    for i in order:
        lines += [f"  {predictions[i]['id']}: {errors[i]} errors", *_aligned(references[i], answers[i])]
    return "\n".join(lines)


def _by_speaker(predictions: Predictions, counts: np.ndarray[Any, Any]) -> list[str]:
    speakers = [p.get("speaker") for p in predictions]
    if not all(speakers) or len(set(speakers)) < 2:
        return []
    lines = ["speaker              recordings    wer"]
    rates = {name: error_rate(counts[[s == name for s in speakers]]) for name in set(speakers)}
    for name in sorted(rates, key=lambda name: (-rates[name], str(name))):
        lines.append(f"  {name!s:<18} {speakers.count(name):10} {rates[name]:6.3f}")
    return lines


def _confusions(references: list[str], answers: list[str]) -> Counter[tuple[str, str]]:
    confused: Counter[tuple[str, str]] = Counter()
    for reference, answer in zip(references, answers, strict=True):
        if not reference.strip():
            continue
        for chunk in jiwer.process_words(reference, answer).alignments[0]:
            if chunk.type == "substitute":
                spoken = reference.split()[chunk.ref_start_idx : chunk.ref_end_idx]
                recognised = answer.split()[chunk.hyp_start_idx : chunk.hyp_end_idx]
                confused.update(zip(spoken, recognised, strict=True))
    return confused


def _aligned(reference: str, answer: str) -> list[str]:
    if not reference.strip():
        return ["    REF: ", f"    HYP: {answer}"]
    shown = jiwer.visualize_alignment(jiwer.process_words(reference, answer), show_measures=False, skip_correct=False)
    return ["    " + line for line in shown.splitlines()[1:] if line.strip()]
