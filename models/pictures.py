"""A small convolutional network that turns pixels into a grid of features, trained from scratch with what uses it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("recurrent_pipelines")
class ConvolutionalGrid(keras.layers.Layer):
    """Pixels -> a grid that knows where each cell is.

    The pixels are scaled to [-1, 1]. Every stage is a 3 x 3 convolution and ReLU; between two stages, the largest value
    of each 2 x 2 cells is kept. (Convolutions that skip every second cell instead need several times as many pictures
    to tell shapes apart.) The grid gets two more channels with the row and column of each cell, also in [-1, 1]
    (Liu et al. 2018, arXiv 1807.03247): attention alone cannot tell left from right. They come last, because next to
    the pixels they drown the edges.

    Args:
        filters: channels of each stage.
    """

    def __init__(self, filters: tuple[int, ...] = (16, 32, 64, 96), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.stages = [
            keras.layers.Conv2D(
                count, 3, padding="same", activation="relu", kernel_initializer="he_normal", dtype=self.dtype_policy
            )
            for count in self.filters
        ]

    def build(self, pixels_shape: Any) -> None:
        """Create the weights for pixels [B, Y, X, C]."""
        shape = tuple(pixels_shape)
        for stage in self.stages:
            stage.build(shape)
            shape = stage.compute_output_shape(shape)

    def call(self, pixels: Any) -> Any:
        """Pixels 0 to 255, uint8 or float, [B, Y, X, C] -> grid [B, GY, GX, F + 2] with the F last filters."""
        x = self.stages[0](ops.cast(pixels, self.compute_dtype) / 127.5 - 1.0)
        for stage in self.stages[1:]:
            x = stage(ops.max_pool(x, 2))
        height, width = x.shape[1:3]
        rows = ops.zeros_like(x[..., :1]) + ops.cast(ops.linspace(-1.0, 1.0, height), x.dtype)[:, None, None]
        columns = ops.zeros_like(x[..., :1]) + ops.cast(ops.linspace(-1.0, 1.0, width), x.dtype)[None, :, None]
        return ops.concatenate([x, rows, columns], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "filters": list(self.filters)}
