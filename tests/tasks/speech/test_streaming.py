import functools

import numpy as np
import pytest
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines.config import from_dict
from pipelines.tasks.speech import model as speech_model
from pipelines.tasks.speech.config import Config, streaming
from pipelines.tasks.speech.stream import Stream, Streamer
from pipelines.tasks.speech.text import Alphabet

ALPHABET = Alphabet(["", " ", "a", "b", "c"])


@functools.cache
def network(**changes):
    """A model of fixed weights, which every test finds as they were made."""
    small = {"rate": 8000, "mel_bins": 20, "filters": 3, "units": 8, "layers": 2, "seed": 4}
    config = from_dict(Config, streaming() | small | changes, "test")
    random = np.random.default_rng(1)
    statistics = random.normal(-5, 1, 20).astype(np.float32), random.uniform(0.5, 2, 20).astype(np.float32)
    model = speech_model.build(config, ALPHABET.size, statistics)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=0.4, size=weight.shape))
    return model, config


def sound(samples, seed=0):
    return np.random.default_rng(seed).normal(scale=0.1, size=(1, samples)).astype(np.float32)


def whole(model, audio):
    with portable():
        outputs = model({"audio": audio, "samples": np.full(len(audio), audio.shape[1])}, training=False)
    return outputs["logits"].numpy()[:, : int(outputs["steps"][0])]


def chunked(model, config, audio, sizes):
    streamer, found, at = Streamer(model, config), [], 0
    state = streamer.start(len(audio))
    with portable():
        for number, size in enumerate(sizes):
            state = streamer.step(audio[:, at : at + size], tf.constant(number == len(sizes) - 1), **state)
            found.append(state.pop("logits").numpy()[:, : int(state.pop("steps")[0])])
            at += size
    assert at == audio.shape[1]
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize(("cell", "subsampling"), [("lstm", "2"), ("gru", "4"), ("lstm", "8")])
def test_chunks_give_the_logits_of_the_whole(cell, subsampling):
    """The states of a cell and the frames that are left over know nothing of each other: no need to cross them."""
    model, config = network(cell=cell, subsampling=subsampling)
    audio = np.concatenate([sound(6000, 1), sound(6000, 2)])
    expected = whole(model, audio)
    for sizes in ([6000], [3000, 3000], [1] * 3 + [700] * 8 + [397], [100, 0, 5900], [6000, 0]):
        np.testing.assert_allclose(chunked(model, config, audio, sizes), expected, atol=2e-5)


@pytest.mark.parametrize("samples", [1, 199, 200, 280, 520, 521, 839, 840, 841, 1000])
def test_every_length_ends_as_the_whole_does(samples):
    model, config = network()
    audio = sound(samples)
    np.testing.assert_allclose(
        chunked(model, config, audio, [samples // 2, samples - samples // 2]), whole(model, audio), atol=2e-5
    )


def test_no_sound_is_answered_by_no_step():
    model, config = network()
    assert chunked(model, config, sound(0), [0]).shape[1] == 0
    stream = Stream(model, ALPHABET, config)
    assert [stream.finish(), stream.finish()] == ["", ""]


def test_the_stream_writes_what_the_whole_recording_says():
    model, config = network.__wrapped__()  # one of its own, whose weights are changed
    head = model.get_layer("recogniser").get_layer("logits")
    random = np.random.default_rng(2)
    tones = np.repeat(random.uniform(0.02, 0.9, 30), 300).cumsum()  # another pitch every 37 ms
    audio = (np.sin(tones) * np.repeat(random.uniform(0.001, 0.5, 30), 300)).astype(np.float32)[None]
    head.bias.assign(head.bias - whole(model, audio)[0].mean(0))  # so that every symbol is heard sometimes
    path = whole(model, audio)[0].argmax(-1)
    kept = [int(one) for one, before in zip(path, [0, *path], strict=False) if one != before and one]
    stream = Stream(model, ALPHABET, config)
    for _ in range(2):  # a stream is as new after it has finished
        texts = [*map(stream.feed, np.split(audio[0], 9)), stream.finish()]
        assert texts[-1] == ALPHABET.decode(kept) and len(set(kept)) > 1 and len(kept) > 3
        assert all(ALPHABET.decode(kept).startswith(text) for text in texts)


@pytest.mark.parametrize("changes", [{"bidirectional": True}, {"normalisation": "utterance"}])
def test_a_model_that_needs_the_future_is_refused(changes):
    model, config = network(**changes)
    with pytest.raises(ValueError, match="--preset streaming"):
        Streamer(model, config)
