"""Captioning, top to bottom: a picture in, a sentence that describes it out.

picture -> grid of features -> attention decoder -> beam search -> text. The grid comes from a small convolutional
network that is trained with the decoder, or from a frozen one. Any set of pictures with captions will do.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.convolution import ConvolutionalGrid
from models.decoders import AttentionDecoder
from models.encoders import GridEncoder
from models.losses import unattended_penalty, word_detection_loss
from pipelines.data.builtin import builtin
from pipelines.data.images import layouts as pictures
from pipelines.data.images.files import pictures_in
from pipelines.data.images.pixels import OK, STATUS_NAMES
from pipelines.data.source import Example, Source, with_cuts
from pipelines.data.text.vocabulary import BOS, EOS, PAD
from pipelines.explain.explanation import Explanation, Sheet
from pipelines.metrics import captions as caption_metrics
from pipelines.recipes import reward as rewarding
from pipelines.search import settings as searching
from pipelines.search.search import Rules
from pipelines.tasks.captioning import cases as captioning_cases
from pipelines.tasks.captioning import synthetic
from pipelines.tasks.captioning.config import PRESETS as PRESETS
from pipelines.tasks.captioning.config import Config as Config
from pipelines.tasks.captioning.data import Preprocessor as Preprocessor
from pipelines.tasks.captioning.data import augmentation as augmentation
from pipelines.tasks.captioning.data import encode as encode
from pipelines.tasks.captioning.data import facets as facets
from pipelines.tasks.captioning.data import fit_preprocessor as fit_preprocessor
from pipelines.tasks.captioning.data import load_preprocessor as load_preprocessor
from pipelines.tasks.captioning.data import reward as reward
from pipelines.tasks.captioning.serving import Serving, written
from pipelines.tasks.captioning.serving import served as served
from pipelines.tasks.captioning.serving import tolerance as tolerance
from pipelines.training.step import projected_loss

NAME = "captioning"
METRIC = "bleu4"
BETTER = "higher"
RAW, ANSWER = "image", "caption"
SIGNATURES = caption_metrics.SIGNATURES
THRESHOLD, MARGIN = 80.0, 15.0  # demonstration: least BLEU-4, and least lead over the baseline


def open_source(spec: str, config: Config) -> Source:
    """Open ``synthetic``, ``tfds:NAME``, or pictures in a known layout; missing splits are cut by picture."""
    if spec == "synthetic":
        counts = {"train": 4000, "validation": 300, "test": 600}
        return builtin(synthetic.sketches, counts, finish=synthetic.finished)
    given = {"image": config.image_column, "caption": config.caption_column}
    chosen = {name: (column,) for name, column in given.items() if column}
    if spec.startswith("tfds:"):
        from pipelines.data.images import tfds as pictures_tfds  # noqa: PLC0415  # slow to import, seldom needed

        source = pictures_tfds.open_named_pictures(spec, pictures_tfds.COLUMNS | chosen)
    else:
        source = pictures.open_pictures(spec, pictures.COLUMNS | chosen)
    return with_cuts(source, group=lambda example: str(example["id"]), share=config.validation_share)


# ------------------------------------------------------------------------------------------------------ model


def build(config: Config, preprocessor: Preprocessor) -> keras.Model:
    """Build the network: picture and captions so far -> logits of every next piece and the attention behind them.

    ``picture`` is uint8 [B, Y, X, 3] or features float16 [B, S, D]; ``target`` int32 [B, U] begins with BOS and is
    padded with 0, ``target_lengths`` int32 [B]. Training and search call the layers ``conv`` (without a frozen
    network), ``encoder``, ``decoder`` and ``detector`` (with ``word_detection``; only the loss asks it).
    """
    if config.encoder == "conv":
        picture = keras.Input([config.picture_size, config.picture_size, 3], dtype="uint8", name="picture")
        grid = ConvolutionalGrid(name="conv")(picture)
    else:
        shape = [preprocessor.record["cells"], preprocessor.record["features"]]
        grid = picture = keras.Input(shape, dtype="float16", name="picture")
    keys, cells = GridEncoder(config.grid_units, dropout=config.dropout, seed=config.seed + 1, name="encoder")(grid)
    decoder = AttentionDecoder(
        preprocessor.vocabulary.size,
        config.embedding_size,
        config.units,
        cell=config.cell,
        layers=config.layers,
        attention=config.attention,
        tied=config.tied,
        context_gate=config.context_gate,
        context_recurrence=config.context_recurrence,
        dropout=config.dropout,
        seed=config.seed + 2,
        name="decoder",
    )
    target = keras.Input([None], dtype="int32", name="target")
    lengths = keras.Input([], dtype="int32", name="target_lengths")
    logits, attention = decoder(target, lengths, keys, cells)
    inputs = {"picture": picture, "target": target, "target_lengths": lengths}
    outputs = {"logits": logits, "attention": attention}
    if config.word_detection:
        seldom = keras.initializers.Constant(-4.0)  # in most cells, most words are not
        detector = keras.layers.Dense(decoder.vocabulary_size, bias_initializer=seldom, name="detector")
        outputs["words"] = detector(keys)
    return keras.Model(inputs, outputs, name=NAME)


def see(model: keras.Model, picture: Any, training: bool) -> tuple[Any, Any]:
    """Return what the decoder attends to: keys [B, S, D] and lengths int32 [B], all S."""
    names = {layer.name for layer in model.layers}
    grid = model.get_layer("conv")(picture) if "conv" in names else tf.cast(picture, tf.float32)
    return model.get_layer("encoder")(grid, training=training)


def loss(model: keras.Model, config: Config, x: Mapping[str, Any], y: Mapping[str, Any]) -> Any:
    """Mean cross-entropy of the pieces of each picture's captions [B], plus the weighed other losses.

    All R captions of a picture are learnt at once, with one look at it.
    """
    captions = tf.transpose(y["captions"], [0, 2, 1])  # [B, R, U]
    shape = tf.shape(captions)
    target = tf.reshape(captions, [-1, shape[2]])
    pieces = tf.reduce_sum(tf.cast(target != PAD, tf.int32), axis=1)
    seen = tf.concat([tf.fill([tf.shape(target)[0], 1], BOS), target[:, :-1]], axis=1)
    keys, cells = see(model, x["picture"], training=True)
    # A missing caption is read as one step, which the loss then leaves out.
    decoder = model.get_layer("decoder")
    readout, attention = decoder.read(seen, tf.maximum(pieces, 1), keys, cells, training=True)
    losses = tf.reshape(projected_loss(decoder, readout, target, config.label_smoothing), shape[:2])
    pieces = tf.cast(tf.reshape(pieces, shape[:2]), tf.float32)
    mean = tf.reduce_sum(losses, axis=1) / tf.reduce_sum(pieces, axis=1)
    if config.word_detection:
        mean += config.word_detection * word_detection_loss(model.get_layer("detector")(keys), captions)
    if not config.attention_penalty:
        return mean
    unattended = unattended_penalty(attention, target)
    real = tf.cast(pieces > 0, tf.float32)
    penalty = tf.reduce_sum(tf.reshape(unattended, shape[:2]) * real, axis=1) / tf.reduce_sum(real, axis=1)
    return mean + config.attention_penalty * penalty


def reward_loss(
    model: keras.Model, config: Config, reward: rewarding.Reward, x: Mapping[str, Any], y: Mapping[str, Any]
) -> Any:
    """Return what lacks in the reward of drawn captions [B] against all captions of a picture, see `rewarding`."""
    references = tf.transpose(y["captions"], [0, 2, 1])  # [B, R, U]
    rules = Rules(BOS, EOS, config.max_tokens)

    def look(training: bool) -> tuple[Any, Any, None]:
        return *see(model, x["picture"], training), None

    drawing = {
        "noise": y["noise"],
        "rules": rules,
        "temperature": config.reward_temperature,
        "kept": config.reward_kept,
    }
    return rewarding.reward_loss(model.get_layer("decoder"), look, reward, references, **drawing)


def settle(loaded: Any, source: Source | None) -> Any:
    """Open the frozen network before the first picture: without its weights none can be answered.

    Raises:
        ValueError: there are no such weights.
    """
    if loaded.config.encoder != "conv":
        loaded.preprocessor.network  # noqa: B018
    return loaded


def decode(model: keras.Model, config: Config, x: Mapping[str, Any]) -> dict[str, Any]:
    """Describe pictures by beam search, or draw descriptions.

    Returns:
        ``tokens`` int32 [B, K, L], ``lengths`` int32 [B, K] and ``scores`` float32 [B, K] of the K best captions
        (`Hypotheses`), ``attention`` float32 [B, L, S] of the best one, and ``status`` int32 [B].
    """
    decoder = model.get_layer("decoder")
    keys, cells = see(model, x["picture"], training=False)
    state, memory = decoder.start(keys, cells)
    rules = Rules(BOS, EOS, config.max_tokens, config.min_tokens, config.no_repeat_ngram)
    found = searching.found(decoder.step, state, memory, rules, config)
    attention = searching.attention(decoder, found.tokens[:, 0], found.lengths[:, 0], BOS, keys, cells)
    return {
        "tokens": found.tokens,
        "lengths": found.lengths,
        "scores": found.scores,
        "attention": attention,
        "status": x["status"],
    }


# --------------------------------------------------------------------------------------------------- answers


def answer(
    preprocessor: Preprocessor, config: Config, example: Example, outputs: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Turn one row of ``decode`` into a prediction; ``score`` is the normalised log-probability of the answer.

    ``alternatives`` holds the K best captions with their scores, best first, without empty ones. A picture that could
    not be used has an empty answer of score 0, a ``status`` other than ``ok``, and the reason under ``error``.
    """
    status = int(outputs["status"])
    texts, scores = [""], [0.0]
    if status == OK:
        texts = [text.decode("utf-8") for text in written(preprocessor.vocabulary, outputs["tokens"]).numpy()]
        scores = [round(float(score), 6) for score in outputs["scores"]]
    prediction = {
        "id": example["id"],
        "input": example["image"],
        "references": list(example.get("captions", [])),
        "answer": texts[0],
        "score": scores[0],
        "status": STATUS_NAMES[status],
        "alternatives": [[text, score] for text, score in zip(texts, scores, strict=True) if text],
    }
    return prediction | ({"error": example["error"]} if "error" in example else {})


