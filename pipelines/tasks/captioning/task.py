"""Captioning, top to bottom: a picture in, a sentence that describes it out.

picture -> grid of features -> attention decoder -> beam search -> text. The grid comes from a small convolutional
network that is trained with the decoder, or from a frozen one. Any set of pictures with captions will do.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from models.decoders import Memory
from models.losses import unattended_penalty, word_detection_loss
from pipelines.data.batching import Encoded, Transform
from pipelines.data.builtin import builtin
from pipelines.data.images import layouts
from pipelines.data.images.files import pictures_in
from pipelines.data.images.pixels import OK, STATUS_NAMES
from pipelines.data.source import Example, Source, with_cuts
from pipelines.data.text.vocabulary import PAD
from pipelines.data.validate import View
from pipelines.explain.explanation import Explanation, Sheet
from pipelines.log import say
from pipelines.metrics import captions as metrics
from pipelines.metrics.bootstrap import Scorer
from pipelines.recipes.reward import Reward
from pipelines.recipes.seq2seq import Seq2Seq
from pipelines.task import Card, DecodingData, Field, Modality, Mode, Prediction, Row, Serving
from pipelines.tasks.captioning import data, synthetic
from pipelines.tasks.captioning.config import PRESETS, Config
from pipelines.tasks.captioning.data import Preprocessor
from pipelines.tasks.captioning.model import build, parts, see

CLITIC = r" (n't|'(?:s|m|d|re|ve|ll))\b"
"""Ends of words that tokenising splits off."""


class Captioning(Seq2Seq):
    """Captions of pictures."""

    name = "captioning"
    modality = Modality("image", rank=3, media="image/*")
    raw = "image"
    columns = layouts.COLUMNS
    answer_output = "caption"
    metric = "bleu4"
    threshold, margin = 80.0, 15.0
    config_class = Config
    presets = PRESETS
    preprocessor_class = Preprocessor
    x_fields: ClassVar[Mapping[str, Field]] = {
        "picture": Field("uint8 or float16", ("batch", "...")),
        "status": Field("int32", ("batch",)),
        "flipped": Field("float16", ("batch", "cell", "feature"), optional=True),
    }
    y_fields: ClassVar[Mapping[str, Field]] = {
        "captions": Field("int32", ("batch", "time", "reference")),
        "noise": Field("float32", ("batch", "sample", "time"), optional=True),
    }

    config: Config
    preprocessor: Preprocessor

    @classmethod
    def open_source(cls, spec: str, config: Config) -> Source:
        """Open ``synthetic``, ``tfds:NAME``, or pictures in a known layout; missing splits are cut by picture."""
        if spec == "synthetic":
            counts = {"train": 4000, "validation": 300, "test": 600}
            return builtin(synthetic.sketches, counts, finish=synthetic.finished)
        given = {"image": config.image_column, "caption": config.caption_column}
        chosen = {name: (column,) for name, column in given.items() if column}
        if spec.startswith("tfds:"):
            from pipelines.data.images import tfds  # noqa: PLC0415  # slow to import, seldom needed

            source = tfds.open_named_pictures(spec, tfds.COLUMNS | chosen)
        else:
            source = layouts.open_pictures(spec, layouts.COLUMNS | chosen)
        return with_cuts(source, group=lambda example: str(example["id"]), share=config.validation_share)

    @classmethod
    def view(cls, config: Config, source: Source) -> View:
        """Look at the picture, decoded whole, and its captions."""
        return data.facets

    @classmethod
    def fit(cls, config: Config, examples: Iterable[Example]) -> Preprocessor:
        """Learn the pieces of the captions, and open the frozen network."""
        return Preprocessor.fit(config, examples)

    @classmethod
    def load(cls, config: Config, folder: Path) -> Preprocessor:
        """Read back the pieces and the record of the frozen network."""
        return Preprocessor.load(config, folder)

    def encode(self, examples: Iterable[Example], mode: Mode = "score") -> Encoded:
        """Look at every picture once and segment its captions.

        With references, a picture that cannot be used is dropped by name; without, it stays: its answer will be empty,
        and its example says why under ``error``. ``lengths`` are those of each picture's longest caption.
        """
        labelled, training = mode != "predict", mode == "train"
        every = list(examples)
        for note in (note for example in every for note in example.get("notes", ())):
            say(f"left out: {note}")
        found, status = self.preprocessor.see([example["image"] for example in every], keep=labelled)
        texts = [data.learnable(e) if labelled else [] for e in every]
        pairs = zip(every, status, texts, strict=True)
        reasons = [data.unusable(e, int(code), group, labelled) for e, code, group in pairs]
        dropped = [f"{e['where']}: {reason}" for e, reason in zip(every, reasons, strict=True) if reason and labelled]
        usable = np.array([not (reason and labelled) for reason in reasons], bool)
        arrays = {"picture": data.rows(found, status, usable), "status": status[usable]}
        kept = [data.slim(e, reason, not training) for e, reason, ok in zip(every, reasons, usable, strict=True) if ok]
        if self.config.random_flip and self.config.encoder != "conv" and training:
            images = [e["image"] for e, ok in zip(every, usable, strict=True) if ok]
            arrays["flipped"], _ = self.preprocessor.see(images, True, True)
        with tf.device("CPU:0"):  # the memory of a GPU is for batches
            x = {name: tf.constant(array) for name, array in arrays.items()}
            if not labelled:
                return Encoded(x, {}, np.ones(len(kept), np.int32), kept, dropped)
            groups = [group for group, ok in zip(texts, usable, strict=True) if ok]
            captions = data.captions(self.preprocessor, groups)
        lengths = captions.row_lengths().numpy().astype(np.int32)
        return Encoded(x, {"captions": captions}, lengths, kept, dropped)

    def augmentation(self) -> Transform | None:
        """Return the choice of captions and the random flip."""
        return data.augmentation(self.config)

    # ---------------------------------------------------------------------------------------------------------- model

    def network(self) -> keras.Model:
        """Build the network, see `pipelines.tasks.captioning.model`."""
        record = self.preprocessor.record
        shape = None if self.config.encoder == "conv" else [record["cells"], record["features"]]
        return build(self.config, self.preprocessor.vocabulary.size, shape)

    def memory(self, model: keras.Model, x: Mapping[str, Any], training: bool) -> Memory:
        """Return the cells of the pictures."""
        return see(model, x["picture"], training)

    def loss(self, model: keras.Model, x: Mapping[str, Any], y: Mapping[str, Any]) -> tuple[Any, Any]:
        """Mean cross-entropy of the pieces of each picture's captions [B], plus the weighted other losses.

        All R captions of a picture are learned at once, with one look at it.
        """
        config, layers = self.config, parts(model)
        captions = self.target_texts(y)
        shape = tf.shape(captions)
        target = tf.reshape(captions, [-1, shape[2]])
        pieces = tf.reduce_sum(tf.cast(target != PAD, tf.int32), axis=1)
        memory = self.memory(model, x, training=True)
        # A missing caption is read as one step, which the loss then leaves out.
        losses, attention = self.token_loss(layers.decoder, memory, target, tf.maximum(pieces, 1), target)
        pieces = tf.cast(tf.reshape(pieces, shape[:2]), tf.float32)
        mean = tf.reduce_sum(tf.reshape(losses, shape[:2]), axis=1) / tf.reduce_sum(pieces, axis=1)
        if layers.detector:
            mean += config.word_detection * word_detection_loss(layers.detector(memory.states), captions)
        if config.attention_penalty:
            unattended = tf.reshape(unattended_penalty(attention, target), shape[:2])
            real = tf.cast(pieces > 0, tf.float32)
            penalty = tf.reduce_sum(unattended * real, axis=1) / tf.reduce_sum(real, axis=1)
            mean += config.attention_penalty * penalty
        return mean, tf.ones_like(mean)

    def reward(self, training: Encoded) -> Reward:
        """Reward captions for BLEU and CIDEr-D, see `pipelines.tasks.captioning.data.reward`."""
        return data.reward(training)

    def target_texts(self, y: Mapping[str, Any]) -> Any:
        """All captions of each picture, int32 [B, R, U]."""
        return tf.transpose(y["captions"], [0, 2, 1])

    # -------------------------------------------------------------------------------------------------------- answers

    def prepared(self, model: keras.Model, decoding: DecodingData) -> "Captioning":
        """Open the frozen network before the first picture: without its weights none can be answered.

        Raises:
            ValueError: there are no such weights.
        """
        if self.config.encoder != "conv":
            self.preprocessor.network  # noqa: B018
        return self

    def written(self, tokens: Any) -> Any:
        """Turn captions int32 [N, L] into texts string [N]; clitics that tokenising split off are joined again."""
        return tf.strings.regex_replace(super().written(tokens), CLITIC, r"\1")

    def outputs(self, model: keras.Model, x: Mapping[str, Any]) -> dict[str, Any]:
        """Describe pictures; ``status`` int32 [B] is 0 for ok, 1 unreadable, 2 too large, ``tokens`` int32 [B, L].

        Unless the status is 0, texts are empty and numbers are 0.
        """
        found = self.search(model, x)
        fine = x["status"] == OK
        found = found._replace(
            tokens=tf.where(fine[:, None, None], found.tokens, PAD),
            scores=tf.where(fine[:, None], found.scores, 0.0),
            attention=tf.where(fine[:, None, None], found.attention, 0.0),
        )
        return self.worded(found) | {"status": x["status"], "tokens": found.tokens[:, 0]}

    def references(self, example: Example) -> list[str]:
        """Return the captions of a picture."""
        return list(example.get("captions", []))

    @classmethod
    def more(cls, card: Card, example: Example, row: Row) -> Prediction:
        """Word the status, the K best captions, and why a picture could not be used."""
        status = STATUS_NAMES[int(row["status"])]
        found = {"status": status} | super().more(card, example, row)
        failed = int(row["status"]) != OK and "error" not in example
        return found | (
            {"error": f"the picture cannot be decoded ({status}; an export decodes JPEG and PNG)"} if failed else {}
        )

    @classmethod
    def parse(cls, inputs: Sequence[Any]) -> list[Example]:
        """Wrap paths or the bytes of picture files; a folder stands for the pictures in it. Ids count from 0.

        Raises:
            ValueError: an input is something else, or a folder without pictures.
        """
        images: list[Any] = []
        for number, given in enumerate(inputs):
            if not isinstance(given, str | Path | bytes):
                raise ValueError(f"input {number + 1}: expected a path or the bytes of a picture, came {type(given)}")
            images += [given] if isinstance(given, bytes) else pictures_in(given)
        return [{"id": str(i), "where": f"input {i + 1}", "image": image} for i, image in enumerate(images)]

    @classmethod
    def hard_cases(cls) -> list[Example]:
        """Return unusual and broken picture files, see `pipelines.tasks.captioning.synthetic`."""
        return cls.parse(synthetic.unusual_files())

    def card(self) -> dict[str, Any]:
        """Return the names of the status, the formats of an export, the size of a picture, and the frozen network."""
        record = self.preprocessor.record
        names = {"status": list(STATUS_NAMES), "formats": ["JPEG", "PNG"]}
        return names | {"picture_size": self.config.picture_size, "encoder": record}

    @classmethod
    def serving_inputs(cls, examples: list[Example], card: Card) -> dict[str, Any]:
        """Return the bytes of the files; none where a file cannot be read."""
        return {"image": tf.constant([data.contents(example["image"]) for example in examples], tf.string)}

    def inputs(self, **raw: Any) -> dict[str, Any]:
        """In graph: the bytes of JPEG or PNG files, ``image`` string [B] -> inputs of the network, and the status."""
        picture, status = self.preprocessor.seen(raw["image"])
        return {"picture": picture, "status": status}

    def details(self, x: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """In graph: ``pieces`` string [B, L] of the caption; ``attention`` is theirs over the cells, row by row."""
        best = outputs["tokens"]
        return {"pieces": tf.where(best == PAD, "", self.preprocessor.vocabulary.pieces(best))}

    def serving(self, model: keras.Model) -> Serving:
        """Return the module to export; the frozen network is opened here, not while the graph is traced."""
        if self.config.encoder != "conv":
            self.preprocessor.network  # noqa: B018
        return super().serving(model)

    def tolerance(self) -> float:
        """Return how far floats of run and export may differ.

        Features of a frozen network are rounded to float16, whose steps are 2^-11 = 0.0005 of a value: the last bit of
        a convolution, which depends on how it is compiled, decides which way. On a run of Flickr8k the attention
        differed by 1.5e-4, and by 8e-6 when the features were left in float32.
        """
        return 1e-4 if self.config.encoder == "conv" else 1e-3

    def explain(self, model: keras.Model, raw: bytes | str | Path) -> Explanation:
        """Caption one picture and show where each word looked, see `pipelines.tasks.captioning.explain`."""
        from pipelines.tasks.captioning import explain  # noqa: PLC0415  # draws: matplotlib is slow to import

        example = {"id": "0", "image": str(raw) if not isinstance(raw, bytes) else ""}
        return explain.explain(self.preprocessor, raw, partial(self.outputs, model), partial(self._answer, example))

    def sheet(self, model: keras.Model, examples: Iterable[Example]) -> Sheet:
        """Draw pictures with their captions and attention, see `pipelines.tasks.captioning.explain`."""
        from pipelines.tasks.captioning import explain  # noqa: PLC0415  # as above

        return explain.sheet(self.preprocessor, examples, partial(self.outputs, model), self._answer)

    def _answer(self, example: Example, row: Row) -> Prediction:
        return self.answer(self.card(), example, row, self.references(example))

    # -------------------------------------------------------------------------------------------------------- scoring

    @classmethod
    def scorer(cls, predictions: list[Prediction]) -> Scorer:
        """Prepare BLEU, ROUGE-L, CIDEr-D and the rest of ``signatures`` against all references."""
        return metrics.scorer([p["answer"] for p in predictions], [p["references"] for p in predictions])

    @classmethod
    def signatures(cls, predictions: list[Prediction]) -> Mapping[str, str]:
        """Say of each score what computes it."""
        return metrics.SIGNATURES

    @classmethod
    def report(cls, predictions: list[Prediction]) -> str:
        """Return the most frequent captions and the worst ones."""
        return metrics.report(predictions)

    @classmethod
    def baseline(cls, train: list[Example], test: list[Example]) -> tuple[str, float]:
        """Score the training caption with the most similar words; the baseline knows the words, not their order."""
        answers = synthetic.bag_of_attributes(train, test)
        score = metrics.scorer(answers, [example["captions"] for example in test])
        return "bag of attributes", score(np.arange(len(test)))[cls.metric]


TASK = Captioning
