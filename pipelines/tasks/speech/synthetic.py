"""Built-in speech: connected digits and spelled letters, said by synthetic voices in noise.

Nobody's recordings: `formants` renders them. The voices of training, validation and test are different people
(pitch, vocal tract, pace, breath, tilt), and a sequence of words belongs to exactly one split, chosen by a hash of
its text, so that test measures unseen speakers saying unseen sequences.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.tasks.speech.formants import PHONEMES, Segment, Voice, render

RATE = 16000
SPLITS = ("train", "validation", "test")
SPEAKERS = {"train": 60, "validation": 15, "test": 15}
WORDS = {
    "zero": "Z IY R OW",
    "one": "W AH N",
    "two": "T UW",
    "three": "TH R IY",
    "four": "F AO R",
    "five": "F AY V",
    "six": "S IH K S",
    "seven": "S EH V AH N",
    "eight": "EY T",
    "nine": "N AY N",
    "a": "EY",
    "b": "B IY",
    "c": "S IY",
    "d": "D IY",
    "e": "IY",
    "f": "EH F",
    "g": "JH IY",
    "h": "EY CH",
    "i": "AY",
    "j": "JH EY",
    "k": "K EY",
    "l": "EH L",
    "m": "EH M",
    "n": "EH N",
    "o": "OW",
    "p": "P IY",
    "q": "K Y UW",
    "r": "AA R",
    "s": "EH S",
    "t": "T IY",
    "u": "Y UW",
    "v": "V IY",
    "w": "D AH B AH L Y UW",
    "x": "EH K S",
    "y": "W AY",
    "z": "Z IY",
}
DIGITS = tuple(WORDS)[:10]
LETTERS = tuple(WORDS)[10:]


def voice(number: int) -> Voice:
    """The voice of speaker `number`: the same in every run. Larger tracts go with lower pitch, as in people."""
    rng = np.random.default_rng([31, number])
    size = rng.uniform(0.0, 1.0)
    return Voice(
        pitch=float(95.0 * 2.4**size * rng.uniform(0.9, 1.1)),
        tract=float((0.92 + 0.28 * size) * rng.uniform(0.97, 1.03)),
        pace=float(rng.uniform(0.75, 1.2)),
        breath=float(rng.uniform(0.01, 0.12)),
        open_share=float(rng.uniform(0.5, 0.75)),
        tilt=float(rng.uniform(-2.0, 3.0)),
        shifts=tuple(rng.uniform(0.97, 1.03, 3)),
        noise_db=float(rng.uniform(-45.0, -18.0)),
    )


def split_of(text: str) -> str:
    """The only split in which a text occurs: 8 in 10 train, 1 validation, 1 test."""
    place = zlib.crc32(text.encode()) % 10
    return "train" if place < 8 else SPLITS[place - 7]


def _sequence(rng: np.random.Generator, split: str) -> str:
    """One to five digits or one to four letters, drawn until the text belongs to `split`."""
    while True:
        digits = rng.random() < 0.7
        words = rng.choice(DIGITS if digits else LETTERS, rng.integers(1, 6 if digits else 5))
        text = " ".join(words)
        if split_of(text) == split:
            return text


def _segments(text: str, rng: np.random.Generator) -> list[Segment]:
    """The words' phonemes with pauses around them; every word and pause is a little longer or shorter each time."""
    segments: list[Segment] = []
    for word in text.split():
        segments.append(PHONEMES["_"][0]._replace(ms=float(rng.uniform(20, 140))))
        stretch = rng.uniform(0.85, 1.15)
        for phoneme in WORDS[word].split():
            segments += [part._replace(ms=part.ms * stretch) for part in PHONEMES[phoneme]]
    edges = rng.uniform(60, 200, 2)
    before, after = (PHONEMES["_"][0]._replace(ms=float(edge)) for edge in edges)
    return [before, *segments, after]


def say(text: str, speaker: Voice, rng: np.random.Generator, rate: int = RATE) -> np.ndarray[Any, Any]:
    """`text` (words of `WORDS`) in one voice with background noise: float32 [samples] at `rate` Hz, within [-1, 1]."""
    words = len(text.split())
    falling = np.linspace(1.12, 0.85, 2 * words + 1)
    falling[1::2] *= rng.uniform(1.0, 1.15, words)
    sound = render(_segments(text, rng), falling, speaker, rate, rng)
    loud = np.sqrt(np.mean(sound**2)) * 10.0 ** (speaker.noise_db / 20.0)
    hiss = rng.standard_normal(len(sound) + 1, dtype=np.float32)
    sound += loud * (hiss[1:] + 0.7 * hiss[:-1])
    level = rng.uniform(0.1, 0.8) / np.abs(sound).max()
    return (sound * level).astype(np.float32)


@dataclass(frozen=True)
class Utterance:
    """A recording that is rendered when it is first heard: ``np.asarray(utterance)`` is float32 [samples] at `rate` Hz.

    Knowing what will be said, by whom, costs microseconds; sound costs milliseconds. It is kept, because a
    demonstration hears its training split twice.
    """

    split: str
    index: int
    seed: int
    rate: int = RATE

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """Return the sound, read-only unless it is copied or converted."""
        return np.array(self.sound, dtype) if copy else np.asarray(self.sound, dtype)

    @functools.cached_property
    def sound(self) -> np.ndarray[Any, Any]:
        """What is heard, float32 [samples], read-only."""
        text, number, rng = self.drawn()
        sound = say(text, voice(number), rng, self.rate)
        sound.flags.writeable = False
        return sound

    def drawn(self) -> tuple[str, int, np.random.Generator]:
        """The text, the number of the speaker, and the generator that goes on to draw how it is said."""
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), self.index])
        text = _sequence(rng, self.split)
        first = sum(SPEAKERS[other] for other in SPLITS[: SPLITS.index(self.split)])
        return text, first + int(rng.integers(SPEAKERS[self.split])), rng


def utterances(split: str, count: int, seed: int = 0, rate: int = RATE) -> Iterator[dict[str, Any]]:
    """`count` examples of a split as {"id", "audio": Utterance, "rate" Hz, "text", "speaker"}, nothing rendered yet.

    Example i depends on (split, seed, i) alone. Raises ValueError for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"the built-in speech has the splits {', '.join(SPLITS)}, got {split!r}")
    for index in range(count):
        audio = Utterance(split, index, seed, rate)
        text, number, _ = audio.drawn()
        yield {"id": f"{split}-{index}", "audio": audio, "rate": rate, "text": text, "speaker": f"voice{number}"}


def examples(split: str, count: int, seed: int = 0, rate: int = RATE) -> Iterator[dict[str, Any]]:
    """The same examples as `utterances`, with their sound: "audio" is float32 [samples]."""
    for example in utterances(split, count, seed, rate):
        yield example | {"audio": np.asarray(example["audio"])}
