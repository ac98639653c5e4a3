"""Translation, top to bottom: a sentence in one language in, the same sentence in another out.

subwords -> embedding -> bidirectional recurrent encoder -> attention decoder -> beam search -> text. Any set of
sentence pairs will do.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.decoders import AttentionDecoder
from models.encoders import TextEncoder, token_embedding
from models.recurrent.kernels import portable
from pipelines.data import tables as files
from pipelines.data.builtin import builtin
from pipelines.data.source import Example, Source, with_cuts
from pipelines.data.text.layouts import open_parallel
from pipelines.data.text.vocabulary import BOS, EMPTY, EOS, PAD, raw_texts
from pipelines.explain.explanation import Explanation
from pipelines.recipes import reward as rewarding
from pipelines.search import settings as searching
from pipelines.search.search import Rules
from pipelines.task import Scorer
from pipelines.tasks.translation import synthetic
from pipelines.tasks.translation.config import PRESETS as PRESETS
from pipelines.tasks.translation.config import Config as Config
from pipelines.tasks.translation.data import Preprocessor as Preprocessor
from pipelines.tasks.translation.data import augmentation as augmentation
from pipelines.tasks.translation.data import complete as complete
from pipelines.tasks.translation.data import encode as encode
from pipelines.tasks.translation.data import fit_preprocessor as fit_preprocessor
from pipelines.tasks.translation.data import load_preprocessor as load_preprocessor
from pipelines.tasks.translation.data import refused as refused
from pipelines.tasks.translation.data import reward as reward
from pipelines.tasks.translation.review import viewer as viewer
from pipelines.tasks.translation.synthetic import baseline as baseline
from pipelines.training.step import projected_loss

NAME = "translation"
METRIC = "bleu"
BETTER = "higher"
RAW, ANSWER = "source", "translation"
THRESHOLD, MARGIN = 80.0, 40.0  # demonstration: least BLEU, and least lead over the baseline
SLACK = 10  # pieces that a translation may always have beyond its share of the source's
COLUMNS = {"source": ("source", "src"), "target": ("target", "tgt", "translation")}


def open_source(spec: str, config: Config) -> Source:
    """Open ``synthetic``, ``tfds:NAME``, a folder of parallel files, a table file, or a folder of tables."""
    if spec == "synthetic":
        return builtin(synthetic.examples, {"train": 8000, "validation": 500, "test": 1000})
    columns = {name: tuple(dict.fromkeys((getattr(config, name), *usual))) for name, usual in COLUMNS.items()}
    if spec.startswith("tfds:"):
        from pipelines.data.tfds import open_named  # noqa: PLC0415  # slow to import, seldom needed

        source = open_named(spec, columns)
    else:
        source = open_parallel(spec, config.source, config.target) or files.open_tables(spec, columns)
    return with_cuts(source, group=lambda example: str(example["source"]), share=config.validation_share)


# ------------------------------------------------------------------------------------------------------ model


def build(config: Config, preprocessor: Preprocessor) -> keras.Model:
    """Build the network: source and target so far -> logits of every next piece [B, U, V].

    ``source`` int32 [B, S] and ``target`` int32 [B, U] (from BOS on) are padded with 0, and their real lengths come
    beside them, int32 [B]. Training and search call the layers ``encoder`` and ``decoder``.
    """
    sizes = preprocessor.source.size, preprocessor.target.size
    embedding = None
    if config.share_embeddings and config.vocabulary == "joint":
        embedding = token_embedding(sizes[0], config.embedding_size, config.seed, name="embedding")
    encoder = TextEncoder(
        sizes[0],
        config.embedding_size,
        config.units,
        cell=config.cell,
        layers=config.layers,
        dropout=config.dropout,
        words=config.lexical,
        seed=config.seed + 1,
        embedding=embedding,
        name="encoder",
    )
    decoder = AttentionDecoder(
        sizes[1],
        config.embedding_size,
        config.decoder_units,
        cell=config.cell,
        layers=config.decoder_layers,
        attention=config.attention,
        tied=config.tied,
        context_recurrence=config.context_recurrence,
        lexical=config.lexical,
        dropout=config.dropout,
        seed=config.seed + 2,
        embedding=embedding,
        name="decoder",
    )
    x = {name: keras.Input([None], dtype="int32", name=name) for name in ("source", "target")}
    x |= {f"{name}_lengths": keras.Input([], dtype="int32", name=f"{name}_lengths") for name in tuple(x)}
    keys, summary = encoder(x["source"], x["source_lengths"])
    logits, _ = decoder(x["target"], x["target_lengths"], keys, x["source_lengths"], summary)
    return keras.Model(x, logits, name=NAME)


def loss(model: keras.Model, config: Config, x: Mapping[str, Any], y: Mapping[str, Any]) -> Any:
    """Cross-entropy of each example [B] over the mean length of a target: their mean is the mean over all pieces.

    Dividing each by its own length would make a piece of a short sentence count more.
    """
    start = tf.fill([tf.shape(y["target"])[0], 1], BOS)
    seen = tf.concat([start, y.get("history", y["target"])[:, :-1]], axis=1)
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    keys, summary = encoder(x["source"], x["source_lengths"], training=True)
    readout, _ = decoder.read(seen, y["target_lengths"], keys, x["source_lengths"], summary, training=True)
    return projected_loss(decoder, readout, y["target"], config.label_smoothing) / y["mean_length"]


def reward_loss(
    model: keras.Model, config: Config, reward: rewarding.Reward, x: Mapping[str, Any], y: Mapping[str, Any]
) -> Any:
    """Return what lacks in the reward of drawn translations [B], see `rewarding`."""

    def see(training: bool) -> tuple[Any, Any, Any]:
        keys, summary = model.get_layer("encoder")(x["source"], x["source_lengths"], training=training)
        return keys, x["source_lengths"], summary

    drawing = {
        "noise": y["noise"],
        "rules": Rules(BOS, EOS, config.max_tokens),
        "limits": y["target_lengths"] + SLACK // 2,  # the longest drawn answer makes all others of a batch as long
        "temperature": config.reward_temperature,
        "kept": config.reward_kept,
    }
    return rewarding.reward_loss(model.get_layer("decoder"), see, reward, y["target"][:, None], **drawing)


def decode(model: keras.Model, config: Config, x: Mapping[str, Any]) -> dict[str, Any]:
    """Translate by beam search, or draw translations.

    Returns:
        ``tokens`` int32 [B, K, L], ``lengths`` int32 [B, K] and ``scores`` float32 [B, K] of the K best answers
        (`Hypotheses`), and ``attention`` float32 [B, L, S] of the best one. What holds no text is
        translated as the empty text, with score 0.
    """
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    lengths = x["source_lengths"]
    keys, summary = encoder(x["source"], lengths, training=False)
    state, memory = decoder.start(keys, lengths, summary)
    rules = Rules(BOS, EOS, config.max_tokens, config.min_tokens, config.no_repeat_ngram)
    share = tf.minimum(config.length_ratio * tf.cast(lengths, tf.float32), float(config.max_tokens))
    limits = tf.clip_by_value(tf.cast(share, tf.int32) + SLACK, config.min_tokens + 1, config.max_tokens)
    found = searching.found(decoder.step, state, memory, rules, config, limits)
    blank = ((lengths == 1) & (x["source"][:, 0] == EMPTY))[:, None]
    tokens, counts = tf.where(blank[:, :, None], PAD, found.tokens), tf.where(blank, 0, found.lengths)
    attention = searching.attention(decoder, tokens[:, 0], counts[:, 0], BOS, keys, lengths, summary)
    scores = tf.where(blank, 0.0, found.scores)
    return {"tokens": tokens, "lengths": counts, "scores": scores, "attention": attention}


# --------------------------------------------------------------------------------------------------- answers


def answer(
    preprocessor: Preprocessor, config: Config, example: Example, outputs: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Turn one row of ``decode`` into a prediction; ``score`` is the normalised log-probability of the answer.

    ``alternatives`` holds the K best answers with their scores, best first, without empty ones; ``cut`` says that the
    source was longer than ``max_tokens`` and only its beginning was translated.
    """
    texts = [text.decode("utf-8") for text in preprocessor.target.decode(outputs["tokens"]).numpy()]
    scores = [round(float(score), 6) for score in outputs["scores"]]
    return {
        "id": example["id"],
        "input": example["source"],
        "references": [example["target"]] if "target" in example else [],
        "answer": texts[0],
        "score": scores[0],
        "cut": example["cut"],
        "alternatives": [[text, score] for text, score in zip(texts, scores, strict=True) if text],
    }


