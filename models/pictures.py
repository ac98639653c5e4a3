"""A small convolutional network that turns pixels into a grid of features, trained from scratch with what uses it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("recurrent_pipelines")
class ConvolutionalGrid(keras.layers.Layer):
    """Pixels -> a grid that knows where each cell is.

    The pixels, scaled to [-1, 1], get two more channels with their row and column, also in [-1, 1] (Liu et al. 2018,
    arXiv 1807.03247): convolutions and attention alone cannot tell left from right. Every stage is a 3 x 3
    convolution, a normalisation over the channels of each cell (Ba et al. 2016, arXiv 1607.06450; it keeps pictures
    of a batch independent of each other) and ReLU. All stages but the last halve rows and columns.

    Args:
        filters: channels of each stage.
    """

    def __init__(self, filters: tuple[int, ...] = (32, 64, 96, 96), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        policy = self.dtype_policy
        strides = [2] * (len(self.filters) - 1) + [1]
        self.stages = [
            keras.layers.Conv2D(count, 3, strides=stride, padding="same", use_bias=False, dtype=policy)
            for count, stride in zip(self.filters, strides, strict=True)
        ]
        self.norms = [keras.layers.LayerNormalization(dtype=policy) for _ in self.filters]

    def build(self, pixels_shape: Any) -> None:
        """Create the weights for pixels [B, Y, X, C]."""
        shape = (*pixels_shape[:-1], pixels_shape[-1] + 2)
        for stage, norm in zip(self.stages, self.norms, strict=True):
            stage.build(shape)
            shape = stage.compute_output_shape(shape)
            norm.build(shape)

    def call(self, pixels: Any) -> Any:
        """Pixels 0 to 255, uint8 or float, [B, Y, X, C] -> grid [B, GY, GX, F], F the channels of the last stage."""
        x = ops.cast(pixels, self.compute_dtype) / 127.5 - 1.0
        height, width = pixels.shape[1:3]
        rows = ops.zeros_like(x[..., :1]) + ops.cast(ops.linspace(-1.0, 1.0, height), x.dtype)[:, None, None]
        columns = ops.zeros_like(x[..., :1]) + ops.cast(ops.linspace(-1.0, 1.0, width), x.dtype)[None, :, None]
        x = ops.concatenate([x, rows, columns], axis=-1)
        for stage, norm in zip(self.stages, self.norms, strict=True):
            x = ops.relu(norm(stage(x)))
        return x

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "filters": list(self.filters)}
