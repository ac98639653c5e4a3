"""Captioning, from pictures and captions to tensors."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import tensorflow as tf

from models.losses import cider_d, document_frequencies, sentence_bleu
from pipelines.data import cache
from pipelines.data.batching import Encoded, Transform
from pipelines.data.images import features
from pipelines.data.images import layouts as pictures
from pipelines.data.images.files import inspect, read
from pipelines.data.images.network import PictureNetwork
from pipelines.data.images.pixels import OK, STATUS_NAMES, decode, decoder
from pipelines.data.source import Example
from pipelines.data.text.learning import learn_vocabulary
from pipelines.data.text.vocabulary import EOS, PAD, SubwordVocabulary
from pipelines.data.validate import Facets
from pipelines.log import say
from pipelines.metrics.captions import tokenise
from pipelines.recipes.reward import Reward
from pipelines.tasks.captioning.config import Config

CHUNK = 256


class Preprocessor(tf.Module):
    """The pieces of the captions, and the frozen picture network where there is one.

    Attributes:
        vocabulary: the pieces.
        record: of the frozen network: name, size, layer, SHA-256 of its weights, and the shape of its grid;
            empty when the network is trained with the decoder.
        config: the task's settings.
    """

    FILES: ClassVar[tuple[str, ...]] = ("vocabulary.txt", "encoder.json")

    def __init__(
        self,
        vocabulary: SubwordVocabulary,
        config: Config,
        record: dict[str, Any],
        network: PictureNetwork | None = None,
    ) -> None:
        super().__init__()
        self.vocabulary, self.config = vocabulary, config
        self._record = json.dumps(record)  # a dict attribute of a tf.Module is wrapped, and would be exported
        self._network = network

    @classmethod
    def fit(cls, config: Config, examples: Iterable[Example]) -> Self:
        """Learn the pieces from the training captions, in lower case and without punctuation, and open the network.

        Raises:
            ValueError: the network or its weights are not there.
        """
        network = None if config.encoder == "conv" else open_network(config)
        record = network.record() | {"cells": network.cells, "features": network.features} if network else {}
        texts = (" ".join(tokenise(caption)) for example in examples for caption in example["captions"])
        pieces = learn_vocabulary(texts, config.vocabulary_size, kind=config.vocabulary)
        return cls(SubwordVocabulary(pieces), config, record, network)

    @classmethod
    def load(cls, config: Config, folder: Path) -> Self:
        """Read back what ``save`` wrote; the network is opened when a picture comes."""
        record = json.loads((folder / "encoder.json").read_text("utf-8"))
        return cls(SubwordVocabulary.load(folder / "vocabulary.txt"), config, record)

    @property
    def answers(self) -> SubwordVocabulary:
        """The vocabulary of the captions."""
        return self.vocabulary

    @property
    def record(self) -> dict[str, Any]:
        """See above."""
        return dict(json.loads(self._record))

    @property
    def network(self) -> PictureNetwork:
        """The frozen network, built when it is first needed; warns when its weights are not those of the training.

        Raises:
            ValueError: there are no such weights, see `PictureNetwork`.
        """
        if self._network is None:
            self._network = open_network(self.config)
            expected, found = self.record["weights_sha256"], self._network.sha256
            if expected != found:
                say(
                    f"warning: the run was trained with other weights of {self.config.encoder} (SHA-256 "
                    f"{expected[:16]}...) than these ({found[:16]}...); expect worse captions"
                )
        return self._network

    def save(self, folder: Path) -> None:
        """Write ``FILES``."""
        self.vocabulary.save(folder / "vocabulary.txt")
        (folder / "encoder.json").write_text(json.dumps(self.record, indent=1) + "\n", "utf-8")

    def see(
        self, images: Sequence[bytes | str | Path], keep: bool, flipped: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs of the network for the usable ones of N pictures, and the status int32 [N] of all.

        With a frozen network features float16 [M, S, D], which are kept on disk if ``keep`` is set; else pixels
        uint8 [M, picture_size, picture_size, 3]. ``flipped`` is for features only: pixels are flipped later.
        """
        if self.config.encoder != "conv":
            return features.load(self.network, images, cache.folder() if keep else None, flipped)
        size = self.config.picture_size
        pixels, status = np.zeros((len(images), size, size, 3), np.uint8), np.zeros(len(images), np.int32)
        for start in range(0, len(images), CHUNK):
            part = slice(start, start + CHUNK)
            found = decoder(size)(tf.constant([features.contents(image) for image in images[part]]))
            pixels[part], status[part] = (tensor.numpy() for tensor in found)
        return pixels[status == OK], status

    def seen(self, contents: Any) -> tuple[Any, Any]:
        """In graph: files tf.string [B] -> inputs of the network, zeros for unusable ones, and the status int32 [B]."""
        pixels, status = decode(contents, self.config.picture_size)
        return (pixels if self.config.encoder == "conv" else features.as_kept(self.network, pixels, status)), status

    def tokens(self, captions: Sequence[str]) -> list[np.ndarray]:
        """Segment N captions into int32 [U] each, 1 <= U <= max_tokens; the last piece is EOS unless it was cut."""
        limit = self.config.max_tokens
        ids = self.vocabulary.encode(tf.constant([" ".join(tokenise(caption)) for caption in captions], tf.string))
        ids = tf.concat([ids, tf.fill([ids.nrows(), 1], EOS)], axis=1)[:, :limit]
        return np.split(ids.values.numpy(), ids.row_splits.numpy()[1:-1]) if len(captions) else []


def open_network(config: Config) -> PictureNetwork:
    """Build the frozen network of ``config``, without a trace in Python's random numbers.

    Keras draws from them the seed of every layer that has none: a training that opens the network and one that resumes
    and does not need it shall begin with the same weights.
    """
    state = random.getstate()
    try:
        return PictureNetwork(config.encoder, config.encoder_weights, config.picture_size, config.encoder_layer)
    finally:
        random.setstate(state)


