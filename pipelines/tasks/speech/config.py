"""Settings and presets of speech recognition. Imports no Keras."""

import dataclasses
from typing import ClassVar, Literal, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines.config import STRICT, Preset, Stage, TrainingConfig
from pipelines.recipes.settings import Cell


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Network(TrainingConfig):
    """Settings of the network."""

    AFFECTS: ClassVar[Stage] = "network"

    filters: int = Field(32, ge=1, description="channels of each subsampling convolution")
    cell: Cell = Field("lstm", description="kind of recurrent layer")
    units: int = Field(256, ge=1, description="width of each recurrent layer and direction")
    layers: int = Field(3, ge=1, description="recurrent layers")
    bidirectional: bool = Field(True, description="read in both directions; off makes streaming possible")
    layer_norm: bool = Field(True, description="normalise the output of each recurrent layer")


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Learning(TrainingConfig):
    """Settings of regularisation, augmentation and validation."""

    AFFECTS: ClassVar[Stage] = "training"

    monitor: Literal["wer", "cer"] = Field("wer", description="score of validation that chooses the best epoch")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout before, between and after recurrent layers")
    speed: float = Field(0.0, ge=0, lt=0.5, description="largest relative change of speed and pitch in training")
    gain_db: float = Field(0.0, ge=0, description="largest change of level in training, in decibels")
    noise: float = Field(0.0, ge=0, le=1, description="share of training recordings to which white noise is added")
    snr_db: float = Field(
        10.0, description="lowest ratio of signal to added noise in decibels; the highest is 30 above"
    )
    band_masks: int = Field(0, ge=0, description="SpecAugment: frequency masks")
    band_width: int = Field(20, ge=0, description="SpecAugment: widest frequency mask in mel bins")
    time_masks: int = Field(0, ge=0, description="SpecAugment: time masks")
    time_width: int = Field(40, ge=0, description="SpecAugment: longest time mask in frames")

    def monitored(self, metric: str) -> str:
        """Return the score named by ``monitor``."""
        return self.monitor


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Decoding(TrainingConfig):
    """Settings of the search and of the language model in it."""

    AFFECTS: ClassVar[Stage] = "decoding"

    beam_width: int = Field(1, ge=1, description="CTC prefixes kept in decoding; 1 takes the best path")
    lm: str = Field(
        "",
        description="language model for decoding: an ARPA file, or train: made from the training transcripts",
        json_schema_extra={"words": ["train"], "initial": False},
    )
    lm_order: int = Field(3, ge=1, description="longest n-gram of --lm train")
    lm_units: Literal["words", "characters"] = Field("words", description="what --lm train is made of; a file says so")
    lm_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the language model; 0: evaluate tunes it on up to 300 recordings of validation, predict "
        "takes 0.5",
    )
    lm_insertion_bonus: float = Field(1.0, description="added for every word (or character) with --lm-weight")

    def simplest(self) -> Self:
        """Return the settings with the best path."""
        return dataclasses.replace(super().simplest(), beam_width=1, lm="")


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Config(Learning, Network, Decoding):
    """Recordings to text: log-mel -> convolutional subsampling -> recurrent stack -> CTC over characters or pieces."""

    batch_tokens: int = Field(
        0,
        ge=0,
        description="samples (a second has --rate of them) a batch with padding, instead of --batch-size; 0 counts "
        "recordings",
    )
    audio_column: str = Field("", description="column with the audio path, where its name is not a usual one")
    text_column: str = Field("", description="column with the transcript, where its name is not a usual one")
    speaker_column: str = Field("", description="column with the speaker, where its name is not a usual one")
    lowercase: bool = Field(True, description="fold the case of transcripts")
    punctuation: bool = Field(False, description="keep punctuation in transcripts (apostrophes always stay)")
    vocabulary: Literal["characters", "subword"] = Field(
        "characters", description="symbols of the network: letters, or learned pieces of words"
    )
    vocabulary_size: int = Field(500, ge=3, description="pieces with --vocabulary subword, the blank included")
    min_seconds: float = Field(0.05, ge=0, description="shorter recordings are not learned from")
    max_seconds: float = Field(30.0, gt=0, description="longer recordings are not learned from")
    rate: int = Field(16000, ge=1000, description="sampling rate in Hz to which everything is resampled")
    window_ms: float = Field(25.0, gt=0, description="length of a frame in milliseconds")
    hop_ms: float = Field(10.0, gt=0, description="distance of frames in milliseconds")
    mel_bins: int = Field(80, ge=1, description="mel filters")
    fmin: float = Field(20.0, ge=0, description="lower edge of the lowest filter in Hz")
    fmax: float = Field(0.0, ge=0, description="upper edge of the highest filter in Hz; 0 means rate / 2")
    log_floor: float = Field(1e-6, gt=0, description="added to the mel power before the logarithm")
    normalisation: Literal["utterance", "statistics"] = Field(
        "utterance", description="zero mean and unit variance of each recording, or by statistics of train (streaming)"
    )
    subsampling: Literal["2", "4", "8"] = Field("4", description="frames that become one step of the recurrent stack")


