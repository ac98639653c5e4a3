"""Settings and presets of translation. Imports no Keras."""

from typing import ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines.config import STRICT, Preset, Stage, TrainingConfig
from pipelines.recipes.settings import Cell, Seq2SeqSettings


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Network(TrainingConfig):
    """Settings of the network beside those of its decoder."""

    AFFECTS: ClassVar[Stage] = "network"

    share_embeddings: bool = Field(True, description="one embedding for both sides, when the vocabulary is joint")
    cell: Cell = Field("gru", description="kind of recurrent layer")
    units: int = Field(256, ge=1, description="width of each encoder layer and direction")
    layers: int = Field(1, ge=1, description="encoder layers, each in both directions")
    decoder_units: int = Field(512, ge=1, description="width of each decoder layer")
    decoder_layers: int = Field(1, ge=1, description="decoder layers below the attention")
    lexical: bool = Field(False, description="lexical model of Nguyen and Chiang (2018) beside the decoder's states")


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Learning(TrainingConfig):
    """Settings of regularisation and validation."""

    AFFECTS: ClassVar[Stage] = "training"

    segmentation_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability of writing a piece in shorter ones, in two rounds, sampled anew in every epoch",
    )
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of pieces hidden from encoder and decoder in training"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout after embeddings, encoder, and before the output")
    monitor: Literal["bleu", "bleu_lc", "chrf"] = Field(
        "bleu", description="score of validation that chooses the best epoch"
    )

    def monitored(self, metric: str) -> str:
        """Return the score named by ``monitor``."""
        return self.monitor


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Config(Learning, Network, Seq2SeqSettings):
    """Translation: subwords -> bidirectional encoder -> attention decoder -> beam search -> text."""

    source: str = Field("source", description="language translated from: file ending (train.en) or column")
    target: str = Field("target", description="language translated to: file ending (train.de) or column")
    lowercase: bool = Field(False, description="fold case on both sides; off keeps the target's capitals")
    vocabulary: Literal["joint", "separate"] = Field("joint", description="one list of pieces for both, or two")
    vocabulary_size: int = Field(8000, ge=300, description="subword pieces in each list, special ones included")
    max_tokens: int = Field(80, ge=2, description="longest sentence in pieces, on either side; more is cut")
    attention: Literal["additive", "general", "scaled_dot"] = Field(
        "general", description="Bahdanau's score, Luong's, or a scaled dot product (needs decoder_units = 2 units)"
    )
    label_smoothing: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="probability mass moved to all pieces",
        json_schema_extra={"affects": "training"},
    )
    length_ratio: float = Field(
        3.0,
        gt=0,
        description="longest translation in pieces: this times the source's pieces, plus 10",
        json_schema_extra={"affects": "decoding"},
    )


NUMERIC = False
"""Whether the network alone can be exported to ONNX and LiteRT."""
FORMATS = (
    "parallel files SPLIT.SOURCE and SPLIT.TARGET (train.en, train.de), one sentence a line; CSV, TSV or JSON lines "
    "with a column for each language; all also .gz, .xz, .bz2"
)


def tiny() -> dict[str, object]:
    """Try every step within seconds, as the tests do.

    - Command: ``pipelines train translation --preset tiny --limit 64``
    - Data: 64 built-in pairs of sentences
    - Score: none is expected of one epoch on so few
    - Time: seconds, most of which compile the training step
    """
    return {
        "vocabulary_size": 400,
        "max_tokens": 24,
        "embedding_size": 12,
        "units": 8,
        "decoder_units": 16,
        "dropout": 0.1,
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 1e-2,
        "warmup": 0.05,
        "beam_width": 2,
    }


def small() -> dict[str, object]:
    """Learn the built-in language, as the demonstration does.

    - Command: ``pipelines train translation --preset small``
    - Data: built-in pairs of sentences, in which order and agreement matter
    - Score: BLEU 91.1 on unseen sentences
    - Time: about a minute on two cores, with evaluation and export (``pipelines demo --task translation``)
    """
    return {
        "vocabulary_size": 600,
        "max_tokens": 48,
        "embedding_size": 64,
        "units": 64,
        "decoder_units": 80,
        "dropout": 0.1,
        "epochs": 5,
        "batch_size": 64,
        "bucket_growth": 3.0,
        "learning_rate": 1e-2,
        "warmup": 0.05,
        "beam_width": 3,
    }


def base() -> dict[str, object]:
    """Learn real sentences.

    - Command: ``pipelines train translation --data multi30k --source en --target de --preset base``
    - Data: 29,000 pairs of Multi30k, English to German, tested on the 1,000 of 2016
    - Score: BLEU 38.8, lower-cased 39.2 (``benchmarks/translation.md``)
    - Time: 44 minutes on two cores, 3.0 GB
    """
    return {
        "vocabulary_size": 4000,
        "max_tokens": 80,
        "embedding_size": 256,
        "units": 256,
        "decoder_units": 320,
        "context_recurrence": True,
        "lexical": True,
        "dropout": 0.25,
        "length_penalty": 1.0,
        "epochs": 17,
        "scst_epochs": 1,
        "scst_samples": 4,
        "scst_kept": 2,
        "scst_temperature": 0.7,
        "batch_size": 64,
        "bucket_window": 227,
        "bucket_growth": 1.1,
        "learning_rate": 1.5e-3,
        "warmup": 0.03,
        "ema": 0.998,
    }


PRESETS: dict[str, Preset] = {"tiny": tiny, "small": small, "base": base}
