"""Search settings. Imports no Keras."""

import dataclasses
from typing import ClassVar, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines.config import STRICT, Stage, TrainingConfig


@dataclass(frozen=True, config=STRICT, kw_only=True)
class SearchSettings(TrainingConfig):
    """Search or sampling settings of an autoregressive decoder."""

    AFFECTS: ClassVar[Stage] = "decoding"

    beam_width: int = Field(5, ge=1, description="beam width; 1 is greedy search")
    length_penalty: float = Field(1.0, ge=0, description="exponent of the length normalisation")
    min_tokens: int = Field(0, ge=0, description="minimum number of tokens, without the end token")
    no_repeat_ngram: int = Field(0, ge=0, description="n-grams of this size occur at most once; 0 disables the rule")
    sampling_temperature: float = Field(0.0, ge=0, description="above 0: sample with this temperature, 0: search")
    sampling_top_k: int = Field(0, ge=0, description="sample from this many most probable tokens; 0 uses all")
    sampling_top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling: total probability of the tokens used")
    sampling_seed: int = Field(0, ge=0, description="seed of the sampling")

    def simplest(self) -> Self:
        """Return the settings with greedy search."""
        return dataclasses.replace(super().simplest(), beam_width=1, sampling_temperature=0.0)

    def search_name(self) -> str:
        """Describe the search in a few words, for ``metrics.json``."""
        if self.sampling_temperature:
            cuts = (f", top-k {self.sampling_top_k}" if self.sampling_top_k else "") + (
                f", top-p {self.sampling_top_p:g}" if self.sampling_top_p < 1 else ""
            )
            found = f"sampling, temperature {self.sampling_temperature:g}{cuts}, seed {self.sampling_seed}"
        else:
            found = "greedy" if self.beam_width == 1 else f"beam {self.beam_width}, alpha {self.length_penalty}"
        least = f", at least {self.min_tokens} tokens" if self.min_tokens else ""
        return found + least + (f", no {self.no_repeat_ngram}-gram twice" if self.no_repeat_ngram else "")
