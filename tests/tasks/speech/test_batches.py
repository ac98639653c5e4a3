"""How many recordings come together: in a batch of training, and in a part that is encoded."""

import dataclasses

import numpy as np

from pipelines.config import from_dict
from pipelines.data.batching import batches, token_plan
from pipelines.data.source import Source
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.task import Speech
from pipelines.training.encode import PART, encode_parts, encode_split

CONFIG = from_dict(Config, {"rate": 8000, "batch_tokens": 8000 * 4}, "test")


def recordings(count=60):
    random = np.random.default_rng(0)
    for number in range(count):
        sound = random.normal(scale=0.1, size=random.integers(800, 16000)).astype(np.float32)
        yield {"id": f"r{number}", "where": f"x:{number}", "text": "yes", "audio": sound}


def test_batch_tokens_are_samples_as_the_setting_says():
    """Four seconds of sound at 8 kHz, padding included; the audio of a batch is what the device holds."""
    (field,) = (field for field in dataclasses.fields(Config) if field.name == "batch_tokens")
    assert field.default.description.startswith("samples (a second has --rate of them) a batch")
    encoded = Speech(CONFIG, Speech.fit(CONFIG, recordings())).encode(recordings())
    plan = token_plan(encoded.lengths, CONFIG.batch_tokens, 0, 0, CONFIG.bucket_growth)
    sizes = [int(np.prod(x["audio"].shape)) for x, _ in batches(encoded, plan, growth=CONFIG.bucket_growth)]
    assert max(sizes) <= 32_000 and max(len(rows) for rows in plan) > 4 * min(len(rows) for rows in plan)
    assert np.mean([size for size, rows in zip(sizes, plan, strict=True) if len(rows) > 1]) > 16_000


def test_a_part_that_is_encoded_holds_few_recordings(monkeypatch):
    monkeypatch.setattr(Speech, "part", 7)
    source = Source("made", {"train": lambda problem: recordings()}, "0")
    task = Speech(CONFIG, Speech.fit(CONFIG, recordings()))
    parts = list(encode_parts(task, source, "train"))
    assert [len(part) for part in parts] == [7] * 8 + [4]
    whole = encode_split(task, source, "train", "train")
    assert whole.examples == [example for part in parts for example in part.examples]
    assert [len(part) for part in encode_parts(task, source, "train", size=5)] == [5] * 12


def test_the_longest_recordings_of_a_part_fit_in_memory():
    seconds = from_dict(Config, {}, "test").max_seconds
    assert Speech.part < PART and Speech.part * seconds * 16000 * 4 < 2**28, "a quarter of a gibibyte of float32"
