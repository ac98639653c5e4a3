import numpy as np

from models.pictures import ConvolutionalGrid

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), np.uint8)


def test_shape_and_independence_of_the_batch():
    layer = ConvolutionalGrid((4, 6, 8))
    grid = np.array(layer(PIXELS))
    assert grid.shape == (3, 4, 6, 8) and grid.dtype == np.float32
    np.testing.assert_allclose(layer(PIXELS[1:2]), grid[1:2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer(PIXELS.astype("float32")), grid, rtol=1e-6)


def test_the_first_stage_by_hand():
    """One stage of stride 1: convolution of pixels and coordinates, normalised over channels."""
    layer = ConvolutionalGrid((5,))
    grid = np.array(layer(PIXELS))
    y, x = np.meshgrid(np.linspace(-1, 1, 16), np.linspace(-1, 1, 24), indexing="ij")
    coordinates = np.broadcast_to(np.stack([y, x], -1), (3, 16, 24, 2))
    inputs = np.pad(np.concatenate([PIXELS / 127.5 - 1, coordinates], -1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(inputs, (3, 3), axis=(1, 2))
    raw = np.einsum("byxcij,ijcf->byxf", windows, layer.stages[0].kernel.numpy())
    normal = (raw - raw.mean(-1, keepdims=True)) / np.sqrt(raw.var(-1, keepdims=True) + layer.norms[0].epsilon)
    np.testing.assert_allclose(grid, np.maximum(normal, 0), rtol=1e-3, atol=1e-3)


def test_a_cell_knows_its_place():
    grid = np.array(ConvolutionalGrid((6, 8))(np.full((1, 32, 32, 3), 128, np.uint8)))
    inner = grid[0, 2:-2, 2:-2].reshape(-1, 8)  # away from the borders, whose zero padding also tells
    assert len(np.unique(inner.round(4), axis=0)) == len(inner)
