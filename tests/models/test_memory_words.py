"""The words of a memory and the lexical model of a decoder belong together."""

import numpy as np
import pytest

from models.decoders import AttentionDecoder, Memory


def test_words_and_the_lexical_model_go_together_or_are_refused() -> None:
    states, lengths, tokens = np.ones((2, 3, 8), "float32"), np.array([3, 2]), np.ones((2, 4), "int32")
    steps, words = np.array([4, 4]), np.ones((2, 3, 6), "float32")

    def decoder(lexical: bool) -> AttentionDecoder:
        return AttentionDecoder(20, 6, 5, lexical=lexical, seed=0)

    with pytest.raises(ValueError, match=r"lexical True: expected words \[B, S, 6\] in the memory, came none"):
        decoder(True)(tokens, steps, states, lengths)
    with pytest.raises(ValueError, match=r"lexical False: expected no words in the memory, came words \[B, S, 6\]"):
        decoder(False)(tokens, steps, states, lengths, None, words)
    with pytest.raises(ValueError, match=r"expected words \[B, S, 6\] in the memory, came words \[B, S, 8\]"):
        decoder(True)(tokens, steps, states, lengths, None, states)
    built = decoder(True)
    built(tokens, steps, states, lengths, None, words)
    with pytest.raises(ValueError, match="expected words"):
        built.start(Memory(states, lengths))
