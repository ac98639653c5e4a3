"""Two short searches find what one long one finds, of equal values the first too."""

import keras
import numpy as np
import pytest

from models.ops import FROM, _group, top_k


@pytest.mark.parametrize(("size", "k"), [(8000, 5), (4000, 8), (FROM, 1), (2817, 9), (2999, 4), (600, 6), (7, 7)])
@pytest.mark.parametrize("kinds", [2, 40, 10**6])
def test_the_largest_are_those_of_one_search(size: int, k: int, kinds: int) -> None:
    values = np.random.default_rng(size + kinds).integers(0, kinds, (9, size)).astype(np.float32)
    values[0, -3:] = -1e9
    places = np.argsort(-values, axis=-1, kind="stable")[:, :k]
    found, where = top_k(keras.ops.convert_to_tensor(values), k)
    np.testing.assert_array_equal(where, places)
    np.testing.assert_array_equal(found, np.take_along_axis(values, places, axis=-1))


def test_groups_are_formed_where_they_pay() -> None:
    assert _group(8000, 5) in (40, 50) and _group(8000, 5) * 5 + 8000 // _group(8000, 5) <= 400
    assert _group(2999, 4) == 0  # a prime


def test_of_equal_values_the_first_wins_although_its_group_comes_second() -> None:
    values = np.zeros((1, 2000), np.float32)
    values[0, 1500], values[0, 1501], values[0, 100] = 9, 7, 7
    np.testing.assert_array_equal(top_k(keras.ops.convert_to_tensor(values), 2)[1], [[1500, 100]])
