"""How many steps a recording has, and when they are: what is computed beforehand is what the network does."""

import numpy as np
import pytest

from models.recurrent.kernels import portable
from pipelines.config import from_dict
from pipelines.tasks.speech import model as speech_model
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.features import seconds_per_step, steps_of


@pytest.mark.parametrize("subsampling", ["2", "4", "8"])
def test_steps_are_counted_as_the_network_counts_them(subsampling):
    small = {"rate": 8000, "mel_bins": 20, "filters": 2, "units": 3, "layers": 1, "subsampling": subsampling}
    config = from_dict(Config, small, "test")
    samples = np.array([0, 1, 199, 200, 279, 280, 281, 1000, 3333, 3999], np.int32)
    model = speech_model.build(config, 4, None)
    with portable():
        outputs = model({"audio": np.zeros((len(samples), 4000), np.float32), "samples": samples})
    assert [steps_of(config, int(count)) for count in samples] == outputs["steps"].numpy().tolist()
    longest = int(samples.max()) / config.rate
    assert abs(seconds_per_step(config) * int(outputs["steps"][-1]) - longest) < 0.1
