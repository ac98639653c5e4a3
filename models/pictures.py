"""A small convolutional network that turns pixels into a grid of features, trained from scratch with what uses it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("recurrent_pipelines")
class ConvolutionalGrid(keras.layers.Layer):
    """Pixels -> a grid that knows where each cell is.

    The pixels are scaled to [-1, 1]. The first stage is a 4 x 4 convolution that halves rows and columns, the others
    are 3 x 3 convolutions; ReLU follows each. Between two of the others, the largest value of each 2 x 2 cells is kept.
    (If all stages skip every second cell instead, several times as many pictures are needed to tell shapes apart.) The
    grid gets two more channels with the row and column of each cell, also in [-1, 1] (Liu et al. 2018, arXiv
    1807.03247): attention alone cannot tell left from right. They come last, because next to the pixels they drown the
    edges.

    Args:
        filters: channels of each stage.
    """

    def __init__(self, filters: tuple[int, ...] = (16, 32, 64, 96), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.stages = [self._stage(self.filters[0], 4, 2), *(self._stage(count, 3, 1) for count in self.filters[1:])]

    def _stage(self, filters: int, size: int, stride: int) -> Any:
        return keras.layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
        )

    def build(self, pixels_shape: Any) -> None:
        """Create the weights for pixels [B, Y, X, C]."""
        shape = tuple(pixels_shape)
        for stage in self.stages:
            stage.build(shape)
            shape = stage.compute_output_shape(shape)

    def call(self, pixels: Any) -> Any:
        """Pixels 0 to 255, uint8 or float, [B, Y, X, C] -> grid [B, GY, GX, F + 2] with the F last filters."""
        x = self.stages[0](ops.cast(pixels, self.compute_dtype) / 127.5 - 1.0)
        for number, stage in enumerate(self.stages[1:]):
            x = stage(ops.max_pool(x, 2) if number else x)
        height, width = x.shape[1:3]
        rows = ops.zeros_like(x[..., :1]) + ops.cast(ops.linspace(-1.0, 1.0, height), x.dtype)[:, None, None]
        columns = ops.zeros_like(x[..., :1]) + ops.cast(ops.linspace(-1.0, 1.0, width), x.dtype)[None, :, None]
        return ops.concatenate([x, rows, columns], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "filters": list(self.filters)}
