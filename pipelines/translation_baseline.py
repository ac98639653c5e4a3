"""Word-for-word translation, the method that a sequence model has to beat: no order, no agreement, no context."""

from collections import Counter
from typing import Any

import numpy as np


def baseline(train: list[dict[str, Any]], test: list[dict[str, Any]]) -> tuple[str, float]:
    """Score, in BLEU, a dictionary learnt from the training pairs and applied word by word.

    The word for e is the f with the highest Dice coefficient 2 n(e, f) / (n(e) + n(f)) over sentence pairs; a word
    that never occurred is copied.
    """
    from pipelines.training.translation_metrics import scorer  # noqa: PLC0415  # sacrebleu: an answer needs no score

    lexicon = _lexicon([(example["source"], example["target"]) for example in train])
    answers = [" ".join(lexicon.get(word, word) for word in example["source"].split()) for example in test]
    scores = scorer(answers, [example["target"] for example in test])(np.arange(len(test)))
    return "word for word", scores["bleu"]


def _lexicon(pairs: list[tuple[str, str]]) -> dict[str, str]:
    here: Counter[str] = Counter()
    there: Counter[str] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for source, target in pairs:
        words, others = sorted(set(source.split())), sorted(set(target.split()))
        here.update(words)
        there.update(others)
        both.update((word, other) for word in words for other in others)
    best: dict[str, tuple[float, str]] = {}
    for (word, other), count in both.items():
        dice = 2 * count / (here[word] + there[other])
        best[word] = max(best.get(word, (0.0, "")), (dice, other))
    return {word: other for word, (_, other) in best.items()}
