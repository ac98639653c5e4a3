"""Settings of the search for an answer. Imports no Keras."""

import dataclasses
from typing import ClassVar, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines.config import STRICT, Stage, TrainingConfig


@dataclass(frozen=True, config=STRICT, kw_only=True)
class SearchSettings(TrainingConfig):
    """How answers are searched for, or sampled, with a decoder that predicts one token after the other."""

    AFFECTS: ClassVar[Stage] = "decoding"

    beam_width: int = Field(5, ge=1, description="partial answers kept by the search; 1 is greedy")
    length_penalty: float = Field(1.0, ge=0, description="exponent of the length normalisation of the search")
    min_tokens: int = Field(0, ge=0, description="fewest pieces of an answer, its end not counted")
    no_repeat_ngram: int = Field(0, ge=0, description="no run of so many pieces comes twice in an answer; 0 allows it")
    sampling_temperature: float = Field(
        0.0, ge=0, description="sample answers instead of searching; below 1 sharpens the choice, 0 searches"
    )
    sampling_top_k: int = Field(0, ge=0, description="sample from so many most probable pieces; 0 takes all")
    sampling_top_p: float = Field(
        1.0, gt=0, le=1, description="nucleus sampling: sample from the likeliest pieces of so much probability"
    )
    sampling_seed: int = Field(0, ge=0, description="another one samples other answers")

    def simplest(self) -> Self:
        """Return the settings with greedy search."""
        return dataclasses.replace(super().simplest(), beam_width=1, sampling_temperature=0.0)

    def search_name(self) -> str:
        """Say in a few words how answers are found, for ``metrics.json``."""
        if self.sampling_temperature:
            cuts = (f", top-k {self.sampling_top_k}" if self.sampling_top_k else "") + (
                f", top-p {self.sampling_top_p:g}" if self.sampling_top_p < 1 else ""
            )
            found = f"sampling, temperature {self.sampling_temperature:g}{cuts}, seed {self.sampling_seed}"
        else:
            found = "greedy" if self.beam_width == 1 else f"beam {self.beam_width}, alpha {self.length_penalty}"
        least = f", at least {self.min_tokens} tokens" if self.min_tokens else ""
        return found + least + (f", no {self.no_repeat_ngram}-gram twice" if self.no_repeat_ngram else "")
