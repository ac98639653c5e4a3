import itertools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipelines.data.audio.features import Mel, frame_log_mel
from pipelines.tasks.speech.formants import PHONEMES, Voice, _tract, render
from pipelines.tasks.speech.synthetic import (
    DIGITS,
    RATE,
    SPEAKERS,
    SPLITS,
    WORDS,
    examples,
    say,
    split_of,
    utterances,
    voice,
)


def sustained(phoneme, speaker, seconds=0.8):
    part = PHONEMES[phoneme][0]._replace(ms=1000 * seconds)
    return render([part], np.ones(2), speaker, RATE, np.random.default_rng(0))


def spectrum(sound):
    middle = sound[len(sound) // 4 : -len(sound) // 4]
    power = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
    return np.fft.rfftfreq(len(middle), 1 / RATE), power


def test_an_example_depends_on_its_number_alone():
    few, many = list(examples("train", 3)), list(examples("train", 6))
    for one, two in zip(few, many, strict=False):
        np.testing.assert_array_equal(one["audio"], two["audio"])
        assert one["text"] == two["text"] and one["speaker"] == two["speaker"]
    other = next(examples("train", 1, seed=1))
    assert other["text"] != few[0]["text"] or len(other["audio"]) != len(few[0]["audio"])


def test_sound_is_rendered_once_and_cannot_be_changed():
    audio = next(utterances("train", 1))["audio"]
    assert np.asarray(audio) is np.asarray(audio, np.float32)
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(audio)[0] = 1.0
    copy = np.array(audio)
    copy[0] += 1.0
    assert copy[0] == audio.sound[0] + 1.0


def test_the_tract_is_a_cascade_of_resonances():
    speaker, formants = voice(3), np.array([[700.0, 1200.0, 2500.0], [300.0, 2300.0, 3000.0]])
    around = np.exp(2j * np.pi * np.arange(257) / 512)
    for row, found in zip(formants, _tract(formants, speaker, RATE, 512), strict=True):
        expected = np.ones(257, complex)
        centres = [*row, 3500.0 * speaker.tract, 4500.0 * speaker.tract]
        for hertz, bandwidth in zip(centres, (70.0, 90.0, 130.0, 200.0, 250.0), strict=True):
            pole = np.exp(-np.pi * bandwidth / RATE + 2j * np.pi * hertz / RATE)
            expected *= (1 - pole) * (1 - pole.conj()) / ((1 - pole / around) * (1 - pole.conj() / around))
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_examples_are_sound_and_words():
    for example in itertools.chain(*(examples(split, 10) for split in SPLITS)):
        audio = example["audio"]
        assert audio.dtype == np.float32 and example["rate"] == RATE
        assert 0.3 * RATE < len(audio) < 6 * RATE
        assert 0.09 < np.abs(audio).max() <= 0.81
        assert set(example["text"].split()) <= set(WORDS)


def test_splits_share_neither_speakers_nor_sequences():
    drawn = {split: list(utterances(split, 200)) for split in SPLITS}
    for one, two in itertools.combinations(SPLITS, 2):
        assert not {e["speaker"] for e in drawn[one]} & {e["speaker"] for e in drawn[two]}
        assert not {e["text"] for e in drawn[one]} & {e["text"] for e in drawn[two]}
    assert all(split_of(e["text"]) == split for split in SPLITS for e in drawn[split])
    assert len({voice(number) for number in range(sum(SPEAKERS.values()))}) == sum(SPEAKERS.values())


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="train, validation, test"):
        next(examples("dev", 1))


@pytest.mark.parametrize("hertz", [100, 180, 250])
def test_the_pitch_is_the_voices(hertz):
    sound = sustained("AA", Voice(pitch=hertz))[4000:8000]
    shifts = np.arange(RATE // 400, RATE // 60)
    likeness = [np.dot(sound[:-shift], sound[shift:]) / len(sound[shift:]) for shift in shifts]
    assert RATE / shifts[int(np.argmax(likeness))] == pytest.approx(hertz, rel=0.03)


@pytest.mark.parametrize("vowel", ["IY", "AA", "UW", "EH"])
@pytest.mark.parametrize("tract", [1.0, 1.15])
def test_energy_peaks_at_the_formants(vowel, tract):
    """Breath alone excites the tract evenly, so its spectrum shows the resonances without harmonics."""
    part = PHONEMES[vowel][0]._replace(ms=4000.0, pulses=0.0, breath=1.0)
    speaker = Voice(tract=tract, breath=0.0)
    hertz, power = spectrum(render([part], np.ones(2), speaker, RATE, np.random.default_rng(1)))
    smooth = np.convolve(power, np.hanning(241), mode="same")
    for formant in (part.f1 * tract, part.f2 * tract):
        near = (hertz > formant * 0.85) & (hertz < formant * 1.15)
        assert hertz[near][np.argmax(smooth[near])] == pytest.approx(formant, rel=0.06, abs=45)


def test_s_is_higher_than_the_vowels_and_stops_begin_silent():
    middle = {}
    for phoneme in ("S", "AA"):
        hertz, power = spectrum(sustained(phoneme, Voice()))
        middle[phoneme] = np.sum(hertz * power) / np.sum(power)
    assert middle["S"] > 4500 and middle["AA"] < 1500
    stop = render(list(PHONEMES["T"]), np.ones(2), Voice(breath=0), RATE, np.random.default_rng(0))
    closed, burst = stop[: int(0.04 * RATE)], stop[int(0.05 * RATE) : int(0.08 * RATE)]
    assert np.abs(closed).max() < 0.05 * np.abs(burst).max()


def shapes(speakers, count, seed):
    """20 frames spread over each isolated digit, mean removed."""
    mel, features, digits = Mel(mel_bins=40), [], []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        sound = say(DIGITS[index % 10], voice(int(rng.choice(speakers))), rng)
        frames = frame_log_mel(sound[None], mel).numpy()[0]
        loud = frames.mean(1)
        spoken = np.flatnonzero(loud > loud.min() + 0.3 * np.ptp(loud))
        frames = frames[spoken[0] : spoken[-1] + 1]
        frames = frames[np.linspace(0, len(frames) - 1, 20).round().astype(int)]
        features.append((frames - frames.mean(0)).ravel())
        digits.append(index % 10)
    return np.array(features), np.array(digits)


def test_digits_of_unseen_voices_are_told_apart_without_any_network():
    train, test = shapes(range(60), 200, 1), shapes(range(75, 90), 100, 2)
    classifier = LogisticRegression(C=0.01, max_iter=200).fit(*train)
    assert classifier.score(*test) >= 0.95
