"""The statistics that a streaming network normalises by are those of the whole training split."""

import numpy as np

from pipelines.config import from_dict
from pipelines.tasks.speech import data as speech_data
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.data import Preprocessor

CONFIG = from_dict(Config, {"mel_bins": 20, "normalisation": "statistics"}, "test")


def recordings(count=200):
    """Noise of two speakers one after the other, the second a hundred times as loud."""
    random = np.random.default_rng(0)
    for number in range(count):
        level = 0.001 if number < count // 2 else 0.1
        sound = random.normal(scale=level, size=1600).astype(np.float32)
        yield {"id": f"r{number}", "where": f"x:{number}", "text": "yes", "audio": sound}


def test_recordings_are_chosen_from_the_whole_split(monkeypatch):
    every = Preprocessor.fit(CONFIG, recordings()).statistics
    taken = []
    heard = speech_data.heard
    monkeypatch.setattr(speech_data, "heard", lambda one, rate: (taken.append(one["id"]), heard(one, rate))[1])
    monkeypatch.setattr(speech_data, "STATISTICS_FROM", 60)
    mean, deviation = Preprocessor.fit(CONFIG, recordings()).statistics
    assert len(set(taken)) == len(taken) == 60
    apart = 2 * np.log(100)  # of the speakers, in the logarithm of power
    np.testing.assert_allclose(mean, every[0], atol=apart / 6)
    np.testing.assert_allclose(deviation, every[1], rtol=0.1)
    again = Preprocessor.fit(CONFIG, recordings()).statistics
    np.testing.assert_array_equal(mean, again[0])


def test_a_network_that_measures_each_recording_hears_none_beforehand(monkeypatch):
    monkeypatch.setattr(speech_data, "heard", lambda one, rate: 1 / 0)
    found = Preprocessor.fit(from_dict(Config, {"mel_bins": 20}, "test"), recordings(5))
    assert found.statistics is None and found.alphabet.size == 4


def test_another_run_gives_its_alphabet_and_the_settings_say_what_normalises():
    each = from_dict(Config, {"mel_bins": 20}, "test")
    plain, measured = Preprocessor.fit(each, recordings(20)), Preprocessor.fit(CONFIG, recordings(20))
    others = [row | {"text": "no"} for row in recordings(30)]
    learned = Preprocessor.adopt(CONFIG, plain, iter(others))
    assert learned.alphabet is plain.alphabet
    np.testing.assert_array_equal(learned.statistics, Preprocessor.fit(CONFIG, others).statistics)
    assert Preprocessor.adopt(CONFIG, measured, iter(())).statistics is measured.statistics, "its weights know these"
    assert Preprocessor.adopt(each, measured, iter(())).statistics is None
