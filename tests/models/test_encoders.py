import numpy as np
import pytest

from models.convolution import ConvolutionalSubsampling
from models.encoders import GridEncoder, TextEncoder

RNG = np.random.default_rng(3)
TOKENS = np.array([[3, 1, 4, 1, 5], [2, 6, 0, 0, 0]], "int32")
LENGTHS = np.array([5, 2], "int32")


@pytest.mark.parametrize("cell", ["gru", "lstm", "simple"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_summary_is_what_each_direction_of_the_top_layer_ended_with(cell, bidirectional):
    encoder = TextEncoder(9, 4, 6, cell=cell, layers=2, bidirectional=bidirectional)
    states, summary, _ = encoder(TOKENS, LENGTHS)
    assert states.shape == (2, 5, 12 if bidirectional else 6)
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(summary[row, :6], states[row, length - 1, :6], rtol=1e-5)
        if bidirectional:
            np.testing.assert_allclose(summary[row, 6:], states[row, 0, 6:], rtol=1e-5)


def test_text_encoder_drops_units_of_its_outputs_in_training():
    encoder = TextEncoder(9, 4, 6, cell="lstm", dropout=0.5, residual=True, seed=1)
    dropped, *_ = encoder(TOKENS, LENGTHS, training=True)
    assert np.mean(np.array(dropped)[0] == 0) > 0.2


def test_words_are_the_embeddings_of_the_real_tokens():
    encoder = TextEncoder(9, 4, 6)
    *_, words = encoder(TOKENS, LENGTHS)
    for row, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(words[row, :length], np.array(encoder.embedding.embeddings)[TOKENS[row, :length]])
        assert not np.any(words[row, length:])


@pytest.mark.parametrize("flat", [False, True])
def test_grid_cells_keep_their_row_order(flat):
    grid = RNG.normal(size=(2, 3, 4, 5)).astype("float32")
    encoder = GridEncoder(7)
    keys, lengths = encoder(grid.reshape(2, 12, 5) if flat else grid)
    assert keys.shape == (2, 12, 7) and lengths.dtype == "int32"
    np.testing.assert_array_equal(lengths, [12, 12])
    alone, _ = encoder(grid[1:, 2:, 3:])
    np.testing.assert_allclose(alone[0, 0], keys[1, 11], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("strides", [(2, 2), (3, 1), (1, 2)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_subsampling_is_the_same_for_every_padding(strides, kernel):
    layer = ConvolutionalSubsampling(6, filters=(3, 4), strides=strides, kernel_size=kernel)
    bias = RNG.normal(size=3)
    for length in range(1, 10):
        frames = RNG.normal(size=(1, length, 7)).astype("float32")
        expected, shorter = layer(frames, np.array([length], "int32"))
        if length == 1:
            layer.stages[0].bias.assign(bias)  # a bias is what makes padding non-zero between the stages
            expected, shorter = layer(frames, np.array([length], "int32"))
        assert expected.shape[1] == int(shorter[0]) == -(-length // (strides[0] * strides[1]))
        for extra in (1, 2, 3, 6):
            padded = np.concatenate([frames, np.full((1, extra, 7), 5.0, "float32")], axis=1)
            got, again = layer(padded, np.array([length], "int32"))
            np.testing.assert_allclose(got[:, : int(again[0])], expected, rtol=1e-4, atol=1e-5)
            assert int(again[0]) == int(shorter[0]) and np.all(np.array(got)[:, int(again[0]) :] == 0)


def test_subsampling_is_a_correlation_with_symmetric_zero_padding():
    layer = ConvolutionalSubsampling(1, filters=(1,), strides=(2,))
    frames = RNG.normal(size=(1, 5, 3)).astype("float32")
    got, _ = layer(frames, np.array([5], "int32"))
    kernel = layer.stages[0].kernel.numpy()[:, :, 0, 0]
    padded = np.pad(frames[0], 1)
    stage = np.array([[(padded[t : t + 3, f : f + 3] * kernel).sum() for f in range(0, 3, 2)] for t in range(0, 5, 2)])
    expected = np.maximum(stage, 0) @ layer.project.kernel.numpy() + layer.project.bias.numpy()
    np.testing.assert_allclose(got[0], expected, rtol=1e-4, atol=1e-5)


def test_subsampling_names_a_wrong_request():
    with pytest.raises(ValueError, match="odd kernel"):
        ConvolutionalSubsampling(6, kernel_size=4)