decode_name = searching.name


def scorer(predictions: list[dict[str, Any]]) -> Scorer:
    """Prepare BLEU, chrF and the rest of `signatures`."""
    from pipelines.metrics import translation as translation_metrics  # noqa: PLC0415  # sacrebleu: an answer needs no score

    return translation_metrics.scorer([p["answer"] for p in predictions], [p["references"][0] for p in predictions])


def report(predictions: list[dict[str, Any]]) -> str:
    """Return the translations furthest from their references, see `translation_metrics`."""
    from pipelines.metrics import translation as translation_metrics  # noqa: PLC0415

    return translation_metrics.report(predictions)


def signatures(predictions: list[dict[str, Any]]) -> dict[str, str]:
    """Say of each score what computes it, which depends on the script of the references."""
    from pipelines.metrics import translation as translation_metrics  # noqa: PLC0415

    return translation_metrics.signatures([p["references"][0] for p in predictions])


def raw(inputs: list[Any]) -> list[Example]:
    """Wrap sentences as raw examples, see `raw_texts`."""
    return raw_texts(inputs, RAW)


def serving_inputs(examples: list[Example], card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``Serving`` for raw examples: ``source``, string [B]."""
    return {"source": tf.constant([str(example["source"]) for example in examples])}


def hard_cases() -> list[Example]:
    """Return inputs that an export must answer as the run does: empty, blank, foreign, broken, very long."""
    return raw(["", " \t ", "很好 ÇOK İyi 🦊", "\x00\x1f", "A " * 2000, "x" * 500, "The dog, der Hund, собака."])


def describe(preprocessor: Preprocessor) -> dict[str, Any]:
    """Return what a client of the export may want to know."""
    config = preprocessor.config
    return {"source": config.source, "target": config.target, "max_tokens": config.max_tokens}


def served(card: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Word one row of ``Serving``'s outputs as ``answer`` does: ``cut`` and ``alternatives``."""
    pairs = zip(row["alternatives"], row["alternative_scores"], strict=True)
    found = [[text.decode("utf-8"), round(float(score), 6)] for text, score in pairs if text]
    return {"cut": bool(row["cut"]), "alternatives": found}


class Serving(tf.Module):
    """What is exported: raw sentences -> translation, K best with scores, and the attention between the pieces."""

    def __init__(self, model: keras.Model, preprocessor: Preprocessor, config: Config) -> None:
        super().__init__()
        self.model, self.preprocessor, self.config = model, preprocessor, config
        self.signature = [tf.TensorSpec([None], tf.string, name="source")]

    def __call__(self, source: Any) -> dict[str, Any]:
        """Translate tf.string [B].

        Returns:
            ``translation`` string [B] and its ``score`` float32 [B]; ``alternatives`` string [B, K] with
            ``alternative_scores`` [B, K], best first; ``source_pieces`` string [B, S], ``target_pieces`` string
            [B, L], and ``attention`` float32 [B, L, S] between them; ``cut`` bool [B], true where the sentence was
            longer than the model reads.
        """
        ids, cut = self.preprocessor.source_ids(source)
        x = {"source": ids.to_tensor(), "source_lengths": tf.cast(ids.row_lengths(), tf.int32)}
        found = decode(self.model, self.config, x)
        shape = tf.shape(found["tokens"])
        flat = self.preprocessor.target.decode(tf.reshape(found["tokens"], [-1, shape[2]]))
        texts = tf.reshape(flat, shape[:2])
        best = found["tokens"][:, 0]
        return {
            "translation": texts[:, 0],
            "score": found["scores"][:, 0],
            "alternatives": texts,
            "alternative_scores": found["scores"],
            "source_pieces": self.preprocessor.source.pieces(ids).to_tensor(),
            "target_pieces": tf.where(best == PAD, "", self.preprocessor.target.pieces(best)),
            "attention": found["attention"],
            "cut": cut,
        }


def serving(model: keras.Model, preprocessor: Preprocessor, config: Config) -> Serving:
    """Return the module to export."""
    return Serving(model, preprocessor, config)


def explain(model: keras.Model, preprocessor: Preprocessor, config: Config, text: str) -> Explanation:
    """Translate one sentence and show which piece of it each piece of the answer attended to."""
    from pipelines.tasks.translation.explain import alignment  # noqa: PLC0415  # draws: matplotlib is slow to import

    (example,) = raw([text])
    encoded = encode(preprocessor, config, [example], labelled=False)
    with portable():
        found = decode(model, config, {**encoded.x, "source": encoded.x["source"].to_tensor()})
    outputs = {name: value.numpy()[0] for name, value in found.items()}
    prediction = answer(preprocessor, config, encoded.examples[0], outputs)
    return alignment(preprocessor, encoded.x["source"][0], outputs, prediction)