NUMERIC = True
"""Whether the network alone can be exported to ONNX and LiteRT."""
FORMATS = (
    "a manifest (CSV, TSV, JSON lines: path, text, split, speaker) or the tree of LJSpeech, LibriSpeech or Common "
    "Voice; WAV, FLAC, OGG, MP3 of any rate and channels"
)

_LARGE: dict[str, object] = {
    "layers": 3,
    "epochs": 60,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "warmup": 0.05,
    "dropout": 0.3,
    "speed": 0.1,
    "band_masks": 2,
    "band_width": 15,
    "time_masks": 2,
    "time_width": 25,
    "ema": 0.995,
}


def tiny() -> dict[str, object]:
    """Try every step within seconds, as the tests do.

    - Command: ``pipelines train speech --preset tiny --limit 64``
    - Data: 64 built-in recordings
    - Score: none is expected of one epoch on so few
    - Time: seconds, most of which compile the training step
    """
    return {
        "mel_bins": 20,
        "filters": 4,
        "units": 12,
        "layers": 1,
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 3e-3,
        "warmup": 0.05,
        "dropout": 0.0,
    }


def small() -> dict[str, object]:
    """Learn the built-in speech, as the demonstration does.

    - Command: ``pipelines train speech --preset small``
    - Data: built-in digits and spelled letters, said by synthetic voices in noise
    - Score: WER 0.058 on unseen speakers and sequences
    - Time: about a minute on two cores, with evaluation and export (``pipelines demo --task speech``)
    """
    return {
        "mel_bins": 40,
        "filters": 16,
        "units": 96,
        "layers": 2,
        "epochs": 5,
        "batch_size": 32,
        "bucket_growth": 2.0,
        "learning_rate": 3e-3,
        "warmup": 0.05,
        "dropout": 0.1,
    }


def base() -> dict[str, object]:
    """Learn real recordings.

    - Command: ``pipelines train speech --data an4 --preset base``
    - Data: 948 recordings of AN4, 42 minutes, tested on the official 130 of other speakers
    - Score: WER 0.092, with a language model 0.078 (``benchmarks/speech.md``)
    - Time: 36 minutes of CPU time, 51 on one shared core, 2.1 GB
    """
    return _LARGE | {
        "units": 256,
        "weight_decay": 1e-2,
        "gain_db": 6.0,
        "noise": 0.3,
        "snr_db": 10.0,
    }


def streaming() -> dict[str, object]:
    """Learn real recordings for a network that answers while they last.

    - Command: ``pipelines train speech --data an4 --preset streaming``
    - Data: as ``base``
    - Score: not measured
    - Time: not measured
    """
    return _LARGE | {"bidirectional": False, "normalisation": "statistics", "units": 384}


PRESETS: dict[str, Preset] = {"tiny": tiny, "small": small, "base": base, "streaming": streaming}
