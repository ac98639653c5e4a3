"""What training changes of captioned pictures in every epoch: which captions are learnt, and mirrored pictures."""

from typing import Any

import tensorflow as tf

from pipelines.captioning_config import Config
from pipelines.data.inputs import Transform
from pipelines.data.text import PAD


def augmentation(config: Config, preprocessor: Any) -> Transform | None:
    """Return the choice of ``captions_per_step`` captions a picture and of its mirror image; None where neither is on.

    Pictures are otherwise left alone. A mirrored one makes captions wrong that tell left from right.
    """
    if not config.captions_per_step and not config.mirrored:
        return None

    def transform(x: dict[str, Any], y: dict[str, Any], seed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if config.mirrored:
            x = _mirrored(x, seed)
        return x, y | (
            {"captions": _drawn(y["captions"], config.captions_per_step, seed)} if config.captions_per_step else {}
        )

    return transform


def _mirrored(x: dict[str, Any], seed: Any) -> dict[str, Any]:
    """Exchange half of the pictures [B, ...] for mirror images, which are features beside them or made of pixels."""
    picture = x["picture"]
    mirrored = x["mirrored"] if "mirrored" in x else picture[:, :, ::-1]
    heads = tf.random.stateless_uniform(tf.shape(picture)[:1], seed + tf.constant([1, 0])) < 0.5
    chosen = tf.where(tf.reshape(heads, [-1] + [1] * (picture.shape.rank - 1)), mirrored, picture)
    return {name: value for name, value in x.items() if name != "mirrored"} | {"picture": chosen}


def _drawn(captions: Any, count: int, seed: Any) -> Any:
    """Draw ``count`` of the R captions of each picture: int32 [B, U, R] -> [B, U', count], U' a multiple of 8."""
    there = captions[:, 0] != PAD
    order = tf.where(there, tf.random.stateless_uniform(tf.shape(there), seed), -1.0)
    most = tf.minimum(count, tf.shape(captions)[2])
    drawn = tf.gather(captions, tf.math.top_k(order, most).indices, axis=2, batch_dims=1)
    longest = tf.reduce_max(tf.math.count_nonzero(drawn, axis=1, dtype=tf.int32))
    return drawn[:, : -(-longest // 8) * 8]  # few widths: each is compiled once
