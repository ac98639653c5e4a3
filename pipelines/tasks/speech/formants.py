"""A formant synthesiser in NumPy: phonemes and a voice -> sound.

A phoneme is one or more segments, each a target for the vocal tract: three formants, and how loud the three
sources are (glottal pulses, breath through the same tract, hiss at a constriction). Targets are laid end to
end, smoothed as an articulator moves, and rendered by overlap-add: every 5 ms the excitation is multiplied, in the
frequency domain, by a cascade of resonances. Klatt, "Software for a cascade/parallel formant synthesizer", 1980;
vowel formants after Peterson and Barney, 1952.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
HOP_MS = 5.0


class Segment(NamedTuple):
    """A target: duration in milliseconds, formants in Hz, levels of the sources, hiss centre and width in Hz."""

    ms: float
    f1: float
    f2: float
    f3: float
    pulses: float = 0.0
    breath: float = 0.0
    hiss: float = 0.0
    centre: float = 4000.0
    width: float = 1000.0


@dataclass(frozen=True)
class Voice:
    """A speaker: pitch in Hz, formants and durations relative to the table's, levels relative to full pulses."""

    pitch: float = 120.0
    tract: float = 1.0
    pace: float = 1.0
    breath: float = 0.03
    open_share: float = 0.6
    tilt: float = 0.0
    shifts: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise_db: float = -40.0


def _vowel(ms: float, *targets: tuple[float, float, float]) -> tuple[Segment, ...]:
    return tuple(Segment(ms / len(targets), *target, pulses=1.0) for target in targets)


def _stop(
    f1: float, f2: float, f3: float, centre: float, width: float, burst: float, voiced: bool
) -> tuple[Segment, ...]:
    """Closure, burst, and (voiceless) breath until the voice sets in."""
    place = (f1, f2, f3)
    closure = Segment(55, 200, f2, f3, pulses=0.12 if voiced else 0.0)
    release = Segment(12, *place, pulses=0.3 if voiced else 0.0, hiss=burst, centre=centre, width=width)
    if voiced:
        return closure, release
    return closure, release, Segment(40, *place, breath=0.5, hiss=0.15 * burst, centre=centre, width=width)


def _hiss(ms: float, f2: float, centre: float, width: float, hiss: float, voiced: bool = False) -> tuple[Segment, ...]:
    return (Segment(ms, 300, f2, 2500, 0.35 if voiced else 0.0, 0.0, hiss, centre, width),)


PHONEMES: dict[str, tuple[Segment, ...]] = {
    "IY": _vowel(150, (280, 2290, 3010)),
    "IH": _vowel(110, (400, 1990, 2550)),
    "EH": _vowel(130, (550, 1840, 2480)),
    "AH": _vowel(130, (640, 1190, 2390)),
    "AA": _vowel(150, (730, 1090, 2440)),
    "AO": _vowel(150, (570, 840, 2410)),
    "UW": _vowel(150, (310, 900, 2240)),
    "EY": _vowel(190, (520, 1850, 2500), (400, 2080, 2600), (300, 2250, 2800)),
    "AY": _vowel(220, (740, 1150, 2450), (640, 1400, 2450), (420, 1900, 2550), (340, 2100, 2700)),
    "OW": _vowel(200, (560, 1000, 2400), (470, 880, 2350), (350, 780, 2300)),
    "R": (Segment(75, 330, 1150, 1550, 0.7),),
    "L": (Segment(80, 370, 950, 2800, 0.6),),
    "W": (Segment(75, 300, 640, 2200, 0.6),),
    "Y": (Segment(60, 270, 2250, 3050, 0.6),),
    "M": (Segment(85, 240, 950, 2150, 0.35),),
    "N": (Segment(85, 240, 1550, 2600, 0.35),),
    "F": _hiss(110, 950, 5500, 3500, 0.10),
    "V": _hiss(70, 1000, 5000, 3500, 0.05, True),
    "TH": _hiss(110, 1450, 6500, 2500, 0.08),
    "S": _hiss(125, 1700, 6000, 1200, 0.35),
    "Z": _hiss(95, 1700, 6000, 1200, 0.2, True),
    "P": _stop(300, 850, 2200, 1000, 900, 0.25, False),
    "B": _stop(300, 850, 2200, 1000, 900, 0.15, True),
    "T": _stop(300, 1800, 2700, 4500, 1500, 0.4, False),
    "D": _stop(300, 1800, 2700, 4500, 1500, 0.25, True),
    "K": _stop(300, 2000, 2500, 2100, 500, 0.4, False),
    "CH": (Segment(50, 200, 1800, 2600), *_hiss(90, 1900, 3200, 900, 0.45)),
    "JH": (Segment(50, 200, 1800, 2600, 0.12), *_hiss(60, 1900, 3200, 900, 0.3, True)),
    "_": (Segment(10, 500, 1500, 2500),),
}


