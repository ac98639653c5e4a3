"""Speech decoded with a language model: where the model comes from, its weights tuned on validation, its answers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pipelines.data.batching import Encoded, batches, sorted_plan
from pipelines.data.source import Source, limited
from pipelines.log import quiet, say
from pipelines.metrics.speech import scorer
from pipelines.runs.load import Loaded
from pipelines.search.fusion import Fusion, Hypothesis, SymbolFusion, WordFusion, prefix_beam
from pipelines.search.ngram import BEGIN, END, SPACE, UNKNOWN, NGram, characters, estimate, load, words
from pipelines.tasks.speech.beam import KEPT, align
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.data import Preprocessor, transcript
from pipelines.tasks.speech.text import normalise
from pipelines.training.encode import encode_split

ALPHAS, BETAS = (0.2, 0.5, 0.8, 1.2), (0.0, 1.0, 2.0)
ALPHA = 0.5
"""Weight where nothing says which is best."""
WIDTH = 16
"""Prefixes kept where the run itself takes the best path."""
UNLIKELY = -9.0
TUNED_ON = 300
"""Most recordings that the weights are tuned on: each is searched once for every pair of weights, in Python."""

Array = np.ndarray[Any, Any]
_align = tf.function(align, reduce_retracing=True, autograph=False)


@dataclass(frozen=True)
class Decoding:
    """How a language model takes part: its weight, the bonus of a unit, the beam width, and what its units are."""

    model: NGram
    alpha: float
    beta: float
    width: int = WIDTH
    spelled: bool = False

    def best(self, log_probabilities: Array, symbols: Sequence[str]) -> list[Hypothesis]:
        """The transcripts of one recording from log-probabilities float [T, V], best first."""
        kind = SymbolFusion if self.spelled else WordFusion
        fusion: Fusion = kind(self.model, symbols, self.alpha, self.beta)
        return prefix_beam(log_probabilities, fusion, self.width, UNLIKELY)

    def fused(self, outputs: Mapping[str, Array], symbols: Sequence[str]) -> dict[str, Array]:
        """One row of ``decode`` with ``log_probabilities`` [T, V] and ``steps`` -> the row of ``beam_path``.

        Transcripts are ordered with the language model; ``score`` is, as without one, what the recording alone gives
        them: probability to the power 1 / steps.
        """
        steps = int(outputs["steps"])
        heard = outputs["log_probabilities"][: max(steps, 1)]
        found = self.best(heard, symbols)[:KEPT] if steps else [Hypothesis((), 0.0, -np.inf, 0.0)]
        longest = max(1, *(len(one.tokens) for one in found))
        tokens = np.array([[*one.tokens, *[0] * (longest - len(one.tokens))] for one in found], np.int32)
        count = len(found[0].tokens)
        path = _align(tf.constant(heard[None]), tf.constant([steps]), tf.constant(tokens[:1]), tf.constant([count]))
        scores = np.exp([one.acoustic / max(steps, 1) for one in found])
        row = {name: value.numpy()[0] for name, value in path.items()}
        return row | {"score": scores[0], "alternatives": tokens, "alternative_scores": scores}


def settle(loaded: Loaded, source: Source | None) -> Loaded:
    """Bring the language model that the settings ask for; without one return ``loaded`` as it is.

    Args:
        loaded: a run with its settings.
        source: the data to be decoded, on whose validation split the weights are tuned when none is given, unless
            it was cut from what is scored: then on that of the run's data. None takes ``ALPHA``.

    Raises:
        ValueError: the model's file, or the data that it is to be estimated or tuned on, cannot be used.
    """
    config: Config = loaded.config
    if not config.lm:
        return loaded
    model, spelled = _model(loaded, source)
    width = config.beam_width if config.beam_width > 1 else WIDTH
    if config.lm_weight:
        decoding = Decoding(model, config.lm_weight, config.lm_bonus, width, spelled)
    elif source is not None:
        whole = source.whole is not None or not source.has("validation")  # all of it is scored, or nothing to tune on
        data = _own(loaded, source) if whole else source
        encoded = encode_split(loaded, limited(data, TUNED_ON), "validation")
        say(f"language model: tuning on {len(encoded)} recordings (at most {TUNED_ON}) of validation in {data.spec}")
        decoding = tune(loaded, encoded, model, width, spelled)
    else:
        decoding = Decoding(model, ALPHA, config.lm_bonus, width, spelled)
        say(f"language model: weight {ALPHA:g}, bonus {config.lm_bonus:g}; evaluate --lm finds better ones")
    settings = dataclasses.replace(
        config,
        beam_width=width,
        lm_order=model.order,
        lm_units="characters" if spelled else "words",
        lm_weight=decoding.alpha,
        lm_bonus=decoding.beta,
    )
    known = loaded.preprocessor
    ready = Preprocessor(known.alphabet, known.statistics, known.rate, decoding)
    return dataclasses.replace(loaded, config=settings, preprocessor=ready)


def _own(loaded: Loaded, source: Source | None) -> Source:
    """The data that the run was trained on, which is ``source`` where that is the same. ValueError when it is gone."""
    if source is not None and str(loaded.data["fingerprint"]).startswith(source.fingerprint):
        return source
    try:
        return loaded.open_source(loaded.data["spec"])
    except ValueError as error:
        raise ValueError(
            f"--lm {loaded.config.lm}: needs the data that the run was trained on: {error}; "
            "an ARPA file with --lm-weight needs none"
        ) from None


def _model(loaded: Loaded, source: Source | None) -> tuple[NGram, bool]:
    """The model, and whether its units are characters."""
    config: Config = loaded.config
    if config.lm == "train":
        cut = characters if config.lm_units == "characters" else words
        spoken = _own(loaded, source).read("train", lambda problem: None)
        texts = (transcript(config, str(example["text"])) for example in spoken)
        return estimate((cut(text) for text in texts if text), config.lm_order), cut is characters
    model = load(config.lm)
    known = [gram[0] for gram in model.logs if len(gram) == 1 and gram[0] not in (BEGIN, END, UNKNOWN, SPACE)]
    if not any(normalise(word, config.lowercase, config.punctuation) == word for word in known):
        raise ValueError(
            f"--lm {config.lm}: none of its {len(known)} words is written as the run writes transcripts (lower case: "
            f"{config.lowercase}, punctuation: {config.punctuation}); the first is {next(iter(known), '')!r}"
        )
    return model, (SPACE,) in model.logs


def log_probabilities(loaded: Loaded, encoded: Encoded) -> list[Array]:
    """Log-probabilities float32 [T, V] of every recording over its own steps, in the order of ``encoded``."""
    function = tf.function(
        lambda x: loaded.model({"audio": x["audio"], "samples": x["samples"]}, training=False),
        reduce_retracing=True,
        autograph=False,
    )
    plan = sorted_plan(encoded.lengths, 16, loaded.task.MOST_STEPS)
    found: list[Array] = [np.zeros((0, 0), np.float32)] * len(encoded)
    data = batches(encoded, plan, growth=loaded.config.width_growth)
    for indices, (x, _) in zip(plan, data, strict=True):
        outputs = function(x)
        values = tf.nn.log_softmax(outputs["logits"]).numpy()
        for row, index in enumerate(indices):
            found[index] = values[row, : int(outputs["steps"][row])]
    return found


def tune(loaded: Loaded, encoded: Encoded, model: NGram, width: int = WIDTH, spelled: bool = False) -> Decoding:
    """The weights out of ``ALPHAS`` x ``BETAS`` with the smallest word error rate on labelled recordings."""
    values = log_probabilities(loaded, encoded)
    references = [transcript(loaded.config, example["text"]) for example in encoded.examples]
    alphabet = loaded.preprocessor.alphabet
    tried: list[tuple[float, Decoding]] = []
    for alpha, beta in itertools.product(ALPHAS, BETAS):
        decoding = Decoding(model, alpha, beta, width, spelled)
        every = tqdm(values, desc=f"alpha {alpha:g}, beta {beta:g}", disable=quiet(), leave=False)
        answers = [alphabet.decode(decoding.best(one, alphabet.symbols)[0].tokens) for one in every]
        pairs = [{"references": [r], "answer": a} for r, a in zip(references, answers, strict=True)]
        rate = scorer(pairs)(np.arange(len(pairs)))["wer"]
        say(f"alpha {alpha:g}, beta {beta:g}: validation wer {rate:.4f}")
        tried.append((rate, decoding))
    return min(tried, key=lambda pair: pair[0])[1]
