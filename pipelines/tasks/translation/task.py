"""Translation, top to bottom: a sentence in one language in, the same sentence in another out.

subwords -> embedding -> bidirectional recurrent encoder -> attention decoder -> beam search -> text. Any set of
sentence pairs will do.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from models.decoders import Memory
from models.losses import sentence_bleu
from models.recurrent.kernels import portable
from pipelines.data import tables
from pipelines.data.batching import Encoded, Transform
from pipelines.data.builtin import builtin
from pipelines.data.source import Example, Source, with_cuts
from pipelines.data.text.layouts import open_parallel
from pipelines.data.text.vocabulary import EMPTY, PAD, raw_texts
from pipelines.data.validate import View
from pipelines.explain.explanation import Explanation
from pipelines.metrics.bootstrap import Scorer
from pipelines.recipes.reward import Reward
from pipelines.recipes.seq2seq import Seq2Seq
from pipelines.task import Card, Field, Modality, Mode, Prediction, Row
from pipelines.tasks.translation import synthetic
from pipelines.tasks.translation.config import PRESETS, Config
from pipelines.tasks.translation.data import CHUNK, Preprocessor, augmentation, joined, no_text, refused, viewer
from pipelines.tasks.translation.model import build, parts

SLACK = 10  # pieces that a translation may always have beyond its share of the source's


class Translation(Seq2Seq):
    """Translation of sentences."""

    name = "translation"
    modality = Modality("text")
    raw = "source"
    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "source": ("source", "src"),
        "target": ("target", "tgt", "translation"),
    }
    answer_output = "translation"
    metric = "bleu"
    threshold, margin = 80.0, 40.0
    config_class = Config
    presets = PRESETS
    preprocessor_class = Preprocessor
    x_fields: ClassVar[Mapping[str, Field]] = {
        "source": Field("int32", ("batch", "time")),
        "source_lengths": Field("int32", ("batch",)),
        "cut": Field("bool", ("batch",)),
    }
    y_fields: ClassVar[Mapping[str, Field]] = {
        "target": Field("int32", ("batch", "time")),
        "target_lengths": Field("int32", ("batch",)),
        "history": Field("int32", ("batch", "time"), optional=True),
        "noise": Field("float32", ("batch", "sample", "time"), optional=True),
    }

    config: Config
    preprocessor: Preprocessor

    @classmethod
    def open_source(cls, spec: str, config: Config) -> Source:
        """Open ``synthetic``, ``tfds:NAME``, a folder of parallel files, a table file, or a folder of tables."""
        if spec == "synthetic":
            return builtin(synthetic.examples, {"train": 8000, "validation": 500, "test": 1000})
        given = {"source": config.source, "target": config.target}
        columns = {name: tuple(dict.fromkeys((given[name], *usual))) for name, usual in cls.columns.items()}
        if spec.startswith("tfds:"):
            from pipelines.data.tfds import open_named  # noqa: PLC0415  # slow to import, seldom needed

            source = open_named(spec, columns)
        else:
            source = open_parallel(spec, config.source, config.target) or tables.open_tables(spec, columns)
        return with_cuts(source, group=lambda example: str(example["source"]), share=config.validation_share)

    @classmethod
    def view(cls, config: Config, source: Source) -> View:
        """Look at both texts, and whether the sides seem to be exchanged."""
        return viewer(source)

    @classmethod
    def refused(cls, example: Example) -> str:
        """Say why a pair teaches nothing, see `pipelines.tasks.translation.data.refused`."""
        return refused(example)

    @classmethod
    def fit(cls, config: Config, examples: Iterable[Example]) -> Preprocessor:
        """Learn the pieces of both languages."""
        return Preprocessor.fit(config, examples)

    @classmethod
    def load(cls, config: Config, folder: Path) -> Preprocessor:
        """Read back the pieces of both languages."""
        return Preprocessor.load(config, folder)

    def encode(self, examples: Iterable[Example], mode: Mode = "score") -> Encoded:
        """Segment examples, ``CHUNK`` at a time; with references, drop pairs of which a side is no text, by name.

        ``lengths``, by which batches are made, is the longer side of each pair.
        """
        kept: list[Example] = []
        dropped: list[str] = []
        cuts: list[np.ndarray] = []
        sides: dict[str, list[tf.RaggedTensor]] = {"source": [], "target": []}
        iterator, labelled = iter(examples), mode != "predict"
        while chunk := list(itertools.islice(iterator, CHUNK)):
            reasons = [no_text(example) if labelled else "" for example in chunk]
            dropped += [f"{e['where']}: {reason}" for e, reason in zip(chunk, reasons, strict=True) if reason]
            good = [e for e, reason in zip(chunk, reasons, strict=True) if not reason]
            ids, too_long = self.preprocessor.source_ids(tf.constant([str(e["source"]) for e in good], tf.string))
            sides["source"].append(ids)
            cuts.append(too_long.numpy())
            if labelled:
                texts = tf.constant([e["target"] for e in good], tf.string)
                sides["target"].append(self.preprocessor.target_ids(texts))
            kept += good if mode != "train" else [{"id": e["id"], "where": e["where"]} for e in good]
        source, target = (joined(sides[name]) for name in ("source", "target"))
        lengths = tf.cast(source.row_lengths(), tf.int32)
        x = {
            "source": source,
            "source_lengths": lengths,
            "cut": tf.constant(np.concatenate([np.zeros(0, bool), *cuts])),
        }
        if not labelled:
            return Encoded(x, {}, lengths.numpy(), kept, dropped)
        target_lengths = tf.cast(target.row_lengths(), tf.int32)
        y = {"target": target, "target_lengths": target_lengths}
        return Encoded(x, y, np.maximum(lengths, target_lengths), kept, dropped)

    def augmentation(self) -> Transform | None:
        """Return what draws segmentations anew and hides pieces."""
        return augmentation(self.config, self.preprocessor)

    # ---------------------------------------------------------------------------------------------------------- model

    def network(self) -> keras.Model:
        """Build the network, see `pipelines.tasks.translation.model`."""
        return build(self.config, (self.preprocessor.source.size, self.preprocessor.target.size))

    def memory(self, model: keras.Model, x: Mapping[str, Any], training: bool) -> Memory:
        """Encode the source."""
        states, summary, words = parts(model).encoder(x["source"], x["source_lengths"], training=training)
        return Memory(states, x["source_lengths"], summary, words if self.config.lexical else None)

    def mean_weight(self, training: Encoded) -> float:
        """Return the mean length of a target."""
        return float(np.asarray(training.y["target_lengths"]).mean())

    def loss(self, model: keras.Model, x: Mapping[str, Any], y: Mapping[str, Any]) -> tuple[Any, Any]:
        """Summed cross-entropy of the target's pieces [B], and their number [B]."""
        memory = self.memory(model, x, training=True)
        target, lengths = y["target"], y["target_lengths"]
        losses, _ = self.token_loss(parts(model).decoder, memory, target, lengths, y.get("history", target))
        return losses, tf.cast(lengths, tf.float32)

    def reward(self, training: Encoded) -> Reward:
        """Reward translations for BLEU of the pieces."""
        return sentence_bleu

    def target_texts(self, y: Mapping[str, Any]) -> Any:
        """The one reference of each example, int32 [B, 1, U]."""
        return y["target"][:, None]

    def sample_limits(self, y: Mapping[str, Any]) -> Any:
        """Bound samples near the reference's length: the longest makes all others of a batch as long."""
        return y["target_lengths"] + SLACK // 2

    # -------------------------------------------------------------------------------------------------------- answers

    def limits(self, x: Mapping[str, Any]) -> Any:
        """Return ``length_ratio`` times the source's pieces, plus ``SLACK``."""
        config = self.config
        share = tf.minimum(config.length_ratio * tf.cast(x["source_lengths"], tf.float32), float(config.max_tokens))
        return tf.clip_by_value(tf.cast(share, tf.int32) + SLACK, config.min_tokens + 1, config.max_tokens)

    def empty(self, x: Mapping[str, Any]) -> Any:
        """Return which sources hold no text; they are translated as the empty text."""
        return (x["source_lengths"] == 1) & (x["source"][:, 0] == EMPTY)

    def outputs(self, model: keras.Model, x: Mapping[str, Any]) -> dict[str, Any]:
        """Translate; ``cut`` bool [B] is true where the sentence was longer than the model reads.

        ``tokens`` int32 [B, L] are the pieces of the best answer.
        """
        found = self.search(model, x)
        return self.worded(found) | {"cut": x["cut"], "tokens": found.tokens[:, 0]}

    def references(self, example: Example) -> list[str]:
        """Return the translation of an example."""
        return [example["target"]] if "target" in example else []

    @classmethod
    def more(cls, card: Card, example: Example, row: Row) -> Prediction:
        """Word whether the source was cut, and the K best answers."""
        return {"cut": bool(row["cut"])} | super().more(card, example, row)

    @classmethod
    def parse(cls, inputs: Sequence[Any]) -> list[Example]:
        """Wrap sentences as raw examples, see `raw_texts`."""
        return raw_texts(inputs, cls.raw)

    @classmethod
    def hard_cases(cls) -> list[Example]:
        """Return empty, blank, foreign, broken and very long texts."""
        return cls.parse(
            ["", " \t ", "很好 ÇOK İyi 🦊", "\x00\x1f", "A " * 2000, "x" * 500, "The dog, der Hund, собака."]
        )

    def card(self) -> dict[str, Any]:
        """Return the languages, and the longest sentence in pieces."""
        return {"source": self.config.source, "target": self.config.target, "max_tokens": self.config.max_tokens}

    def inputs(self, **raw: Any) -> dict[str, Any]:
        """In graph: ``source`` string [B] -> its pieces, their number, and whether it was cut."""
        ids, cut = self.preprocessor.source_ids(raw["source"])
        return {"source": ids.to_tensor(), "source_lengths": tf.cast(ids.row_lengths(), tf.int32), "cut": cut}

    def details(self, x: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """In graph: ``source_pieces`` string [B, S] and ``target_pieces`` string [B, L], the axes of ``attention``."""
        real = tf.sequence_mask(x["source_lengths"], tf.shape(x["source"])[1])
        best = outputs["tokens"]
        return {
            "source_pieces": tf.where(real, self.preprocessor.source.pieces(x["source"]), ""),
            "target_pieces": tf.where(best == PAD, "", self.preprocessor.target.pieces(best)),
        }

    def explain(self, model: keras.Model, raw: str) -> Explanation:
        """Translate one sentence and show which piece of it each piece of the answer attended to."""
        from pipelines.tasks.translation.explain import alignment  # noqa: PLC0415  # draws: matplotlib is slow to import

        (example,) = self.parse([raw])
        x = dict(self.encode([example], "predict").x)
        source = x["source"][0]
        with portable():
            found = self.search(model, x | {"source": x["source"].to_tensor()})
            row = {name: value.numpy()[0] for name, value in (self.worded(found) | {"cut": x["cut"]}).items()}
        tokens = found.tokens[0, 0, : int(found.lengths[0, 0])]
        prediction = self.answer(self.card(), example, row)
        return alignment(self.preprocessor, source, tokens, row["attention"], prediction)

    # -------------------------------------------------------------------------------------------------------- scoring

    @classmethod
    def scorer(cls, predictions: list[Prediction]) -> Scorer:
        """Prepare BLEU, chrF and the rest of ``signatures``."""
        from pipelines.metrics import translation  # noqa: PLC0415  # sacrebleu: an answer needs no score

        return translation.scorer([p["answer"] for p in predictions], [p["references"][0] for p in predictions])

    @classmethod
    def signatures(cls, predictions: list[Prediction]) -> Mapping[str, str]:
        """Say of each score what computes it, which depends on the script of the references."""
        from pipelines.metrics import translation  # noqa: PLC0415

        return translation.signatures([p["references"][0] for p in predictions])

    @classmethod
    def report(cls, predictions: list[Prediction]) -> str:
        """Return the translations furthest from their references."""
        from pipelines.metrics import translation  # noqa: PLC0415

        return translation.report(predictions)

    @classmethod
    def baseline(cls, train: list[Example], test: list[Example]) -> tuple[str, float]:
        """Score word-for-word translation with a dictionary learned from train."""
        return synthetic.baseline(train, test)


TASK = Translation
