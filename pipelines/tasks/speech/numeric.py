"""Speech recognition between numbers: samples in, the logarithm of each symbol's probability at each step out."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.data.audio.features import Mel, log_mel
from pipelines.task import SCORES, Arrays, Numeric, Port
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.features import mel_of, seconds_per_step
from pipelines.tasks.speech.model import parts

SECONDS = (0.02, 0.3, 1.0, 2.7, 6.0)


def numeric(model: keras.Model, config: Config) -> Numeric:
    """Return the network for export, with its front-end; resampling and the search are left to the consumer."""
    mel = mel_of(config)
    function, sheltered = _functions(model, mel)
    return Numeric(
        function,
        inputs=(
            Port("audio", "float32", ("batch", "time"), "samples in [-1, 1], one channel, padded on the right"),
            Port("samples", "int32", ("batch",), "samples of each recording without padding"),
        ),
        outputs=(
            Port(SCORES, "float32", ("batch", "steps", "symbols"), "natural logarithm of each symbol's probability"),
            Port("steps", "int32", ("batch",), "steps of each recording; what follows means nothing"),
        ),
        random=functools.partial(_random, mel),
        files=("alphabet.json",),
        preprocessing={"rate": config.rate},
        decoding={"alphabet": "alphabet.json", "blank": 0, "seconds_per_step": seconds_per_step(config)},
        sheltered=sheltered,
    )


def _functions(model: keras.Model, mel: Mel) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The network, and the network with a front-end that no converter rounds to 8 bits."""
    frontend, recogniser = parts(model)

    def answers(samples: Any, logits: Any, steps: Any) -> dict[str, Any]:
        steps = tf.where(samples > 0, steps, 0)  # as ``speech.decode``: nothing is heard in no samples
        return {SCORES: tf.nn.log_softmax(logits), "steps": steps}

    def function(audio: Any, samples: Any) -> dict[str, Any]:
        outputs = model({"audio": audio, "samples": samples}, training=False)
        return answers(samples, outputs["logits"], outputs["steps"])

    def sheltered(audio: Any, samples: Any) -> dict[str, Any]:
        one = tf.cast(tf.reduce_max(samples) >= 0, tf.float32)  # always 1, which no converter can know
        features, frames = log_mel(audio, samples, mel, one)
        return answers(samples, *recogniser([frontend.normalise(features, frames), frames], training=False))

    return function, sheltered


def _random(mel: Mel, rng: np.random.Generator) -> Iterator[Arrays]:
    """Noise whose level rises and falls, from less than a window to seconds."""
    for seconds in SECONDS:
        count = int(seconds * mel.rate) + int(rng.integers(mel.hop))
        level = np.interp(np.arange(count), np.linspace(0, count, 20), 10 ** rng.uniform(-4, -0.5, 20))
        noise = (rng.normal(size=(1, count)) * level).astype(np.float32)
        yield {"audio": noise, "samples": np.array([count], np.int32)}
