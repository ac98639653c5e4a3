import itertools

import numpy as np
import pytest
import tensorflow as tf

from models.ctc import ctc_loss
from models.recurrent.kernels import portable
from pipelines.config import from_dict
from pipelines.search.ctc import align, beam_path, best_path
from pipelines.tasks.speech import model as speech_model
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.data import Preprocessor
from pipelines.tasks.speech.model import ctc
from pipelines.tasks.speech.task import Speech
from pipelines.tasks.speech.text import Alphabet


def random_logits(batch, steps, symbols, seed=0):
    return np.random.default_rng(seed).normal(scale=2, size=(batch, steps, symbols)).astype(np.float32)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def collapse(path):
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def test_a_transcript_that_does_not_fit_costs_nothing_and_teaches_nothing():
    """Against the loss itself, which `tests/models/test_ctc.py` proves, and which is infinite there."""
    logits = tf.Variable(random_logits(3, 7, 3))
    steps, count = np.array([7, 4, 2]), np.array([3, 0, 2])
    tokens = np.array([[1, 2, 1], [0, 0, 0], [1, 1, 0]], np.int32)  # two equal symbols need three steps
    with tf.GradientTape() as tape:
        value = ctc(logits, steps, tokens, count)
    bare = np.asarray(ctc_loss(logits, steps, tokens, count))
    np.testing.assert_array_equal(value[:2], bare[:2])
    assert bare[2] == np.inf and float(value[2]) == 0.0
    gradient = tape.gradient(value, logits).numpy()
    assert np.isfinite(gradient).all() and not gradient[2].any()
    for row, real in enumerate(steps[:2]):
        assert gradient[row, :real].any() and not gradient[row, real:].any()


