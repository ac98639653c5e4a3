"""Mirrored pictures."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import config
from pipelines.data.text.vocabulary import RESERVED, SubwordVocabulary
from pipelines.tasks.captioning.task import Captioning, Config, Preprocessor


@pytest.mark.parametrize("frozen", [False, True])
def test_half_of_the_pictures_are_mirrored(frozen: bool) -> None:
    chosen = config.resolve(Config, {}, overrides={"random_flip": True})
    transform = Captioning(chosen, Preprocessor(SubwordVocabulary(RESERVED), chosen, {})).augmentation()
    assert transform
    picture = tf.reshape(tf.range(16 * 2 * 3 * 3), [16, 2, 3, 3])
    given = {"picture": picture} | ({"flipped": -picture} if frozen else {})
    mirrored, again = np.array(-picture if frozen else np.flip(picture, axis=2)), []
    for seed in range(8):
        x, y = transform(given, {"captions": tf.ones([16, 3, 2], tf.int32)}, tf.constant([seed, 7]))
        assert set(x) == {"picture"} and y["captions"].shape == (16, 3, 2)
        turned = [(row == other).all() for row, other in zip(x["picture"].numpy(), mirrored, strict=True)]
        straight = [(row == one).all() for row, one in zip(x["picture"].numpy(), picture.numpy(), strict=True)]
        assert all(a ^ b for a, b in zip(turned[1:], straight[1:], strict=True))
        again.append(turned)
    assert 0.3 < np.mean(again) < 0.7 and len({tuple(row) for row in again}) == 8
