"""Speech, from recordings and transcripts to tensors: sources, preprocessor, checks."""

from __future__ import annotations

import dataclasses
import heapq
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import tensorflow as tf

from pipelines.data.audio.features import frame_log_mel
from pipelines.data.audio.files import faults, mono, read
from pipelines.data.audio.layouts import open_recordings
from pipelines.data.batching import Encoded
from pipelines.data.builtin import builtin
from pipelines.data.source import ALL, Example, Joined, OnProblem, Reader, Source, fraction, with_cuts
from pipelines.data.tables import Columns
from pipelines.data.validate import Facets
from pipelines.task import Mode
from pipelines.tasks.speech import synthetic
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.features import Statistics, mel_of, steps_of
from pipelines.tasks.speech.text import Alphabet, frames_needed, normalise

READERS = 4
NAMED: dict[str, tuple[str, ...]] = {
    "audio": ("speech", "audio", "voice"),
    "text": ("text_normalized", "text", "sentence"),
    "speaker": ("speaker_id", "client_id", "speaker"),
}
"""Features of TensorFlow datasets."""
STATISTICS_FROM = 500


def open_source(spec: str, config: Config) -> Source:
    """Open ``synthetic``, ``tfds:NAME``, a manifest, or a known corpus tree; cut missing splits."""
    if spec == "synthetic":
        return builtin(synthetic.utterances, {"train": 1200, "validation": 120, "test": 300})
    given = {"audio": config.audio_column, "text": config.text_column, "speaker": config.speaker_column}
    columns: dict[str, tuple[str, ...]] = {name: (column,) for name, column in given.items() if column}
    source = _named(spec, NAMED | columns) if spec.startswith("tfds:") else open_recordings(spec, columns)
    return _with_cuts(source, config.validation_share)


def _with_cuts(source: Source, share: float) -> Source:
    """Cut missing splits by speaker, or where there are too few of them by recording; the sentences say which.

    Parts of train, such as those of LibriSpeech, are dropped as splits: they overlap with the cuts.
    """
    cut = with_cuts(source, _speaker, share)
    if cut is source:
        return source
    kind, (enough, named) = "its speaker", _enough_speakers(source, share)
    if not enough:
        cut = with_cuts(source, _recording, share)
        kind = "the recording itself" + (", because too few speakers are named to share them out" if named else "")
    train = source.readers.get("train")
    parts = train.parts if isinstance(train, Joined) else ()
    readers = {name: reader for name, reader in cut.readers.items() if reader not in parts}
    return dataclasses.replace(cut, readers=readers, cuts={name: f"{note}: {kind}" for name, note in cut.cuts.items()})


def _enough_speakers(source: Source, share: float) -> tuple[bool, bool]:
    """Return whether cutting by speaker gives every part a quarter of its share, and whether any speaker is named."""
    ends = 2 if ALL in source.readers else 1  # as `with_cuts`: test and validation, or validation alone, before train
    found, named = [0] * (ends + 1), False
    for example in source.read(ALL if ends == 2 else "train", lambda problem: None):
        found[min(int(fraction(_speaker(example)) / share), ends)] += 1
        named = named or example.get("speaker") not in (None, "")
    due = [*[share] * ends, 1 - ends * share]
    return named and all(part >= sum(found) * fair / 4 for part, fair in zip(found, due, strict=True)), named


def _speaker(example: Example) -> str:
    """Return by what recordings stay together where a split is cut; a speaker may be the number 0."""
    speaker = example.get("speaker")
    return _recording(example) if speaker in (None, "") else str(speaker)


def _recording(example: Example) -> str:
    """Return the name of the recording: of a table its path, because the id may change with every row that is added."""
    return str(example.get("recording") or example["id"])


def _named(spec: str, columns: Columns) -> Source:
    """Open a TensorFlow dataset; parts of train (LibriSpeech has three) are one split, dev_clean is validation."""
    from pipelines.data.tfds import find_builder, open_named  # noqa: PLC0415  # slow to import, seldom needed

    source = open_named(spec, columns, optional=("speaker",))
    features = find_builder(spec).info.features
    rate = getattr(features[next(name for name in columns["audio"] if name in features)], "sample_rate", None)
    if not rate:
        raise ValueError(f"--data {spec}: does not say at which rate its sound was sampled; use its files")
    readers: dict[str, Reader] = {name: _with_rate(reader, int(rate)) for name, reader in source.readers.items()}
    parts = tuple(reader for name, reader in readers.items() if name.startswith("train"))
    if "train" not in readers and parts:
        readers["train"] = Joined(parts)
    if "dev_clean" in readers:
        readers["validation"] = readers["dev_clean"]
    return dataclasses.replace(source, readers=readers)


