import numpy as np

from models.convolution import ConvolutionalGrid

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), np.uint8)


def test_shape_and_independence_of_the_batch():
    layer = ConvolutionalGrid((4, 6, 8))
    grid = np.array(layer(PIXELS))
    assert grid.shape == (3, 4, 6, 10) and grid.dtype == np.float32
    np.testing.assert_allclose(layer(PIXELS[1:2]), grid[1:2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer(PIXELS.astype("float32")), grid, rtol=1e-6)


def test_three_stages_by_hand():
    """Every second window of 4 x 4; windows of 3 x 3, the largest of 2 x 2, windows of 3 x 3; the places."""
    layer = ConvolutionalGrid((5, 4, 3))
    grid = np.array(layer(PIXELS))
    first = convolved(PIXELS / 127.5 - 1, layer.stages[0])[:, ::2, ::2]
    second = convolved(first, layer.stages[1]).reshape(3, 4, 2, 6, 2, 4).max(axis=(2, 4))
    np.testing.assert_allclose(grid[..., :3], convolved(second, layer.stages[2]), rtol=1e-4, atol=1e-4)
    rows, columns = np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 6), indexing="ij")
    np.testing.assert_allclose(grid[1, ..., 3:], np.stack([rows, columns], -1), atol=1e-6)


def convolved(inputs, stage):
    kernel = stage.kernel.numpy()
    size = len(kernel)
    padded = np.pad(inputs, ((0, 0), (1, size - 2), (1, size - 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.maximum(np.einsum("byxcij,ijcf->byxf", windows, kernel) + stage.bias.numpy(), 0)
