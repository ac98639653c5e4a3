"""Convolutions: pixels to a grid of features, and subsampling of speech frames in time."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from models.ops import zero_padding


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


@keras.saving.register_keras_serializable("recurrent_pipelines")
class ConvolutionalSubsampling(keras.layers.Layer):
    """Speech frames -> fewer, wider frames: convolutions over time and frequency with exact lengths.

    Each stage is a convolution with a square kernel, then ReLU, that shortens time by its stride and frequency
    by 2; at the end the channels of all frequencies of a frame are projected together. The zero padding is
    written out, (k - 1) / 2 on each side, because "same" in Keras depends on the padded length: a recording
    would change with its batch. For the same reason padding is zeroed before every stage.

    Args:
        units: D, the width of the output.
        filters: channels of each stage.
        strides: shortening of time by each stage, one number a stage.
        kernel_size: side of the kernels, odd.

    Raises:
        ValueError: filters and strides of different number, or an even kernel.
    """

    def __init__(
        self,
        units: int,
        *,
        filters: tuple[int, ...] = (32, 32),
        strides: tuple[int, ...] = (2, 2),
        kernel_size: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(filters) != len(strides) or kernel_size % 2 == 0:
            raise ValueError(
                f"expected as many strides as filters and an odd kernel, got filters={tuple(filters)}, "
                f"strides={tuple(strides)}, kernel_size={kernel_size}"
            )
        self.units, self.filters, self.strides = units, tuple(filters), tuple(strides)
        self.kernel_size = kernel_size
        self.stages = [
            keras.layers.Conv2D(count, kernel_size, strides=(stride, 2), activation="relu", dtype=self.dtype_policy)
            for count, stride in zip(filters, strides, strict=True)
        ]
        self.project = keras.layers.Dense(units, dtype=self.dtype_policy)

    def build(self, frames_shape: Any, lengths_shape: Any) -> None:
        """Create the weights for frames [B, T, F]."""
        bands, channels = frames_shape[-1], 1
        for stage in self.stages:
            stage.build((None, None, bands + self.kernel_size - 1, channels))
            bands, channels = (bands + 1) // 2, stage.filters
        self.project.build((None, None, bands * channels))

    def call(self, frames: Any, lengths: Any) -> tuple[Any, Any]:
        """Shorten.

        Args:
            frames: [B, T, F], e.g. log-mel energies.
            lengths: int32 [B].

        Returns:
            frames [B, T', D], zero on padding; lengths int32 [B].
        """
        side = (self.kernel_size - 1) // 2
        x = ops.expand_dims(frames, -1)
        for stage, stride in zip(self.stages, self.strides, strict=True):
            x = stage(ops.pad(zero_padding(x, lengths), [[0, 0], [side, side], [side, side], [0, 0]]))
            lengths = (lengths + stride - 1) // stride
        x = ops.reshape(x, (ops.shape(x)[0], -1, x.shape[2] * x.shape[3]))
        return zero_padding(self.project(x), lengths), lengths

    def compute_mask(self, *args: Any, **kwargs: Any) -> None:
        """No Keras mask leaves this layer: lengths do that work."""

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        own = {
            "units": self.units,
            "filters": self.filters,
            "strides": self.strides,
            "kernel_size": self.kernel_size,
        }
        return {**super().get_config(), **own}
