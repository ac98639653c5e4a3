"""What can be set about sentiment analysis, and the presets. Imports no keras."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines.config import STRICT, Names, Preset, TrainingConfig


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Config(TrainingConfig):
    """Text classification: subwords -> embedding -> recurrent stack -> pooling -> classes."""

    text_column: str = Field("", description="column with the text, where its name is not a usual one")
    label_column: str = Field("", description="column with the label, where its name is not a usual one")
    labels: Names = Field((), description="names of the integer labels 0, 1, ... in this order")
    lowercase: bool = Field(True, description="fold case before segmentation")
    markup: bool = Field(True, description="remove HTML tags and entities such as <br />")
    pieces: Literal["subword", "word"] = Field(
        "subword", description="learn merged subwords, or take frequent words whole"
    )
    vocabulary_size: int = Field(8000, ge=300, description="subword pieces, special ones included")
    max_tokens: int = Field(400, ge=1, description="longest text in pieces; more is cut")
    keep: Literal["head", "tail", "both"] = Field("both", description="which end survives the cut")
    embedding_size: int = Field(64, ge=1, description="width of the embedding")
    embedding_start: Literal["random", "neighbours"] = Field(
        "random", description="first embedding: random, or from which pieces are neighbours in the training text"
    )
    embeddings: str = Field("", description="file of word vectors (word2vec or GloVe text) to begin the embedding with")
    cell: Literal["lstm", "gru", "simple"] = Field("lstm", description="kind of recurrent layer")
    units: int = Field(64, ge=1, description="width of each recurrent layer and direction")
    layers: int = Field(1, ge=1, description="recurrent layers")
    bidirectional: bool = Field(True, description="read the text in both directions")
    pooling: Literal["attention", "max", "mean", "last"] = Field(
        "max", description="how the states of all steps become one vector"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout after embedding, recurrence and pooling")
    word_dropout: float = Field(0.0, ge=0, lt=1, description="share of whole pieces hidden in training")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="probability mass moved to all classes")
    adversarial: float = Field(
        0.0, ge=0, description="norm of the adversarial step on normalised embeddings (Miyato et al. 2017)"
    )
    best_by: Literal["accuracy", "macro_f1"] = Field(
        "accuracy", description="score of validation that chooses the best epoch"
    )
    class_weights: bool = Field(False, description="weigh classes inversely to their frequency")


FORMATS = (
    "CSV, TSV or JSON lines (text, label), one file a split or one with a split column; SPLIT/CLASS/*.txt as "
    "aclImdb, or CLASS/*.txt"
)


def tiny() -> dict[str, object]:
    """Try the whole way of the data within seconds, as the tests do.

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
        "embedding_start": "neighbours",
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