def _with_rate(reader: Reader, rate: int) -> Reader:
    def read(on_problem: OnProblem) -> Iterator[Example]:
        for example in reader(on_problem):
            audio = np.asarray(example["audio"])
            wide = np.issubdtype(audio.dtype, np.integer)  # 16 bits, whatever the type they are stored in
            known = {"speaker": str(example["speaker"])} if "speaker" in example else {}  # a NumPy number is no JSON
            yield example | {"audio": audio.astype(np.int16) if wide else audio, "rate": rate} | known

    return read


class Preprocessor:
    """The alphabet, and the mean and deviation of each mel band in train.

    Attributes:
        alphabet: the symbols.
        statistics: None where each recording is normalised by itself.
        rate: sampling rate in Hz.
    """

    FILES: ClassVar[tuple[str, ...]] = ("alphabet.json", "statistics.json")

    def __init__(self, alphabet: Alphabet, statistics: Statistics | None, rate: int) -> None:
        self.alphabet, self.statistics, self.rate = alphabet, statistics, rate

    @classmethod
    def fit(cls, config: Config, examples: Iterable[Example]) -> Self:
        """Collect the alphabet, and if asked the statistics of the features, from the training examples.

        Statistics are those of ``STATISTICS_FROM`` recordings, spread by hash: the first would be those of a few
        speakers.
        """
        texts: set[str] = set()
        chosen: list[tuple[float, int, Example]] = []
        most = STATISTICS_FROM if config.normalisation == "statistics" else 0
        for number, example in enumerate(examples):
            texts.add(transcript(config, str(example["text"])))
            heapq.heappush(chosen, (-fraction(f"statistics {example['id']} {number}"), number, example))
            if len(chosen) > most:
                heapq.heappop(chosen)
        spread = (example for _, _, example in sorted(chosen, key=lambda entry: entry[1]))
        sounds = [sound for _, sound, problem in _read_ahead(spread, config) if not problem]
        pieces = config.vocabulary == "subword"
        learned = sorted(texts)
        alphabet = Alphabet.learn_pieces(learned, config.vocabulary_size) if pieces else Alphabet.learn(learned)
        return cls(alphabet, _statistics(config, sounds) if sounds else None, config.rate)

    @classmethod
    def load(cls, config: Config, folder: Path) -> Self:
        """Read back what ``save`` wrote."""
        values = json.loads((folder / "statistics.json").read_text("utf-8"))
        statistics = tuple(np.array(part, np.float32) for part in values) if values else None
        return cls(Alphabet.load(folder / "alphabet.json"), statistics, config.rate)  # type: ignore[arg-type]

    @classmethod
    def adopt(cls, config: Config, other: Preprocessor, examples: Iterable[Example]) -> Self:
        """Take over the alphabet of another run; its statistics too where ``config`` asks for some, else learned."""
        statistics = other.statistics if config.normalisation == "statistics" else None
        if config.normalisation == "statistics" and statistics is None:
            statistics = cls.fit(config, examples).statistics
        return cls(other.alphabet, statistics, config.rate)

    def save(self, folder: Path) -> None:
        """Write ``FILES``."""
        self.alphabet.save(folder / "alphabet.json")
        values = [part.tolist() for part in self.statistics] if self.statistics else None
        (folder / "statistics.json").write_text(json.dumps(values) + "\n", "utf-8")


def _statistics(config: Config, sounds: list[np.ndarray[Any, Any]]) -> Statistics:
    mel = mel_of(config)
    whole = [sound for sound in sounds if len(sound) >= mel.window]
    features = np.concatenate([frame_log_mel(sound[None], mel).numpy()[0] for sound in whole])
    return features.mean(0), np.maximum(features.std(0), 1e-2)


def transcript(config: Config, text: str) -> str:
    """Return a transcript as it is learned and scored."""
    return normalise(text, config.lowercase, config.punctuation)


def heard(example: Example, rate: int) -> tuple[np.ndarray[Any, Any], str]:
    """The sound of an example at ``rate`` Hz; an empty one and the reason when there is none.

    Samples of which nobody says their rate are taken as they are.
    """
    given = example["audio"]
    try:
        if isinstance(given, str | bytes | Path):
            return read(given, rate, str(example["where"]) if isinstance(given, bytes) else str(given)), ""
        return mono(given, example.get("rate") or rate, rate, str(example["where"])), ""
    except (ValueError, OSError) as error:
        return np.zeros(0, np.float32), str(error)