def test_best_path_collapses_with_steps_and_probabilities():
    path = [[0, 1, 1, 0, 1, 2, 2, 0], [2, 2, 2, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0], [1, 2, 0, 1, 0, 0, 2, 1]]
    logits = random_logits(4, 8, 3)
    for row, symbols in enumerate(path):
        for time, symbol in enumerate(symbols):
            logits[row, time, symbol] = logits[row, time].max() + 1
    steps = np.array([8, 4, 8, 0])
    found = {name: value.numpy() for name, value in best_path(logits, steps).items()}
    assert found["tokens"].tolist() == [[1, 1, 2], [2, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert found["count"].tolist() == [3, 2, 0, 0]
    assert found["first"].tolist() == [[1, 4, 5], [0, 3, 0], [0, 0, 0], [0, 0, 0]]
    assert found["last"].tolist() == [[2, 4, 6], [2, 3, 0], [0, 0, 0], [0, 0, 0]]
    best = np.exp(log_softmax(logits).max(-1))
    np.testing.assert_allclose(found["probability"][0], [best[0, 1:3].max(), best[0, 4], best[0, 5:7].max()], rtol=1e-5)
    np.testing.assert_allclose(
        found["score"][:2], [best[0].prod() ** (1 / 8), best[1, :4].prod() ** (1 / 4)], rtol=1e-5
    )
    assert found["score"][3] == 0.0


SMALL = {"rate": 8000, "mel_bins": 20, "filters": 3, "units": 6, "layers": 1, "dropout": 0.0}


def made(**changes):
    """A task of five symbols."""
    config = from_dict(Config, SMALL | changes, "test")
    return Speech(config, Preprocessor(Alphabet(["", " ", *"abc"]), None, config.rate))


def test_what_an_example_gets_does_not_depend_on_its_batch():
    config = from_dict(Config, SMALL, "test")
    model = speech_model.build(config, 5, None)
    random = np.random.default_rng(0)
    sounds = [random.normal(scale=0.1, size=size).astype(np.float32) for size in (900, 5000, 2600)]
    samples = np.array([len(sound) for sound in sounds], np.int32)
    batch = np.zeros((3, 6000), np.float32)
    for row, sound in enumerate(sounds):
        batch[row, : len(sound)] = sound
        batch[row, len(sound) :] = random.normal(size=6000 - len(sound))
    with portable():  # every length would be compiled; the contract tests compare what is compiled
        outputs = model({"audio": batch, "samples": samples})
        alone = [model({"audio": s[None], "samples": samples[i : i + 1]}) for i, s in enumerate(sounds)]
    for row, single in enumerate(alone):
        steps = int(single["steps"][0])
        assert int(outputs["steps"][row]) == steps == single["logits"].shape[1]
        np.testing.assert_allclose(outputs["logits"][row, :steps], single["logits"][0], atol=1e-4)


def test_augmentation_changes_training_only():
    off, on = made(), made(speed=0.1, gain_db=6, noise=1, band_masks=2, time_masks=2)
    assert off.augmentation() is None
    x = {"audio": tf.constant(random_logits(1, 2, 4000)[0] * 0.05), "samples": tf.constant([4000, 3000])}
    changed, _ = on.augmentation()(x, {}, tf.constant([1, 2]))
    assert set(changed) == {"audio", "samples", "seed"}
    assert changed["samples"].numpy().tolist() != [4000, 3000]
    model = on.network()
    y = {"tokens": np.array([[1], [2]], np.int32), "count": np.array([1, 1], np.int32)}
    masked = on.loss(model, x | {"seed": tf.constant([1, 2])}, y)[0].numpy()
    plain = on.loss(model, x, y)[0].numpy()
    assert np.all(masked != plain)
    quiet, weights = off.loss(model, x | {"seed": tf.constant([1, 2])}, y)
    np.testing.assert_allclose(quiet, plain, rtol=1e-6)
    assert weights.numpy().tolist() == [1, 1]
    for answer in (on.outputs(model, x), off.outputs(model, x)):
        np.testing.assert_allclose(answer["score"], on.outputs(model, x)["score"])


def every_path(logits, tokens):
    """The best path among those that collapse to the tokens, and the log-probability of all of them."""
    values = log_softmax(logits)
    scores = {
        path: sum(values[time, symbol] for time, symbol in enumerate(path))
        for path in itertools.product(range(values.shape[1]), repeat=len(values))
        if collapse(path) == tuple(tokens)
    }
    return max(scores, key=scores.get), np.logaddexp.reduce(list(scores.values()))


@pytest.mark.parametrize("seed", range(4))
def test_alignment_is_the_best_path_of_a_transcript(seed):
    steps, count = np.array([6, 4, 5, 3]), np.array([2, 2, 3, 0])
    tokens = tf.constant([[1, 2, 0], [2, 2, 0], [1, 2, 1], [0, 0, 0]])
    logits = random_logits(4, 6, 3, seed)
    found = {name: value.numpy() for name, value in align(logits, steps, tokens, count).items()}
    for row in range(4):
        path, _ = every_path(logits[row, : steps[row]], tokens[row, : count[row]].numpy())
        runs = [(key, list(group)) for key, group in itertools.groupby(enumerate(path), lambda pair: pair[1]) if key]
        places = [[time for time, _ in group] for _, group in runs]
        assert found["first"][row, : count[row]].tolist() == [run[0] for run in places]
        assert found["last"][row, : count[row]].tolist() == [run[-1] for run in places]
        values = np.exp(log_softmax(logits[row]))
        sure = [max(values[time, symbol] for time, symbol in group) for _, group in runs]
        np.testing.assert_allclose(found["probability"][row, : count[row]], sure, rtol=1e-5)
        assert not found["first"][row, count[row] :].any() and not found["probability"][row, count[row] :].any()


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_most_probable_transcripts(seed):
    logits, steps = random_logits(3, 5, 3, seed), np.array([5, 3, 0])
    found = {name: value.numpy() for name, value in beam_path(tf.constant(logits), tf.constant(steps), 200).items()}
    for row in (0, 1):
        paths = itertools.product(range(3), repeat=int(steps[row]))
        exact = {tokens: every_path(logits[row, : steps[row]], tokens)[1] for tokens in {collapse(p) for p in paths}}
        ranked = sorted(exact, key=exact.get, reverse=True)[:3]
        heard = [tuple(int(token) for token in one if token) for one in found["alternatives"][row]]
        assert heard == ranked
        expected = [np.exp(exact[tokens] / steps[row]) for tokens in ranked]
        np.testing.assert_allclose(found["alternative_scores"][row], expected, rtol=1e-4)
        assert tuple(found["tokens"][row, : found["count"][row]]) == ranked[0]
    anything = [tf.TensorSpec([None, None, logits.shape[2]]), tf.TensorSpec([None], tf.int32)]
    traced = tf.function(lambda logits, steps: beam_path(logits, steps, 4), input_signature=anything)
    shortest = traced(tf.constant(logits[:, :1]), tf.constant([1, 1, 1]))
    best = logits[:, 0].argmax(-1)
    np.testing.assert_array_equal(shortest["tokens"][:, 0], best)
    assert found["count"][2] == 0 and found["score"][2] == 0 and not found["alternatives"][2].any()


def test_narrow_and_wide_beams_are_decoded_by_configuration():
    task = made(beam_width=8)
    model = task.network()
    x = {"audio": tf.constant(random_logits(1, 2, 3000)[0] * 0.05), "samples": tf.constant([3000, 0])}
    found = tf.function(lambda x: task.outputs(model, x))(x)
    assert found["alternatives"].shape[:2] == (2, 5) and task.decode_name() == "CTC prefix beam 8"
