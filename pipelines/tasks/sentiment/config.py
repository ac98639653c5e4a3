"""Settings and presets of sentiment analysis. Imports no Keras."""

from typing import ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines.config import STRICT, Preset, Stage, TrainingConfig, file_setting
from pipelines.recipes.settings import Cell, ClassificationSettings


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Network(TrainingConfig):
    """Settings of the network."""

    AFFECTS: ClassVar[Stage] = "network"

    embedding_size: int = Field(64, ge=1, description="width of the embedding")
    embedding_init: Literal["random", "neighbours"] = Field(
        "random", description="first embedding: random, or from co-occurrence of pieces in the training text"
    )
    embeddings: str = file_setting(
        "file of word vectors (word2vec or GloVe text) to begin the embedding with", initial=True
    )
    cell: Cell = Field("lstm", description="kind of recurrent layer")
    units: int = Field(64, ge=1, description="width of each recurrent layer and direction")
    layers: int = Field(1, ge=1, description="recurrent layers")
    bidirectional: bool = Field(True, description="read the text in both directions")
    pooling: Literal["attention", "max", "mean", "last"] = Field(
        "max", description="how the states of all steps become one vector"
    )


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Learning(TrainingConfig):
    """Settings of the loss and of regularisation."""

    AFFECTS: ClassVar[Stage] = "training"

    dropout: float = Field(0.3, ge=0, lt=1, description="dropout after embedding, recurrence and pooling")
    word_dropout: float = Field(0.0, ge=0, lt=1, description="share of whole pieces hidden in training")
    adversarial: float = Field(
        0.0, ge=0, description="norm of the adversarial step on normalised embeddings (Miyato et al. 2017)"
    )


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Config(Learning, Network, ClassificationSettings):
    """Text classification: subwords -> embedding -> recurrent stack -> pooling -> classes."""

    text_column: str = Field("", description="column with the text, where its name is not a usual one")
    lowercase: bool = Field(True, description="fold case before segmentation")
    strip_html: bool = Field(True, description="remove HTML tags and entities such as <br />")
    pieces: Literal["subword", "word"] = Field(
        "subword", description="learn merged subwords, or take frequent words whole"
    )
    vocabulary_size: int = Field(8000, ge=300, description="subword pieces, special ones included")
    max_tokens: int = Field(400, ge=1, description="longest text in pieces; more is cut")
    truncate: Literal["head", "tail", "both"] = Field("both", description="which end of a long text is kept")


NUMERIC = True
"""Whether the network alone can be exported to ONNX and LiteRT."""
FORMATS = (
    "CSV, TSV or JSON lines (text, label), one file a split or one with a split column; SPLIT/CLASS/*.txt as "
    "aclImdb, or CLASS/*.txt"
)


def tiny() -> dict[str, object]:
    """Try every step within seconds, as the tests do.

    - Command: ``pipelines train sentiment --preset tiny --limit 64``
    - Data: 64 built-in reviews
    - Score: none is expected of one epoch on so few
    - Time: seconds, most of which compile the training step
    """
    return {
        "vocabulary_size": 500,
        "max_tokens": 48,
        "embedding_size": 8,
        "units": 8,
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 4e-3,
        "dropout": 0.2,
    }


def small() -> dict[str, object]:
    """Learn the built-in reviews, as the demonstration does.

    - Command: ``pipelines train sentiment --preset small``
    - Data: built-in reviews, in which the order of the words decides
    - Score: accuracy 0.998 on unseen combinations
    - Time: half a minute on two cores, with evaluation and export (``pipelines demo --task sentiment``)
    """
    return {
        "vocabulary_size": 800,
        "max_tokens": 64,
        "embedding_size": 32,
        "units": 48,
        "epochs": 8,
        "batch_size": 64,
        "learning_rate": 4e-3,
        "dropout": 0.1,
    }


def base() -> dict[str, object]:
    """Learn real reviews.

    - Command: ``pipelines train sentiment --data imdb --preset base``
    - Data: 25,000 film reviews of IMDB, tested on the official 25,000 others
    - Score: test accuracy 90.3 % (``benchmarks/sentiment.md``)
    - Time: 16 minutes of training on two cores, 2.7 GB
    """
    return {
        "vocabulary_size": 30000,
        "max_tokens": 400,
        "embedding_size": 128,
        "embedding_init": "neighbours",
        "units": 128,
        "epochs": 4,
        "batch_size": 64,
        "learning_rate": 1.5e-3,
        "dropout": 0.4,
        "word_dropout": 0.1,
        "adversarial": 0.5,
        "warmup": 0.05,
        "ema": 0.998,
    }


PRESETS: dict[str, Preset] = {"tiny": tiny, "small": small, "base": base}