def encode(alphabet: Alphabet, config: Config, examples: Iterable[Example], mode: Mode) -> Encoded:
    """Read the recordings, several at a time, and spell the transcripts.

    With references, a recording that cannot be read is dropped by name, and for training also one that is too short,
    too long or silent, or whose transcript CTC cannot spell in its steps: a score is that of the whole split. Without
    references, what cannot be read stays as silence whose example says why under ``error``.
    """
    labelled, training = mode != "predict", mode == "train"
    sounds: list[np.ndarray[Any, Any]] = []
    texts: list[str] = []
    kept: list[Example] = []
    dropped: list[str] = []
    for example, sound, problem in _read_ahead(examples, config):
        reason = problem or (unusable(sound, config) if training else "")
        if reason and labelled:
            dropped.append(f"{example['where']}: {reason}")
            continue
        sounds.append(sound)
        texts += [transcript(config, example["text"])] if labelled else []
        slim = {key: value for key, value in example.items() if not training or key in ("id", "where")}
        slim["audio"] = str(slim["audio"]) if isinstance(slim.get("audio"), str | Path) else example["where"]
        kept.append(slim | ({"error": reason} if reason else {}))
    tokens = alphabet.encode_all(texts)
    if training:
        reasons = [
            _impossible(frames_needed(row), len(sound), config) for row, sound in zip(tokens, sounds, strict=True)
        ]
        dropped += [f"{one['where']}: {reason}" for one, reason in zip(kept, reasons, strict=True) if reason]
        good = [number for number, reason in enumerate(reasons) if not reason]
        sounds, tokens, kept = [sounds[n] for n in good], [tokens[n] for n in good], [kept[n] for n in good]
    samples = np.array([len(sound) for sound in sounds], np.int32)
    joined = np.concatenate(sounds) if sounds else np.zeros(0, np.float32)
    x = {"audio": tf.RaggedTensor.from_row_lengths(joined, samples), "samples": tf.constant(samples)}
    count = np.array([len(row) for row in tokens], np.int32)
    flat = np.array([number for row in tokens for number in row], np.int32)
    y = {"tokens": tf.RaggedTensor.from_row_lengths(flat, count), "count": tf.constant(count)} if labelled else {}
    return Encoded(x, y, np.maximum(samples, 1), kept, dropped)


def _read_ahead(examples: Iterable[Example], config: Config) -> Iterator[tuple[Example, np.ndarray[Any, Any], str]]:
    source = iter(examples)
    with ThreadPoolExecutor(READERS) as pool:
        while chunk := list(islice(source, 64)):
            for example, (sound, problem) in zip(chunk, pool.map(lambda e: heard(e, config.rate), chunk), strict=True):
                yield example, sound, problem


def unusable(sound: np.ndarray[Any, Any], config: Config) -> str:
    """Say why samples [N] cannot be learned from: too short, too long, or silent; empty when they can."""
    found = faults(sound, config.rate, config.min_seconds, config.max_seconds)
    return "; ".join(fault for fault in found if not fault.startswith("clipped"))


def _impossible(needed: int, samples: int, config: Config) -> str:
    """Say why CTC cannot learn a transcript that needs so many steps from so many samples; empty when it can."""
    steps = steps_of(config, samples)
    if not needed:
        return "the transcript holds no letters"
    too_many = f"the transcript needs {needed} steps, the recording has {steps} (a smaller --subsampling may help)"
    return too_many if needed > steps else ""


def facets(config: Config, example: Example) -> Facets:
    """Return the transcript of an example, problems with it, and whether it is clipped, for ``pipelines validate``.

    How many steps a transcript of pieces needs is known only once the pieces are learned: never more than of letters.
    """
    text = transcript(config, str(example["text"]))
    sound, problem = heard(example, config.rate)
    letters = frames_needed([ord(character) for character in text]) if config.vocabulary == "characters" else 1
    reason = unusable(sound, config) or _impossible(letters if text else 0, len(sound), config)
    found = faults(sound, config.rate, config.min_seconds, config.max_seconds)
    notes = tuple(fault for fault in found if fault.startswith("clipped"))
    return Facets({"text": text}, problem=problem, unlearned="" if problem else reason, notes=notes)
