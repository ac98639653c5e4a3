"""Speech decoded with a language model: weights tuned on validation, then any split scored."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pipelines.data.inputs import Encoded, batches, sorted_plan
from pipelines.delivery.fusion import Fusion, Hypothesis, SymbolFusion, WordFusion, prefix_beam
from pipelines.delivery.ngram import NGram, characters, estimate, load, words
from pipelines.speech_data import transcript
from pipelines.speech_scores import scorer
from pipelines.training.evaluation import encode_split, measure
from pipelines.training.fit import quiet, say
from pipelines.training.loading import Loaded, load_run
from pipelines.training.runs import Run

ALPHAS, BETAS = (0.2, 0.5, 0.8, 1.2), (0.0, 1.0, 2.0)
UNLIKELY = -9.0

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Decoding:
    """How a language model takes part: its weight, the bonus of a unit, the beam width, and what its units are."""

    model: NGram
    alpha: float
    beta: float
    width: int = 16
    spelled: bool = False

    def fusion(self, symbols: Sequence[str]) -> Fusion:
        """The scores that the model adds to prefixes of these symbols."""
        kind = SymbolFusion if self.spelled else WordFusion
        return kind(self.model, symbols, self.alpha, self.beta)

    def __str__(self) -> str:
        unit = "characters" if self.spelled else "words"
        return (
            f"CTC prefix beam {self.width} with a {self.model.order}-gram of {unit}, "
            f"alpha {self.alpha:g}, beta {self.beta:g}"
        )


def log_probabilities(loaded: Loaded, encoded: Encoded) -> list[Array]:
    """Log-probabilities float32 [T, V] of every recording over its own steps, in the order of ``encoded``."""
    function = tf.function(
        lambda x: loaded.model({"audio": x["audio"], "samples": x["samples"]}, training=False), reduce_retracing=True
    )
    plan = sorted_plan(encoded.lengths, 16, loaded.task.MOST_STEPS)
    found: list[Array] = [np.zeros((0, 0), np.float32)] * len(encoded)
    for indices, (x, _) in zip(plan, batches(encoded, plan), strict=True):
        outputs = function(x)
        values = tf.nn.log_softmax(outputs["logits"]).numpy()
        for row, index in enumerate(indices):
            found[index] = values[row, : int(outputs["steps"][row])]
    return found


def best(log_probs: list[Array], symbols: Sequence[str], decoding: Decoding) -> list[Hypothesis]:
    """The best transcript of every recording under a language model."""
    fusion = decoding.fusion(symbols)
    every = tqdm(log_probs, desc="beam", disable=quiet(), leave=False)
    return [prefix_beam(values, fusion, decoding.width, UNLIKELY)[0] for values in every]


def tune(loaded: Loaded, encoded: Encoded, model: NGram, width: int = 16, spelled: bool = False) -> Decoding:
    """The weights out of ``ALPHAS`` x ``BETAS`` with the smallest word error rate on labelled recordings."""
    values = log_probabilities(loaded, encoded)
    references = [transcript(loaded.config, example["text"]) for example in encoded.examples]
    alphabet = loaded.preprocessor.alphabet
    rates = {}
    for alpha, beta in itertools.product(ALPHAS, BETAS):
        decoding = Decoding(model, alpha, beta, width, spelled)
        answers = [alphabet.decode(h.tokens) for h in best(values, alphabet.symbols, decoding)]
        pairs = [{"references": [r], "answer": a} for r, a in zip(references, answers, strict=True)]
        rates[alpha, beta] = scorer(pairs)(np.arange(len(pairs)))["wer"]
        say(f"alpha {alpha:g}, beta {beta:g}: validation wer {rates[alpha, beta]:.4f}")
    alpha, beta = min(rates, key=lambda weights: rates[weights])
    return Decoding(model, alpha, beta, width, spelled)


def evaluate_with_model(
    run: str | Path,
    out: str | Path,
    lm: str | Path | None = None,
    data: str | None = None,
    split: str = "test",
    order: int = 3,
    width: int = 16,
    spelled: bool = False,
) -> dict[str, Any]:
    """Score a run on a split with a language model, its weights tuned on the validation split.

    Args:
        run: the run folder.
        out: folder for ``metrics.json`` and ``predictions.jsonl``.
        lm: ARPA file; without one, a model of ``order`` is estimated from the training transcripts.
        data: a data specification; the run's own when left out.
        split: which split.
        order, spelled: of the estimated model; ``spelled`` says that its units are characters.
        width: prefixes kept.

    Returns:
        The content of ``metrics.json``.

    Raises:
        ValueError: the run, the data, the split or the file cannot be used.
    """
    loaded = load_run(run)
    source = loaded.open_source(data)
    cut = characters if spelled else words
    if lm is None:
        spoken = source.read("train", lambda problem: None)
        model = estimate((cut(transcript(loaded.config, str(e["text"]))) for e in spoken), order)
    else:
        model = load(lm)
    decoding = tune(loaded, encode_split(loaded, source, "validation"), model, width, spelled)
    encoded = encode_split(loaded, source, split)
    predictions = _predictions(loaded, encoded, decoding)
    record = measure(loaded, source, split, predictions) | {"decode": str(decoding)}
    folder = Run(Path(out).expanduser())
    folder.write_json("metrics.json", record)
    lines = "".join(json.dumps(p, ensure_ascii=False) + "\n" for p in predictions)
    folder.write("predictions.jsonl", lambda path: path.write_text(lines, "utf-8"))
    return record | {"report": loaded.task.report(predictions)}


def _predictions(loaded: Loaded, encoded: Encoded, decoding: Decoding) -> list[dict[str, Any]]:
    alphabet = loaded.preprocessor.alphabet
    found = best(log_probabilities(loaded, encoded), alphabet.symbols, decoding)
    return [
        {
            "id": example["id"],
            "input": example["audio"],
            "references": [transcript(loaded.config, example["text"])],
            "answer": alphabet.decode(hypothesis.tokens),
            "score": round(hypothesis.score, 4),
            **({"speaker": example["speaker"]} if "speaker" in example else {}),
        }
        for example, hypothesis in zip(encoded.examples, found, strict=True)
    ]
