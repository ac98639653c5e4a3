import numpy as np
import pytest
import soxr
import tensorflow as tf

from pipelines.data.audio.augment import Augment, add_noise, augment_batch, augment_waveform, resample, spec_augment


def tones(rate, seconds=1.0):
    time = np.arange(round(rate * seconds)) / rate
    return (np.sin(2 * np.pi * 440 * time) + 0.5 * np.sin(2 * np.pi * 2300 * time + 1)).astype(np.float32)


@pytest.mark.parametrize(("before", "after"), [(16000, 8000), (8000, 16000), (44100, 16000), (48000, 16000)])
def test_resampled_tones_are_the_tones_at_the_new_rate(before, after):
    new = resample(tones(before), before / after).numpy()
    assert len(new) == after
    np.testing.assert_allclose(new[200:-200], tones(after)[200:-200], atol=5e-4)
    np.testing.assert_allclose(new[200:-200], soxr.resample(tones(before), before, after)[200:-200], atol=5e-4)


def test_what_the_new_rate_cannot_hold_is_removed():
    high = np.sin(2 * np.pi * 6000 * np.arange(16000) / 16000).astype(np.float32)
    assert np.abs(resample(high, 2.0).numpy()[200:-200]).max() < 0.01


def test_an_empty_or_tiny_recording_is_resampled():
    assert resample(np.zeros(0, np.float32), 1.1).shape == (0,)
    assert np.isfinite(resample(np.ones(1, np.float32), 1.1)).all()


def test_noise_has_the_stated_ratio():
    clean = tones(16000)
    for ratio in (0.0, 10.0, 20.0):
        added = add_noise(clean, ratio, [1, 2]).numpy() - clean
        assert 10 * np.log10(np.mean(clean**2) / np.mean(added**2)) == pytest.approx(ratio, abs=0.01)
    assert np.isfinite(add_noise(np.zeros(10, np.float32), 10.0, [1, 2])).all()


def test_augmentation_is_a_function_of_the_seed():
    clean = tones(16000)
    augment = Augment(speed=0.1, gain_db=6, noise=1.0)
    one, same, other = (augment_waveform(clean, seed, augment).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(one, same)
    assert len(one) != len(other)
    assert all(16000 / 1.1 - 1 <= len(sound) <= 16000 / 0.9 + 1 for sound in (one, other))
    features, frames = np.random.default_rng(0).normal(size=(2, 100, 80)).astype(np.float32), np.array([100, 60])
    masks = Augment(bands=2, times=2)
    one, same, other = (spec_augment(features, frames, seed, masks).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(one, same)
    assert np.any(one != other) and np.any((one[0] == 0) != (one[1] == 0))


def test_the_defaults_change_nothing():
    clean = tones(16000)
    np.testing.assert_array_equal(augment_waveform(clean, [1, 2], Augment()), clean)
    features = clean.reshape(1, 200, 80)
    np.testing.assert_array_equal(spec_augment(features, np.array([200]), [1, 2], Augment()), features)
    assert not Augment(bands=2, times=2).changes_waveform
    assert Augment(gain_db=1).changes_waveform


def test_a_batch_is_changed_row_by_row():
    batch = np.zeros((3, 9000), np.float32)
    lengths = np.array([9000, 4000, 1])
    for row, length in enumerate(lengths):
        batch[row, :length] = tones(16000)[:length]
    changed, counts = augment_batch(batch, lengths, [5, 6], Augment(speed=0.1, gain_db=6), 2000)
    assert changed.shape[1] % 2000 == 0 and changed.shape[1] - counts.numpy().max() < 2000
    for row, (length, count) in enumerate(zip(lengths, counts.numpy(), strict=True)):
        assert length / 1.1 - 1 <= count <= length / 0.9 + 1
        assert not changed[row, count:].numpy().any() and changed[row, :count].numpy().any()
    same, _ = augment_batch(batch, lengths, [5, 6], Augment(speed=0.1, gain_db=6), 2000)
    np.testing.assert_array_equal(changed, same)
    plain, counts = augment_batch(batch, lengths, [5, 6], Augment(), 2000)
    np.testing.assert_array_equal(plain[:, :9000], batch)
    np.testing.assert_array_equal(counts, lengths)


def test_the_slowest_draws_have_room():
    batch, lengths = np.tile(tones(16000)[:8000], [24, 1]), np.full(24, 8000)
    changed, counts = augment_batch(batch, lengths, [5, 6], Augment(speed=0.49), 100)
    seeds = [tf.random.experimental.stateless_fold_in([5, 6], row) for row in range(24)]
    factors = [0.51 + 0.98 * float(tf.random.stateless_uniform([4], seed)[0]) for seed in seeds]
    np.testing.assert_allclose(counts, np.ceil(8000 / np.array(factors)), atol=1)
    assert counts.numpy().max() > 1.7 * 8000, "the seed draws none that is slow"
    assert changed.shape[1] == -(-counts.numpy().max() // 100) * 100
    assert all(changed[row, count - 50 : count].numpy().any() for row, count in enumerate(counts.numpy()))


def test_gain_stays_in_its_decibels():
    clean = tones(16000)
    gains = []
    for index in range(40):
        ratio = augment_waveform(clean, [7, index], Augment(gain_db=6)).numpy()[100] / clean[100]
        gains.append(20 * np.log10(ratio))
    assert -6 <= min(gains) < -3 < 3 < max(gains) <= 6


def test_masks_are_stripes_within_their_widths():
    augment = Augment(bands=1, band_width=5, times=1, time_width=40, time_share=0.1)
    widths = set()
    for index in range(60):
        hidden = spec_augment(tf.ones([1, 70, 20]), np.array([50]), [3, index], augment).numpy()[0] == 0
        assert not hidden[50:].all(1).any()
        hidden = hidden[:50]
        times, bands = np.flatnonzero(hidden.all(1)), np.flatnonzero(hidden.all(0))
        assert hidden.sum() == len(times) * 20 + len(bands) * 50 - len(times) * len(bands)
        assert len(times) <= 5 and len(bands) <= 5
        assert len(times) == 0 or np.ptp(times) == len(times) - 1
        widths.add(len(bands))
    assert widths == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("options", [{"speed": 0.6}, {"noise": 1.5}])
def test_impossible_augmentation_is_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Augment(**options)