def contents(image: bytes | str | Path) -> bytes:
    """Return a picture's bytes; none, and a sentence to stderr, where the file cannot be read."""
    try:
        return read(image)
    except ValueError as error:
        say(str(error))
        return b""


def learnable(example: Example) -> list[str]:
    """Return the captions of an example that have a word in them."""
    return [caption for caption in example["captions"] if tokenise(caption)]


def unusable(example: Example, status: int, texts: list[str], labelled: bool) -> str:
    """Say why an example cannot be used; empty when it can."""
    if status != OK:
        try:
            problem = inspect(read(example["image"])).problem
        except ValueError as error:
            return str(error)
        return f"{name_of(example)} {problem or f'cannot be decoded ({STATUS_NAMES[status]})'}"
    return "" if texts or not labelled else f"{name_of(example)} has no caption with a word in it"


def name_of(example: Example) -> str:
    """How a picture is called: its path, or where its bytes came from."""
    image = example["image"]
    return str(example["where"]) if isinstance(image, bytes) else str(image)


def rows(found: np.ndarray, status: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Return a row for each usable example: its inputs, [M, ...] in ``found``, or zeros."""
    if usable.all() and (status == OK).all():
        return found  # may be a gigabyte: no copy
    if (status[usable] == OK).all():
        return found[usable[status == OK]]
    every = np.zeros((len(status), *found.shape[1:]), found.dtype)
    every[status == OK] = found
    return every[usable]


def slim(example: Example, reason: str, keep: bool) -> Example:
    """Return what a prediction needs of an example: all but the bytes of its picture, or without ``keep`` its ``id``,
    ``where`` and name.
    """
    known = {key: value for key, value in example.items() if keep or key in ("id", "where")}
    return known | {"image": name_of(example)} | ({"error": reason} if reason else {})


def captions(preprocessor: Preprocessor, groups: list[list[str]]) -> tf.RaggedTensor:
    """Segment the captions of N pictures into int32 [N, (U), R], side by side, PAD where there is none."""
    flat = iter(preprocessor.tokens([caption for group in groups for caption in group]))
    most = max((len(group) for group in groups), default=1)
    blocks = []
    for group in groups:
        tokens = [next(flat) for _ in group]
        block = np.zeros((max(len(row) for row in tokens), most), np.int32)
        for column, row in enumerate(tokens):
            block[: len(row), column] = row
        blocks.append(block)
    values = np.concatenate(blocks) if blocks else np.zeros((0, most), np.int32)
    return tf.RaggedTensor.from_row_lengths(values, [len(block) for block in blocks])


def reward(training: Encoded) -> Reward:
    """Return what captions are rewarded for: the mean of BLEU and ten times CIDEr-D of the pieces.

    BLEU alone is won by the same few safe captions for every picture; CIDEr-D counts what is rare in the captions of
    the training pictures.
    """
    captions = training.y["captions"]
    captions = tf.RaggedTensor.from_row_splits(captions.values, captions.row_splits)  # may lie in files
    frequencies = document_frequencies(captions.to_tensor().numpy().transpose(0, 2, 1))

    def score(answers: Any, references: Any) -> Any:
        return (sentence_bleu(answers, references) + 10 * cider_d(answers, references, frequencies)) / 2

    return score


def facets(example: Example) -> Facets:
    """Return the captions of an example and problems with its fully decoded picture, for ``pipelines validate``.

    Unusual but usable ones (CMYK, animated, tiny, a caption of one word, ...) are noted.
    """
    problem, notes = pictures.review(example)
    return Facets({"captions": "\n".join(example["captions"])}, problem=problem, notes=tuple(notes))


def augmentation(config: Config) -> Transform | None:
    """Return the choice of ``captions_per_step`` captions a picture and of its mirror image; None where neither is on.

    Pictures are otherwise left alone. A mirrored one makes captions wrong that tell left from right.
    """
    if not config.captions_per_step and not config.random_flip:
        return None

    def transform(x: dict[str, Any], y: dict[str, Any], seed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if config.random_flip:
            x = _flipped(x, seed)
        return x, y | (
            {"captions": _drawn(y["captions"], config.captions_per_step, seed)} if config.captions_per_step else {}
        )

    return transform


def _flipped(x: dict[str, Any], seed: Any) -> dict[str, Any]:
    """Exchange half of the pictures [B, ...] for mirror images, which are features beside them or made of pixels."""
    picture = x["picture"]
    mirror = x["flipped"] if "flipped" in x else picture[:, :, ::-1]
    heads = tf.random.stateless_uniform(tf.shape(picture)[:1], seed + tf.constant([1, 0])) < 0.5
    chosen = tf.where(tf.reshape(heads, [-1] + [1] * (picture.shape.rank - 1)), mirror, picture)
    return {name: value for name, value in x.items() if name != "flipped"} | {"picture": chosen}


def _drawn(captions: Any, count: int, seed: Any) -> Any:
    """Draw ``count`` of the R captions of each picture: int32 [B, U, R] -> [B, U', count], U' a multiple of 8."""
    there = captions[:, 0] != PAD
    order = tf.where(there, tf.random.stateless_uniform(tf.shape(there), seed), -1.0)
    most = tf.minimum(count, tf.shape(captions)[2])
    drawn = tf.gather(captions, tf.math.top_k(order, most).indices, axis=2, batch_dims=1)
    longest = tf.reduce_max(tf.math.count_nonzero(drawn, axis=1, dtype=tf.int32))
    return drawn[:, : -(-longest // 8) * 8]  # few widths: each is compiled once
