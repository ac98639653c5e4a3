import librosa
import numba
import numpy as np
import pytest
import tensorflow as tf

from pipelines.data.audio.features import (
    Mel,
    fourier,
    frame_log_mel,
    log_mel,
    mel_filters,
    normalise_statistics,
    normalise_utterance,
)

SETTINGS = [
    Mel(),
    Mel(rate=8000, mel_bins=40, fmin=0.0),
    Mel(rate=22050, window_ms=46.44, hop_ms=11.61, mel_bins=64, fmin=50, fmax=8000),
]


@pytest.fixture(scope="module", autouse=True)
def uncompiled_librosa():
    """Let librosa run as the plain NumPy that it is; compiling it takes a new machine 20 seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("vectorize", "guvectorize"):
            patch.setattr(numba, name, lambda *signature, **options: lambda function: function)
        librosa.feature.melspectrogram(y=noise(512), sr=8000, n_fft=256)
        yield


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(scale=0.1, size=samples).astype(np.float32)


def librosa_log_mel(waveform, mel):
    """librosa centres the window in its transform; padding by half the difference aligns frame 0 with sample 0."""
    spare = mel.fft - mel.window
    power = librosa.feature.melspectrogram(
        y=np.pad(waveform, (spare // 2, spare - spare // 2)),
        sr=mel.rate,
        n_fft=mel.fft,
        hop_length=mel.hop,
        win_length=mel.window,
        center=False,
        n_mels=mel.mel_bins,
        fmin=mel.fmin,
        fmax=mel.top,
    )
    return np.log(power.T + mel.log_floor)


@pytest.mark.parametrize("mel", SETTINGS, ids=lambda mel: str(mel.rate))
def test_features_equal_librosa(mel):
    waveform = noise(mel.rate) + np.sin(2 * np.pi * 440 * np.arange(mel.rate) / mel.rate).astype(np.float32)
    features, frames = log_mel(waveform[None], np.array([mel.rate]), mel)
    expected = librosa_log_mel(waveform, mel)
    assert frames.numpy().tolist() == [len(expected)]
    np.testing.assert_allclose(features[0], expected, atol=2e-4)


@pytest.mark.parametrize("mel", SETTINGS, ids=lambda mel: str(mel.rate))
def test_filters_equal_librosa(mel):
    expected = librosa.filters.mel(sr=mel.rate, n_fft=mel.fft, n_mels=mel.mel_bins, fmin=mel.fmin, fmax=mel.top)
    np.testing.assert_allclose(mel_filters(mel), expected.T, atol=1e-8)


def test_matrix_is_the_fourier_transform():
    mel = Mel(window_ms=2, hop_ms=1, mel_bins=4)
    frame = noise(mel.window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(mel.window) / mel.window)
    spectrum = np.fft.rfft(frame * hann, mel.fft)
    np.testing.assert_allclose(frame @ fourier(mel), np.concatenate([spectrum.real, -spectrum.imag]), atol=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 559, 560, 561, 4000])
def test_frame_count_is_what_the_graph_returns(samples):
    mel = Mel()
    whole = [start for start in range(0, samples, mel.hop) if start + mel.window <= samples]
    assert mel.frames(samples) == max(1, len(whole))
    features, frames = log_mel(noise(samples)[None], np.array([samples]), mel)
    assert frames.numpy().tolist() == [mel.frames(samples)] == [features.shape[1]]
    assert np.isfinite(features).all()


def test_features_do_not_depend_on_padding_or_batch():
    mel = Mel(mel_bins=40)
    short, long = noise(3000, 1), noise(9000, 2)
    batch = np.zeros((2, 9500), np.float32)
    batch[0, :3000], batch[1, :9000] = short, long
    batch[0, 3000:] = 7.0
    together, frames = log_mel(batch, np.array([3000, 9000]), mel)
    for row, alone in enumerate([short, long]):
        features, count = log_mel(alone[None], np.array([len(alone)]), mel)
        assert frames[row] == count[0]
        np.testing.assert_allclose(together[row, : frames[row]], features[0], atol=1e-5)
        assert not np.any(together[row, frames[row] :])
        normal = normalise_utterance(together, frames)[row, : frames[row]]
        np.testing.assert_allclose(normal, normalise_utterance(features, count)[0], atol=1e-5)


def test_a_sample_that_is_not_finite_is_silence():
    broken = noise(4000)
    broken[1000] = np.nan
    mended = np.where(np.isfinite(broken), broken, 0)
    one, two = (log_mel(sound[None], np.array([4000]), Mel())[0] for sound in (broken, mended))
    np.testing.assert_array_equal(one, two)


def test_frames_from_two_chunks_equal_frames_from_one():
    mel = Mel()
    sound = noise(8000)[None]
    whole = frame_log_mel(sound, mel)
    cut = 10 * mel.hop
    first = frame_log_mel(sound[:, : cut + mel.window - mel.hop], mel)
    second = frame_log_mel(sound[:, cut:], mel)
    np.testing.assert_allclose(tf.concat([first, second], 1), whole, atol=1e-5)


def test_normalised_bands_have_mean_zero_and_variance_one():
    features = np.random.default_rng(3).normal(5.0, 3.0, (2, 50, 4)).astype(np.float32)
    normal = normalise_utterance(features, np.array([50, 20])).numpy()
    np.testing.assert_allclose(normal[1, :20].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normal[1, :20].std(0), 1, atol=1e-3)
    assert not normal[1, 20:].any()
    constant = np.full((1, 98, 4), np.float32(np.log(1e-6)))
    assert not normalise_utterance(constant, np.array([98])).numpy().any()


def test_statistics_normalise_each_band():
    features = np.random.default_rng(3).normal(size=(1, 5, 2)).astype(np.float32)
    mean, deviation = np.array([1, 2], np.float32), np.array([3, 4], np.float32)
    normal = normalise_statistics(features, np.array([4]), mean, deviation).numpy()
    np.testing.assert_allclose(normal[0, :4], (features[0, :4] - mean) / deviation, rtol=1e-6)
    assert not normal[0, 4:].any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 100}, "rate"),
        ({"hop_ms": 30}, "hop_ms"),
        ({"hop_ms": 0}, "hop_ms"),
        ({"mel_bins": 0}, "mel_bins"),
        ({"fmin": 9000}, "fmin < fmax"),
        ({"fmax": 9000}, "8000 Hz"),
    ],
)
def test_impossible_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        Mel(**options)


def test_too_many_bands_for_the_window_are_named():
    with pytest.raises(ValueError, match="mel_bins=128 is too many"):
        mel_filters(Mel(window_ms=8, hop_ms=4, mel_bins=128))
