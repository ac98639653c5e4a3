"""Settings and presets of captioning. Imports no Keras."""

from typing import ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines.config import STRICT, Preset, Stage, TrainingConfig
from pipelines.recipes.settings import Cell, Seq2SeqSettings


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Network(TrainingConfig):
    """Settings of the network beside those of its decoder."""

    AFFECTS: ClassVar[Stage] = "network"

    grid_units: int = Field(512, ge=1, description="width of a projected cell of the grid")
    cell: Cell = Field("lstm", description="kind of recurrent layer")
    units: int = Field(512, ge=1, description="width of each decoder layer")
    layers: int = Field(1, ge=1, description="decoder layers below the attention")
    context_gate: bool = Field(
        False, description="gate the context vector by one number a word (Xu et al. 2015, section 4.2.1)"
    )


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Learning(TrainingConfig):
    """Settings of the loss, regularisation and validation."""

    AFFECTS: ClassVar[Stage] = "training"

    attention_penalty: float = Field(
        0.0, ge=0, description="weight of the penalty on cells that no word attends to (Xu et al. 2015, equation 14)"
    )
    word_detection: float = Field(
        0.0, ge=0, description="weight of a loss of the words found in single cells of the grid (Fang et al. 2015)"
    )
    dropout: float = Field(
        0.3, ge=0, lt=1, description="dropout on the grid, after the embedding and before the output"
    )
    monitor: Literal["bleu4", "rouge_l", "cider_d"] = Field(
        "bleu4", description="score of validation that chooses the best epoch"
    )

    def monitored(self, metric: str) -> str:
        """Return the score named by ``monitor``."""
        return self.monitor


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Config(Learning, Network, Seq2SeqSettings):
    """Captioning: picture -> grid of features -> attention decoder -> beam search -> sentence.

    ``batch_size`` counts pictures.
    """

    image_column: str = Field("", description="column with the picture, where its name is not a usual one")
    caption_column: str = Field("", description="column with the caption, where its name is not a usual one")
    encoder: str = Field(
        "conv", description="a small network trained with the decoder, or a frozen one of keras.applications by name"
    )
    encoder_weights: str = Field(
        "",
        description="file with the frozen network's weights; empty: Keras's cache or download; none: untrained",
        json_schema_extra={"affects": "decoding", "words": ["none"], "initial": False},
    )
    encoder_layer: str = Field("", description="layer of the frozen network whose output is the grid; empty: the last")
    picture_size: int = Field(224, ge=16, description="height and width, in pixels, to which pictures are stretched")
    random_flip: bool = Field(
        False, description="random horizontal flips in training; not where captions tell left from right"
    )
    captions_per_step: int = Field(
        0, ge=0, description="captions of a picture that are learned in one step, sampled anew in every epoch; 0: all"
    )
    vocabulary_size: int = Field(4000, ge=300, description="pieces of the captions, special ones included")
    vocabulary: Literal["word", "subword"] = Field("word", description="pieces are frequent words, or learned merges")
    max_tokens: int = Field(40, ge=2, description="longest caption in pieces; more is cut")
    attention: Literal["additive", "general", "scaled_dot"] = Field(
        "additive", description="Bahdanau's score, Luong's, or a scaled dot product (needs units = grid_units)"
    )


NUMERIC = False
"""Whether the network alone can be exported to ONNX and LiteRT."""
FORMATS = (
    "Flickr8k (*.token.txt, split lists, pictures), COCO captions_*.json, Karpathy's dataset_*.json; CSV, TSV or JSON "
    "lines with image and caption, also .gz, .xz, .bz2; pictures are JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
)


def tiny() -> dict[str, object]:
    """Try every step within seconds, as the tests do.

    - Command: ``pipelines train captioning --preset tiny --limit 64``
    - Data: 64 built-in pictures
    - Score: none is expected of one epoch on so few
    - Time: seconds, most of which compile the training step
    """
    return {
        "picture_size": 32,
        "captions_per_step": 1,
        "vocabulary_size": 400,
        "max_tokens": 16,
        "embedding_size": 12,
        "grid_units": 12,
        "units": 8,
        "dropout": 0.0,
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 2e-3,
        "warmup": 0.05,
        "beam_width": 2,
    }


def small() -> dict[str, object]:
    """Learn the built-in scenes, as the demonstration does.

    - Command: ``pipelines train captioning --preset small``
    - Data: built-in scenes of coloured shapes, with five captions each
    - Score: BLEU-4 86.2 on unseen scenes
    - Time: about a minute on two cores, with evaluation and export (``pipelines demo --task captioning``)
    """
    return {
        "picture_size": 48,
        "captions_per_step": 1,
        "vocabulary_size": 600,
        "max_tokens": 20,
        "embedding_size": 64,
        "grid_units": 96,
        "cell": "gru",
        "units": 128,
        "word_detection": 0.1,
        "dropout": 0.0,
        "epochs": 6,
        "batch_size": 16,
        "bucket_window": 1,
        "learning_rate": 3e-3,
        "warmup": 0.1,
        "beam_width": 3,
    }


def base() -> dict[str, object]:
    """Learn photographs, seen by a frozen network.

    - Command: ``pipelines train captioning --data flickr8k --encoder-weights FILE --preset base``
    - Data: 6,000 pictures of Flickr8k with five captions each, tested on the official 1,000
    - Score: BLEU-1 64.1 and 64.9, BLEU-4 19.9 and 20.1 with seeds 0 and 1 (``benchmarks/captioning.md``)
    - Time: 25 minutes on two cores, 2.1 GB and as much in mapped files
    """
    return {
        "encoder": "MobileNetV2",
        "picture_size": 256,
        "random_flip": True,
        "captions_per_step": 2,
        "vocabulary_size": 3500,
        "cell": "gru",
        "grid_units": 448,
        "units": 448,
        "context_recurrence": True,
        "dropout": 0.5,
        "label_smoothing": 0.1,
        "epochs": 13,
        "scst_epochs": 3,
        "scst_share": 0.5,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "warmup": 0.05,
        "ema": 0.998,
    }


PRESETS: dict[str, Preset] = {"tiny": tiny, "small": small, "base": base}
