"""How many recordings come together: in a batch of training, and in a part that is encoded."""

import dataclasses

import numpy as np

from pipelines.config import from_dict
from pipelines.data.inputs import batches, token_plan
from pipelines.speech_config import Config
from pipelines.speech_data import encode, fit_preprocessor

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
    encoded = encode(fit_preprocessor(CONFIG, recordings()), CONFIG, recordings())
    plan = token_plan(encoded.lengths, CONFIG.batch_tokens, 0, 0, CONFIG.width_growth)
    sizes = [int(np.prod(x["audio"].shape)) for x, _ in batches(encoded, plan, growth=CONFIG.width_growth)]
    assert max(sizes) <= 32_000 and max(len(rows) for rows in plan) > 4 * min(len(rows) for rows in plan)
    assert np.mean([size for size, rows in zip(sizes, plan, strict=True) if len(rows) > 1]) > 16_000
