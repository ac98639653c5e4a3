"""What can be set about translation, and the presets. Imports no keras."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines.config import STRICT, Preset, TrainingConfig


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Config(TrainingConfig):
    """Translation: subwords -> bidirectional encoder -> attention decoder -> beam search -> text."""

    source: str = Field("source", description="language translated from: file ending (train.en) or column")
    target: str = Field("target", description="language translated to: file ending (train.de) or column")
    lowercase: bool = Field(False, description="fold case on both sides; off keeps the target's capitals")
    vocabulary: Literal["joint", "separate"] = Field("joint", description="one list of pieces for both, or two")
    vocabulary_size: int = Field(8000, ge=300, description="subword pieces in each list, special ones included")
    max_tokens: int = Field(80, ge=2, description="longest sentence in pieces, on either side; more is cut")
    embedding_size: int = Field(256, ge=1, description="width of the embeddings")
    share_embeddings: bool = Field(True, description="one embedding for both sides, when the vocabulary is joint")
    tied: bool = Field(True, description="the target embedding is also the output matrix")
    cell: Literal["lstm", "gru", "simple"] = Field("gru", description="kind of recurrent layer")
    units: int = Field(256, ge=1, description="width of each encoder layer and direction")
    layers: int = Field(1, ge=1, description="encoder layers, each in both directions")
    decoder_units: int = Field(512, ge=1, description="width of each decoder layer")
    decoder_layers: int = Field(1, ge=1, description="decoder layers below the attention")
    attention: Literal["additive", "general", "scaled_dot"] = Field(
        "general", description="Bahdanau's score, Luong's, or a scaled dot product (needs decoder_units = 2 units)"
    )
    context_recurrence: bool = Field(
        False, description="a decoder layer above the attention, so that a step knows what was attended to before"
    )
    lexical: bool = Field(
        False, description="the source words attended to speak for their translation directly, past the states"
    )
    segmentation_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability of writing a piece in shorter ones, in two rounds, drawn anew in every epoch",
    )
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of pieces hidden from encoder and decoder in training"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout after embeddings, encoder, and before the output")
    best_by: Literal["bleu", "bleu_lc", "chrf"] = Field(
        "bleu", description="score of validation that chooses the best epoch"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability mass moved to all pieces")
    reward_epochs: int = Field(
        0, ge=0, description="last epochs, in which drawn answers are scored and the better ones made likelier"
    )
    reward_samples: int = Field(4, ge=2, description="answers drawn for each example in those epochs")
    reward_kept: int = Field(
        0, ge=0, description="of those, so many are learnt from, the best and the worst of an example; 0: all"
    )
    reward_temperature: float = Field(
        1.0, gt=0, description="logits are divided by it where those are drawn; below 1 draws likelier answers"
    )
    reward_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="final weights lie between those before (0) and after (1) those epochs",
    )
    reward_rate: float = Field(0.1, gt=0, description="learning rate of those epochs, as a share of --learning-rate")
    beam_width: int = Field(5, ge=1, description="partial translations kept by the search; 1 is greedy")
    length_penalty: float = Field(1.0, ge=0, description="exponent of the length normalisation of the search")
    length_ratio: float = Field(
        3.0, gt=0, description="longest translation in pieces: this times the source's pieces, plus 10"
    )
    min_tokens: int = Field(0, ge=0, description="fewest pieces of an answer, its end not counted")
    no_repeat_ngram: int = Field(0, ge=0, description="no run of so many pieces comes twice in an answer; 0 allows it")
    sampling_temperature: float = Field(
        0.0, ge=0, description="draw answers instead of searching; below 1 sharpens the choice, 0 searches"
    )
    sampling_top_k: int = Field(0, ge=0, description="draw from so many most probable pieces; 0 takes all")
    sampling_top_p: float = Field(
        1.0, gt=0, le=1, description="nucleus sampling: draw from the likeliest pieces of so much probability"
    )
    sampling_seed: int = Field(0, ge=0, description="another one draws other answers")


FORMATS = (
    "parallel files SPLIT.SOURCE and SPLIT.TARGET (train.en, train.de), one sentence a line; CSV, TSV or JSON lines "
    "with a column for each language; all also .gz, .xz, .bz2"
)


def tiny() -> dict[str, object]:
    """Try the whole way of the data within seconds, as the tests do.

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
        "width_growth": 3.0,
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
        "reward_epochs": 1,
        "reward_samples": 4,
        "reward_kept": 2,
        "reward_temperature": 0.7,
        "batch_size": 64,
        "sorted_batches": 227,
        "width_growth": 1.1,
        "learning_rate": 1.5e-3,
        "warmup": 0.03,
        "ema": 0.998,
    }


PRESETS: dict[str, Preset] = {"tiny": tiny, "small": small, "base": base}
