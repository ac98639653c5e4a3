"""What can be set about captioning, and the presets. Imports no keras."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines.config import STRICT, Preset, TrainingConfig


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Config(TrainingConfig):
    """Captioning: picture -> grid of features -> attention decoder -> beam search -> sentence.

    ``batch_size`` counts pictures.
    """

    image_column: str = Field("", description="column with the picture, where its name is not a usual one")
    caption_column: str = Field("", description="column with the caption, where its name is not a usual one")
    encoder: str = Field(
        "conv", description="a small network trained with the decoder, or a frozen one of keras.applications by name"
    )
    encoder_weights: str = Field(
        "", description="file with the frozen network's weights; empty: Keras's cache or download; none: untrained"
    )
    encoder_layer: str = Field("", description="layer of the frozen network whose output is the grid; empty: the last")
    picture_size: int = Field(224, ge=16, description="height and width, in pixels, to which pictures are stretched")
    mirrored: bool = Field(
        False, description="random horizontal flips in training; not where captions tell left from right"
    )
    captions_per_step: int = Field(
        0, ge=0, description="captions of a picture that are learnt in one step, drawn anew in every epoch; 0: all"
    )
    vocabulary_size: int = Field(4000, ge=300, description="pieces of the captions, special ones included")
    vocabulary: Literal["word", "subword"] = Field("word", description="pieces are frequent words, or learned merges")
    max_tokens: int = Field(40, ge=2, description="longest caption in pieces; more is cut")
    embedding_size: int = Field(256, ge=1, description="width of the embedding")
    grid_units: int = Field(512, ge=1, description="width of a projected cell of the grid")
    cell: Literal["lstm", "gru", "simple"] = Field("lstm", description="kind of recurrent layer")
    units: int = Field(512, ge=1, description="width of each decoder layer")
    layers: int = Field(1, ge=1, description="decoder layers below the attention")
    attention: Literal["additive", "general", "scaled_dot"] = Field(
        "additive", description="Bahdanau's score, Luong's, or a scaled dot product (needs units = grid_units)"
    )
    tied: bool = Field(True, description="the embedding is also the output matrix")
    context_gate: bool = Field(
        False, description="weigh what is seen by one number a word (Xu et al. 2015, section 4.2.1)"
    )
    context_recurrence: bool = Field(
        False, description="a decoder layer above the attention, so that a word knows what was attended to before"
    )
    attention_penalty: float = Field(
        0.0, ge=0, description="weight of the penalty on cells that no word attends to (Xu et al. 2015, equation 14)"
    )
    word_detection: float = Field(
        0.0, ge=0, description="weight of a loss of the words found in single cells of the grid (Fang et al. 2015)"
    )
    dropout: float = Field(
        0.3, ge=0, lt=1, description="dropout on the grid, after the embedding and before the output"
    )
    best_by: Literal["bleu4", "rouge_l", "cider_d"] = Field(
        "bleu4", description="score of validation that chooses the best epoch"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="probability mass moved to all pieces")
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
    beam_width: int = Field(5, ge=1, description="partial captions kept by the search; 1 is greedy")
    length_penalty: float = Field(1.0, ge=0, description="exponent of the length normalisation of the search")
    min_tokens: int = Field(0, ge=0, description="shortest caption in pieces")
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
    "Flickr8k (*.token.txt, split lists, pictures), COCO captions_*.json, Karpathy's dataset_*.json; CSV, TSV or JSON "
    "lines with image and caption, also .gz, .xz, .bz2; pictures are JPEG or PNG"
)


def tiny() -> dict[str, object]:
    """Try the whole way of the data within seconds, as the tests do.

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
        "sorted_batches": 1,
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
        "mirrored": True,
        "captions_per_step": 2,
        "vocabulary_size": 3500,
        "cell": "gru",
        "grid_units": 448,
        "units": 448,
        "context_recurrence": True,
        "dropout": 0.5,
        "label_smoothing": 0.1,
        "epochs": 13,
        "reward_epochs": 3,
        "reward_share": 0.5,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "warmup": 0.05,
        "ema": 0.998,
    }


PRESETS: dict[str, Preset] = {"tiny": tiny, "small": small, "base": base}
