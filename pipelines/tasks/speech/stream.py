"""Streaming recognition: chunks of samples in, the same logits as for the whole recording out.

What a chunk leaves behind is carried in a state: samples whose frames are not complete or are still needed as left
context of the convolutions, and the states of the recurrent layers. Nothing looks into the future beyond one group of
frames, so the answer to a chunk is final.
"""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines.data.audio.features import log_mel
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.features import mel_of
from pipelines.tasks.speech.model import parts
from pipelines.tasks.speech.text import Alphabet

State = dict[str, Any]


def can_stream(config: Config) -> bool:
    """Whether a model needs nothing of the future: it reads forwards and its features are measured by train."""
    return not config.bidirectional and config.normalisation == "statistics"


class Streamer(tf.Module):
    """One step of recognition as a graph with its state explicit."""

    def __init__(self, model: keras.Model, config: Config) -> None:
        """Take a unidirectional model.

        Raises:
            ValueError: the model is bidirectional or normalises complete recordings.
        """
        super().__init__()
        if not can_stream(config):
            raise ValueError(
                "streaming needs a model trained with --preset streaming (bidirectional false, normalisation "
                f"statistics); this one has bidirectional {config.bidirectional}, normalisation {config.normalisation}"
            )
        self.mel, self.stride = mel_of(config), int(config.subsampling)
        self.model = model
        self.frontend, recogniser = parts(model)
        names = ("subsampling", "norm", "recurrent", "logits")
        self.subsampling, self.norm, self.recurrent, self.logits = (recogniser.get_layer(name) for name in names)

    def start(self, batch: int = 1) -> State:
        """The state before the first sample of ``batch`` recordings."""
        states = {f"state_{i}": s for i, s in enumerate(itertools.chain(*self.recurrent.zero_state(batch)))}
        return {"tail": tf.zeros([batch, 0]), "begun": tf.constant(False), **states}

    def signature(self) -> dict[str, tf.TensorSpec]:
        """Arguments of ``step`` for a batch of any size."""
        sound = tf.TensorSpec([None, None], tf.float32)
        states = {
            name: tf.TensorSpec([None, value.shape[1]], value.dtype, name=name)
            for name, value in self.start().items()
            if name.startswith("state_")
        }
        flags = {name: tf.TensorSpec([], tf.bool, name=name) for name in ("begun", "final")}
        return {name: tf.TensorSpec(sound.shape, tf.float32, name=name) for name in ("sound", "tail")} | flags | states

    def step(self, sound: Any, final: Any, tail: Any, begun: Any, **states: Any) -> State:
        """Hear one more chunk.

        Args:
            sound: float32 [B, N], N >= 0 samples of each recording.
            final: bool scalar: the last chunk; the remaining samples are padded with silence and decoded.
            tail: float32 [B, N'], returned by the previous step, or by ``start``.
            begun: bool scalar, likewise.
            **states: ``state_0`` ..., [B, H] each, likewise; float32, or the half precision in which the run computes.

        Returns:
            the new ``tail``, ``begun`` and ``state_0`` ...; ``logits`` float32 [B, T, V], of which the first
            ``steps`` (int32 [B]) are new.
        """
        sound = tf.concat([tail, sound], axis=1)
        count = tf.shape(sound)[1]
        whole = tf.maximum(0, (count - self.mel.window) // self.mel.hop + 1)
        least = tf.where(begun | (count == 0), 0, 1)
        used = tf.where(final, tf.maximum(whole, least), whole // self.stride * self.stride)
        known = tf.where(begun, 1, 0)
        x, steps = self._subsampled(sound, used, known)
        x = self.norm(x)
        x, after = self.recurrent(x, steps, initial_state=self._nested(states), training=False)
        kept = tf.maximum(0, used - self.stride) * self.mel.hop
        return {
            "logits": self.logits(x),
            "steps": steps,
            "tail": sound[:, kept:],
            "begun": begun | (used > 0),
            **{f"state_{i}": state for i, state in enumerate(itertools.chain(*after))},
        }

    def _subsampled(self, sound: Any, used: Any, known: Any) -> tuple[Any, Any]:
        """Convolutions over the frames in use, without the first output where that one was answered before."""
        samples = tf.where(used > 0, (used - 1) * self.mel.hop + self.mel.window, 0)
        rows = tf.shape(sound)[0]
        features, _ = log_mel(sound[:, :samples], tf.fill([rows], tf.shape(sound)[1]), self.mel)
        frames = tf.fill([rows], used)
        features = tf.pad(self.frontend.normalise(features, frames), [[0, 0], [0, self.stride], [0, 0]])
        x, steps = self.subsampling(features, frames)
        return x[:, known:], tf.maximum(0, steps - known)

    def _nested(self, states: State) -> list[tuple[Any, ...]]:
        flat = [states[f"state_{i}"] for i in range(len(states))]
        each = len(flat) // self.recurrent.depth
        return [tuple(flat[i : i + each]) for i in range(0, len(flat), each)]


class Stream:
    """A transcript that grows with the recording.

    Example::

        stream = Stream(loaded.model, loaded.preprocessor.alphabet, loaded.config)
        for chunk in microphone:
            print(stream.feed(chunk))
        print(stream.finish())
    """

    def __init__(self, model: keras.Model, alphabet: Alphabet, config: Config) -> None:
        self.streamer, self.alphabet = Streamer(model, config), alphabet
        signature = self.streamer.signature()
        with portable():
            self._step = tf.function(self.streamer.step, autograph=False).get_concrete_function(**signature)
        self.state, self.path = self.streamer.start(), [0]

    def feed(self, sound: np.ndarray[Any, Any]) -> str:
        """Hear float32 [N] samples at the model's rate; return the transcript so far."""
        return self._heard(sound, final=False)

    def finish(self) -> str:
        """End the recording and return its transcript; the next ``feed`` begins another one."""
        text = self._heard(np.zeros(0, np.float32), final=True)
        self.state, self.path = self.streamer.start(), [0]
        return text

    def _heard(self, sound: np.ndarray[Any, Any], final: bool) -> str:
        chunk = tf.constant(np.asarray(sound, np.float32)[None])
        state = self._step(sound=chunk, final=tf.constant(final), **self.state)
        logits, steps = state.pop("logits").numpy()[0], int(state.pop("steps")[0])
        self.state = state
        self.path += [int(number) for number in logits[:steps].argmax(-1)]
        return self.alphabet.decode(number for number, _ in itertools.groupby(self.path) if number)
