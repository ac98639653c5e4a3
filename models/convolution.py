"""Convolutional encoders: image grids with coordinates, and subsampling of speech frames."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from models.ops import no_mask, zero_padding


@keras.saving.register_keras_serializable("recurrent_pipelines")
class ConvolutionalGrid(keras.layers.Layer):
    """Pixels -> a feature grid with coordinate channels.

    Pixels are scaled to [-1, 1]. The first stage is a 4 x 4 convolution with stride 2, the others are 3 x 3
    convolutions with 2 x 2 max pooling between them; each is followed by ReLU. (With strided convolutions throughout,
    several times as many images are needed.) The row and column of each cell, in [-1, 1], are appended as two channels
    (Liu et al. 2018, arXiv 1807.03247), because attention alone cannot represent positions.

    Args:
        filters: channels of each stage.
    """

    def __init__(self, filters: tuple[int, ...] = (16, 32, 64, 96), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.stages = [self._stage(self.filters[0], 4, 2), *(self._stage(count, 3, 1) for count in self.filters[1:])]

    def _stage(self, filters: int, size: int, stride: int) -> Any:
        options = {"activation": "relu", "kernel_initializer": "he_normal", "dtype": self.dtype_policy}
        return keras.layers.Conv2D(filters, size, strides=stride, padding="same", **options)

    def build(self, pixels_shape: Any) -> None:
        """Create the weights for pixels [B, Y, X, C]."""
        shape = tuple(pixels_shape)
        for stage in self.stages:
            stage.build(shape)
            shape = stage.compute_output_shape(shape)

    def call(self, pixels: Any) -> Any:
        """Pixels 0 to 255, uint8 or float, [B, Y, X, C] -> grid [B, GY, GX, F + 2], F the last number of filters."""
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
    """Speech frames -> fewer, wider frames, by convolutions over time and frequency with exact lengths.

    Each stage is a convolution with a square kernel and ReLU, with its stride in time and stride 2 in frequency; a
    dense layer projects all channels of a frame. Zero padding, (k - 1) / 2 on each side, is explicit and padding is
    zeroed before every stage, so results do not depend on the padded length, as they would with Keras's "same".

    Args:
        units: D, output width.
        filters: channels of each stage.
        strides: time stride of each stage.
        kernel_size: width of the kernels, odd.

    Raises:
        ValueError: filters and strides differ in number, or the kernel size is even.
    """

    compute_mask = no_mask

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
        """Subsample frames [B, T, F] with lengths int32 [B]: frames [B, T', D], zero on padding, and new lengths."""
        side = (self.kernel_size - 1) // 2
        x = ops.expand_dims(frames, -1)
        for stage, stride in zip(self.stages, self.strides, strict=True):
            x = stage(ops.pad(zero_padding(x, lengths), [[0, 0], [side, side], [side, side], [0, 0]]))
            lengths = (lengths + stride - 1) // stride
        x = ops.reshape(x, (ops.shape(x)[0], -1, x.shape[2] * x.shape[3]))
        return zero_padding(self.project(x), lengths), lengths

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = ("units", "filters", "strides", "kernel_size")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
