"""Groups of settings that several tasks share. Each declares what it affects. Imports no Keras."""

from typing import ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines.config import STRICT, Names, Stage, TrainingConfig
from pipelines.search.settings import SearchSettings

Cell = Literal["lstm", "gru", "simple", "mingru", "minlstm", "rglru"]
"""Kinds of recurrent layers, see `models.recurrent`."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ClassificationLearning(TrainingConfig):
    """The loss of a classifier, and the score by which epochs are compared."""

    AFFECTS: ClassVar[Stage] = "training"

    label_smoothing: float = Field(0.0, ge=0, lt=1, description="probability mass moved to all classes")
    monitor: Literal["accuracy", "macro_f1"] = Field(
        "accuracy", description="score of validation that chooses the best epoch"
    )

    def monitored(self, metric: str) -> str:
        """Return the score named by ``monitor``."""
        return self.monitor


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ClassificationSettings(ClassificationLearning):
    """Settings of the recipe `pipelines.recipes.classify`."""

    label_column: str = Field("", description="column with the label, where its name is not a usual one")
    labels: Names = Field((), description="names of the integer labels 0, 1, ... in this order")
    class_weights: bool = Field(False, description="weigh classes inversely to their frequency")


@dataclass(frozen=True, config=STRICT, kw_only=True)
class DecoderSettings(TrainingConfig):
    """The attention decoder of translation and captioning, see `models.decoders`."""

    AFFECTS: ClassVar[Stage] = "network"

    embedding_size: int = Field(256, ge=1, description="width of the embeddings")
    tied: bool = Field(True, description="the target embedding is also the output matrix")
    attention: Literal["additive", "general", "scaled_dot"] = Field(
        "additive", description="Bahdanau's score, Luong's, or a scaled dot product of equal widths"
    )
    context_recurrence: bool = Field(
        False, description="a decoder layer above the attention, so that a step knows what was attended to before"
    )


@dataclass(frozen=True, config=STRICT, kw_only=True)
class RewardSettings(TrainingConfig):
    """Self-critical sequence training (SCST) in the last epochs, see `pipelines.recipes.reward`."""

    AFFECTS: ClassVar[Stage] = "training"

    scst_epochs: int = Field(
        0,
        ge=0,
        description="last epochs, in which sampled answers are scored and the better ones made likelier; "
        "they see examples without augmentation",
    )
    scst_samples: int = Field(4, ge=2, description="answers sampled for each example in those epochs")
    scst_kept: int = Field(
        0, ge=0, description="samples of an example that are trained on, the best and the worst; 0: all"
    )
    scst_temperature: float = Field(
        1.0, gt=0, description="logits are divided by it for sampling; below 1 samples likelier answers"
    )
    scst_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="final weights lie between those before (0) and after (1) those epochs",
    )
    scst_rate: float = Field(0.1, gt=0, description="learning rate of those epochs, as a share of --learning-rate")

    def check(self) -> None:
        """Check the number of epochs and of samples.

        Raises:
            ValueError: more such epochs than epochs, or samples that cannot be kept.
        """
        super().check()
        if self.scst_epochs > self.epochs:
            raise ValueError(f"--scst-epochs {self.scst_epochs}: there are {self.epochs} epochs in all")
        if self.scst_kept == 1 or self.scst_kept > self.scst_samples:
            raise ValueError(
                f"--scst-kept {self.scst_kept}: expected 0, or 2 to --scst-samples, which is {self.scst_samples}"
            )


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Seq2SeqSettings(DecoderSettings, RewardSettings, SearchSettings):
    """All settings of the recipe `pipelines.recipes.seq2seq`; ``max_tokens`` bounds answers and what is learned."""

    max_tokens: int = Field(80, ge=2, description="longest text in pieces; more is cut")
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability mass moved to all pieces",
        json_schema_extra={"affects": "training"},
    )

    def check(self) -> None:
        """Check the bounds of an answer's length.

        Raises:
            ValueError: an answer would have no room for its end.
        """
        super().check()
        if self.min_tokens >= self.max_tokens:
            raise ValueError(
                f"--min-tokens {self.min_tokens}: expected fewer than --max-tokens, which is {self.max_tokens}"
            )
