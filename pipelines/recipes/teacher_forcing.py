"""Teacher forcing: the input of a decoder and the loss of its predictions."""

from typing import Any

import tensorflow as tf

from models.decoders import AttentionDecoder
from models.losses import sequence_loss


def shifted(tokens: Any, start: int) -> Any:
    """Return what a decoder reads to predict tokens int32 [N, U]: ``start``, and all tokens but the last."""
    return tf.concat([tf.fill([tf.shape(tokens)[0], 1], start), tokens[:, :-1]], axis=1)


def projected_loss(decoder: AttentionDecoder, readout: Any, target: Any, label_smoothing: float) -> Any:
    """Summed cross-entropy of each row, float32 [N], from a decoder's readout [N, U, E] and its target int32 [N, U].

    The logits [N, U, V] are by far the largest tensor of a step; compiled with the loss, they pass through memory
    less often.
    """

    @tf.function(jit_compile=True, reduce_retracing=True, autograph=False)
    def head(readout: Any, target: Any) -> Any:
        return sequence_loss(target, decoder.project(readout), label_smoothing)

    return head(readout, target)
