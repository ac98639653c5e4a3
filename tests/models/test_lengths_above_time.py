"""A length above the padded steps counts as all of them."""

import numpy as np
import pytest

from models.attention import POOLING_KINDS, Pooling
from models.ops import mask_from_lengths


@pytest.mark.parametrize("kind", POOLING_KINDS)
def test_pooling_of_a_row_that_is_said_to_be_longer_than_it_is(kind: str) -> None:
    sequence = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
    layer = Pooling(kind)
    context, weights = layer(sequence, np.array([5, 5, 2], "int32"))
    above, found = layer(sequence, np.array([6, 99, 2], "int32"))
    np.testing.assert_array_equal(above, context)
    np.testing.assert_array_equal(found, weights)
    np.testing.assert_allclose(np.sum(found, axis=1), 1, rtol=1e-6)
    if kind == "last":
        np.testing.assert_array_equal(above[:2], sequence[:2, -1])


def test_a_mask_ends_with_the_steps() -> None:
    assert np.asarray(mask_from_lengths([7, 3], 3)).tolist() == [[True] * 3] * 2
