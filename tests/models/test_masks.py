import numpy as np
import tensorflow as tf

from models.ops import mask_from_lengths

EXPECTED = [[True, True, False], [False, False, False], [True, True, True]]


def test_mask_is_true_on_real_steps_only():
    mask = mask_from_lengths(np.array([2, 0, 3], "int32"), 3)
    np.testing.assert_array_equal(mask, EXPECTED)
    assert mask.dtype == "bool"


def test_mask_takes_a_time_known_only_in_the_graph():
    traced = tf.function(lambda lengths, x: mask_from_lengths(lengths, tf.shape(x)[1]))
    np.testing.assert_array_equal(traced(tf.constant([2, 0, 3]), tf.zeros((1, 3))), EXPECTED)