def _smoothed(track: Array, frames: int) -> Array:
    """A Hann-weighted moving average over `frames` frames with held ends: [T, C] -> [T, C]."""
    weights = np.hanning(frames + 2)[1:-1]
    weights /= weights.sum()
    before, after = frames // 2, frames - 1 - frames // 2
    padded = np.pad(track, ((before, after), (0, 0)), mode="edge")
    return np.einsum("tck,k->tc", np.lib.stride_tricks.sliding_window_view(padded, frames, axis=0), weights)


def tracks(segments: list[Segment], voice: Voice) -> Array:
    """The moving targets float64 [T, 8], one row every 5 ms: three formants, three levels, hiss centre and width."""
    counts = [max(1, round(segment.ms * voice.pace / HOP_MS)) for segment in segments]
    steps = np.repeat(np.array(segments)[:, 1:], counts, axis=0)
    steps[:, :3] *= voice.tract * np.array(voice.shifts)
    return np.concatenate([_smoothed(steps[:, :3], 13), _smoothed(steps[:, 3:6], 4), steps[:, 6:]], axis=1)


def _pulses(pitch: Array, open_share: float) -> Array:
    """Derivative of the glottal flow (t^2 - t^3 while open); `pitch` is that of every sample in cycles a sample [N]."""
    phase = np.cumsum(pitch) % 1.0 / open_share
    return np.where(phase < 1.0, 2.0 * phase - 3.0 * phase**2, 0.0)


def _tract(formants: Array, voice: Voice, rate: int, size: int) -> Array:
    """Response of the resonances, unity at 0 Hz: Hz [T, 3] -> complex64 [T, size / 2 + 1].

    The polynomials of the poles are multiplied out first, so that their values are one transform.
    """
    fixed = np.array([3500.0, 4500.0]) * voice.tract
    centres = np.concatenate([formants, np.tile(fixed, (len(formants), 1))], axis=1)
    radius = np.exp(-np.pi * np.array([70.0, 90.0, 130.0, 200.0, 250.0]) / rate)
    linear = 2.0 * radius * np.cos(2.0 * np.pi * centres / rate)
    poles = np.zeros((len(formants), 2 * len(radius) + 1))
    poles[:, 0] = 1.0
    for index, square in enumerate(radius**2):
        before = poles.copy()
        poles[:, 1:] -= linear[:, index, None] * before[:, :-1]
        poles[:, 2:] += square * before[:, :-2]
    poles /= poles.sum(axis=1, keepdims=True)
    return (1.0 / np.fft.rfft(poles, size)).astype(np.complex64)


def render(segments: list[Segment], pitch: Array, voice: Voice, rate: int, rng: np.random.Generator) -> Array:
    """The sound of segments in a voice: float32 [N] at `rate` Hz, unscaled, without background noise.

    `pitch` gives the melody relative to the voice's pitch, as any number of values spread evenly over the sound.
    """
    from scipy import fft  # noqa: PLC0415  # slow to import; NumPy's takes three times as long to fill up rows

    track = tracks(segments, voice)
    hop = round(rate * HOP_MS / 1000)
    total = (len(track) + 1) * hop
    size = 1 << int(np.ceil(np.log2(6 * hop)))
    wander = 1.0 + 0.01 * np.repeat(rng.normal(size=total // hop + 1), hop)[:total]
    melody = np.interp(np.arange(total), np.linspace(0, total, len(pitch)), pitch)
    tone = _pulses(voice.pitch * melody * wander / rate, voice.open_share)
    noise = rng.standard_normal(total, dtype=np.float32)
    window = np.hanning(2 * hop + 1)[:-1]
    starts = np.lib.stride_tricks.sliding_window_view
    voiced, hissed = (starts(source, 2 * hop)[::hop][: len(track)] * window for source in (tone, noise))
    breath = track[:, 4] + voice.breath * track[:, 3]
    throat = fft.rfft((voiced * track[:, 3:4] + 0.3 * hissed * breath[:, None]).astype(np.float32), size)
    hertz = fft.rfftfreq(size, 1.0 / rate).astype(np.float32)
    centre, width, level = (column[:, None] for column in track[:, [6, 7, 5]].T.astype(np.float32))
    bump = np.exp(-0.5 * ((hertz - centre * np.float32(voice.tract**0.5)) / width) ** 2) * level
    spectrum = throat * _tract(track[:, :3], voice, rate, size) + fft.rfft(hissed.astype(np.float32), size) * bump
    spectrum *= 10.0 ** (voice.tilt * np.log2(np.maximum(hertz, 100.0) / 500.0) / 20.0)
    pieces = fft.irfft(spectrum, size)
    return _overlapped(pieces.astype(np.float32), hop)


def _overlapped(pieces: Array, hop: int) -> Array:
    """The sum of pieces [T, size] that start `hop` samples apart, size a multiple of hop or padded to one: [N]."""
    count, size = pieces.shape
    blocks = -(-size // hop)
    padded = np.pad(pieces, ((0, 0), (0, blocks * hop - size))).reshape(count, blocks, hop)
    sound = np.zeros((count + blocks, hop), np.float32)
    for block in range(blocks):
        sound[block : block + count] += padded[:, block]
    return sound.reshape(-1)
