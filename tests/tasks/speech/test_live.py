"""What `docs/exports.md` says of speech while it lasts."""

import itertools
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from models.recurrent.kernels import portable
from pipelines.config import from_dict
from pipelines.data.audio.files import read
from pipelines.tasks.speech.config import Config, streaming
from pipelines.tasks.speech.data import Preprocessor
from pipelines.tasks.speech.stream import Streamer
from pipelines.tasks.speech.synthetic import examples
from pipelines.tasks.speech.task import Speech
from pipelines.tasks.speech.text import Alphabet

PAGE = (Path(__file__).parents[3] / "docs/exports.md").read_text("utf-8")
STATISTICS = np.full(20, -8, np.float32), np.full(20, 4, np.float32)


def made(cell="lstm"):
    """A random network of the preset streaming, at 8 kHz."""
    small = {"rate": 8000, "mel_bins": 20, "filters": 3, "units": 8, "layers": 2, "cell": cell, "seed": 4}
    config = from_dict(Config, streaming() | small, "test")
    preprocessor = Preprocessor(Alphabet(["", " ", *"abc"]), STATISTICS, config.rate)
    return SimpleNamespace(model=Speech(config, preprocessor).network(), preprocessor=preprocessor, config=config)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_page_names_every_tensor_of_the_signature(cell):
    loaded = made(cell)
    streamer = Streamer(loaded.model, loaded.config)
    state = streamer.start(3)
    found = streamer.step(np.zeros([3, 900], np.float32), np.array(True), **state)
    rows = re.findall(r"^\|( `\w+`.*?)\|(.*?)\|(.*?)\|$", PAGE, re.MULTILINE)
    into = {name for names, told, _ in rows for name in re.findall(r"`(\w+)`", names) if told.strip()}
    out = {name for names, _, told in rows for name in re.findall(r"`(\w+)`", names) if told.strip()}
    assert {name for name in streamer.signature() if not re.fullmatch(r"state_[2-9]", name)} <= into
    assert {name for name in found if not re.fullmatch(r"state_[2-9]", name)} <= out
    count = 2 * (2 if cell == "lstm" else 1)
    assert sorted(name for name in state if name.startswith("state")) == [f"state_{n}" for n in range(count)]
    assert all(state[f"state_{n}"].shape == (3, 8) and not state[f"state_{n}"].numpy().any() for n in range(count))
    assert state["tail"].shape == (3, 0) and not state["begun"]


def test_the_program_of_the_page_says_what_the_whole_recording_says(tmp_path, monkeypatch, capsys):
    (program,) = re.findall(r"^```python\n(# live\.py\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    loaded, random = made(), np.random.default_rng(1)
    for weight in loaded.model.trainable_variables:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    monkeypatch.chdir(tmp_path)
    soundfile.write("said.wav", np.asarray(next(examples("test", 1, rate=8000))["audio"]), 8000)
    sound = read("said.wav", 8000)[None]

    def whole():
        with portable():
            outputs = loaded.model({"audio": sound, "samples": np.array([sound.shape[1]], np.int32)}, training=False)
        return outputs["logits"].numpy()[0, : int(outputs["steps"][0])]

    head = loaded.model.get_layer("recogniser").get_layer("logits")
    head.bias.assign(head.bias - whole().mean(0))  # so that every symbol is heard sometimes
    kept = [number for number, _ in itertools.groupby(whole().argmax(-1)) if number]
    monkeypatch.setattr("pipelines.runs.load.load_run", {"runs/live": loaded}.__getitem__)
    exec(compile(program, "live.py", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == loaded.preprocessor.alphabet.decode(kept) and len(kept) > 5
    assert len(said) > 5 and all(after.startswith(before) for before, after in itertools.pairwise(said))
