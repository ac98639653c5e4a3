"""Settings of the features and the augmentation, and how samples become steps."""

from typing import Any

import numpy as np

from pipelines.data.audio.augment import Augment
from pipelines.data.audio.features import Mel
from pipelines.tasks.speech.config import Config

Statistics = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""Mean and deviation of each mel band in train, float32 [bands] each."""


def mel_of(config: Config) -> Mel:
    """Return the settings of the log-mel features. ValueError when they contradict each other."""
    return Mel(
        rate=config.rate,
        window_ms=config.window_ms,
        hop_ms=config.hop_ms,
        mel_bins=config.mel_bins,
        fmin=config.fmin,
        fmax=config.fmax,
        log_floor=config.log_floor,
    )


def steps_of(config: Config, samples: int) -> int:
    """Count the steps of the recurrent stack in so many samples, at least 1."""
    return int(-(-mel_of(config).frames(samples) // int(config.subsampling)))


def seconds_per_step(config: Config) -> float:
    """Return the distance of two steps of the recurrent stack in seconds."""
    mel = mel_of(config)
    return mel.hop * int(config.subsampling) / mel.rate


def augment_of(config: Config) -> Augment:
    """Return the settings of the augmentation."""
    return Augment(
        speed=config.speed,
        gain_db=config.gain_db,
        noise=config.noise,
        snr_db=config.snr_db,
        bands=config.band_masks,
        band_width=config.band_width,
        times=config.time_masks,
        time_width=config.time_width,
    )
