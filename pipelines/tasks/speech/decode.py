"""CTC decoding with an n-gram language model: load it, tune its weights on validation, search with it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pipelines.data.batching import Encoded, batches, sorted_plan
from pipelines.data.source import Source, limited
from pipelines.log import quiet, say
from pipelines.metrics.speech import scorer
from pipelines.search.ctc import KEPT, align
from pipelines.search.fusion import Fusion, Hypothesis, SymbolFusion, WordFusion, prefix_beam
from pipelines.search.ngram import BEGIN, END, SPACE, UNKNOWN, NGram, characters, estimate, load, words
from pipelines.task import DecodingData
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.data import transcript
from pipelines.tasks.speech.text import Alphabet, normalise

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
class Language:
    """A language model in the search: its weight, the bonus of a unit, the beam width, and what its units are."""

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
        """Search one recording: ``log_probabilities`` [T, V] and ``steps`` -> the row of ``beam_path``.

        Transcripts are ordered by both models; ``score`` is the acoustic one, as without a language model: the
        probability to the power 1 / steps.
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


@dataclass(frozen=True)
class Network:
    """What tuning needs of a run: log-probabilities of recordings, and the alphabet behind them."""

    model: keras.Model
    config: Config
    alphabet: Alphabet
    most_steps: int

    def log_probabilities(self, encoded: Encoded) -> list[Array]:
        """Log-probabilities float32 [T, V] of every recording over its own steps, in the order of ``encoded``."""
        function = tf.function(
            lambda x: self.model({"audio": x["audio"], "samples": x["samples"]}, training=False),
            reduce_retracing=True,
            autograph=False,
        )
        plan = sorted_plan(encoded.lengths, 16, self.most_steps)
        found: list[Array] = [np.zeros((0, 0), np.float32)] * len(encoded)
        data = batches(encoded, plan, growth=self.config.bucket_growth)
        for indices, (x, _) in zip(plan, data, strict=True):
            outputs = function(x)
            values = tf.nn.log_softmax(outputs["logits"]).numpy()
            for row, index in enumerate(indices):
                found[index] = values[row, : int(outputs["steps"][row])]
        return found


def prepared(network: Network, data: DecodingData) -> tuple[Language, Config]:
    """Load the language model that the settings ask for, with its weights.

    Args:
        network: the run.
        data: on whose validation split the weights are tuned when none is given, unless it was cut from what is
            scored: then on that of the run's data. Without data to be scored, ``ALPHA`` is taken.

    Returns:
        The language model, and the settings with what was found.

    Raises:
        ValueError: the model's file, or the data that it is to be estimated or tuned on, cannot be used.
    """
    config = network.config
    model, spelled = _model(config, data)
    width = config.beam_width if config.beam_width > 1 else WIDTH
    if config.lm_weight:
        language = Language(model, config.lm_weight, config.lm_insertion_bonus, width, spelled)
    elif data.scored is not None:
        scored = data.scored
        whole = scored.whole is not None or not scored.has("validation")  # all of it is scored, or nothing to tune on
        source = limited(_own(config, data) if whole else scored, TUNED_ON)
        encoded = data.encoded(source, "validation")
        say(f"language model: tuning on {len(encoded)} recordings (at most {TUNED_ON}) of validation in {source.spec}")
        language = tune(network, encoded, model, width, spelled)
    else:
        language = Language(model, ALPHA, config.lm_insertion_bonus, width, spelled)
        say(f"language model: weight {ALPHA:g}, bonus {language.beta:g}; evaluate --lm finds better ones")
    settings = dataclasses.replace(
        config,
        beam_width=width,
        lm_order=model.order,
        lm_units="characters" if spelled else "words",
        lm_weight=language.alpha,
        lm_insertion_bonus=language.beta,
    )
    return language, settings


def _own(config: Config, data: DecodingData) -> Source:
    """Return the data that the run was trained on. ValueError when it is gone."""
    try:
        return data.trained_on()
    except ValueError as error:
        raise ValueError(
            f"--lm {config.lm}: needs the data that the run was trained on: {error}; "
            "an ARPA file with --lm-weight needs none"
        ) from None


def _model(config: Config, data: DecodingData) -> tuple[NGram, bool]:
    """Return the model, and whether its units are characters."""
    if config.lm == "train":
        cut = characters if config.lm_units == "characters" else words
        spoken = _own(config, data).read("train", lambda problem: None)
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


def tune(network: Network, encoded: Encoded, model: NGram, width: int = WIDTH, spelled: bool = False) -> Language:
    """Choose the weights out of ``ALPHAS`` x ``BETAS`` with the smallest word error rate on labelled recordings."""
    values = network.log_probabilities(encoded)
    references = [transcript(network.config, example["text"]) for example in encoded.examples]
    alphabet = network.alphabet
    tried: list[tuple[float, Language]] = []
    for alpha, beta in itertools.product(ALPHAS, BETAS):
        language = Language(model, alpha, beta, width, spelled)
        every = tqdm(values, desc=f"alpha {alpha:g}, beta {beta:g}", disable=quiet(), leave=False)
        answers = [alphabet.decode(language.best(one, alphabet.symbols)[0].tokens) for one in every]
        pairs = [{"references": [r], "answer": a} for r, a in zip(references, answers, strict=True)]
        rate = scorer(pairs)(np.arange(len(pairs)))["wer"]
        say(f"alpha {alpha:g}, beta {beta:g}: validation wer {rate:.4f}")
        tried.append((rate, language))
    return min(tried, key=lambda pair: pair[0])[1]