decode_name = searching.name


def scorer(predictions: list[dict[str, Any]]) -> caption_metrics.Scorer:
    """Prepare BLEU, ROUGE-L, CIDEr-D and the rest of ``SIGNATURES`` against all references."""
    return caption_metrics.scorer([p["answer"] for p in predictions], [p["references"] for p in predictions])


report = caption_metrics.report


def raw(inputs: list[Any]) -> list[Example]:
    """Wrap paths or the bytes of JPEG and PNG files; a folder stands for the pictures in it. Ids count from 0.

    Raises:
        ValueError: an input is something else, or a folder without pictures.
    """
    images: list[Any] = []
    for number, given in enumerate(inputs):
        if not isinstance(given, str | Path | bytes):
            raise ValueError(f"input {number + 1}: expected a path or the bytes of a picture, came {type(given)}")
        images += [given] if isinstance(given, bytes) else pictures_in(given)
    return [{"id": str(i), "where": f"input {i + 1}", "image": image} for i, image in enumerate(images)]


def serving_inputs(examples: list[Example], card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``Serving`` for raw examples: ``image``, string [B], the bytes of the files."""
    return {"image": tf.constant([captioning_cases.contents(example["image"]) for example in examples], tf.string)}


def explain(model: keras.Model, preprocessor: Preprocessor, config: Config, image: bytes | str | Path) -> Explanation:
    """Caption one picture and show where each word looked, see `captioning_explain`."""
    from pipelines.tasks.captioning import explain as captioning_explain  # noqa: PLC0415  # draws: matplotlib is slow to import

    example = {"id": "0", "image": str(image) if not isinstance(image, bytes) else ""}
    return captioning_explain.explain(
        preprocessor,
        image,
        lambda x: decode(model, config, x),
        lambda outputs: answer(preprocessor, config, example, outputs),
    )


def sheet(model: keras.Model, preprocessor: Preprocessor, config: Config, examples: Iterable[Example]) -> Sheet:
    """Draw pictures with their captions and attention, see `captioning_sheet`."""
    from pipelines.tasks.captioning.explain import sheet as drawn  # noqa: PLC0415  # as above

    return drawn(preprocessor, examples, lambda x: decode(model, config, x), partial(answer, preprocessor, config))


def hard_cases() -> list[Example]:
    """Return pictures that an export must answer as the run does, see `captioning_cases`."""
    return raw(captioning_cases.files())


def describe(preprocessor: Preprocessor) -> dict[str, Any]:
    """Return what a client of the export may want to know."""
    config = preprocessor.config
    return {"status": list(STATUS_NAMES), "picture_size": config.picture_size, "encoder": preprocessor.record}


def serving(model: keras.Model, preprocessor: Preprocessor, config: Config) -> Serving:
    """Return the module to export."""
    return Serving(preprocessor, lambda x: decode(model, config, x), model)


def baseline(train: list[Example], test: list[Example]) -> tuple[str, float]:
    """Score the caption of the training picture whose words are most alike; it is told the words, not their order."""
    answers = synthetic.bag_of_attributes(train, test)
    score = caption_metrics.scorer(answers, [example["captions"] for example in test])
    return "bag of attributes", score(np.arange(len(test)))[METRIC]
