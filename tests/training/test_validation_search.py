"""How answers are searched while a training compares its epochs, and once whole answers are rewarded."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.runs.folder import Run
from pipelines.runs.load import Loaded
from pipelines.task import Phase
from pipelines.tasks.captioning import config as captioning_config
from pipelines.tasks.sentiment import config as sentiment_config
from pipelines.tasks.speech import config as speech_config
from pipelines.tasks.translation import config as translation_config
from pipelines.training import train

DRAWN = {"beam_width": 7, "sampling_temperature": 0.5}
SEARCHED = {"beam_width": 1, "sampling_temperature": 0.0}


class Decoder:
    """Stands for `evaluation.Decoder`: its answers are the settings it searches with, and its passes."""

    def __init__(self, loaded: Loaded, passes: int) -> None:
        self.settings = loaded.config, passes

    def __call__(self, encoded: Any) -> list[Any]:
        return [self.settings]


class Asking:
    """Stands for a task: its score is how it was asked to search, and its last epochs are those of the settings."""

    metric, higher_is_better = "settings", True
    augmentation = initialise = loss = plan = staticmethod(lambda *_: None)

    def __init__(self, config: Any, preprocessor: None = None) -> None:
        self.config, self.preprocessor = config, preprocessor

    def scorer(self, predictions: list[Any]) -> Any:
        return lambda numbers: {"settings": predictions[numbers[0]]}

    def last_phase(self, model: None, training: Any) -> Phase | None:
        epochs = getattr(self.config, "scst_epochs", 0)
        return Phase(epochs, self.loss, self.augmentation, 1.0) if epochs else None

    def mean_weight(self, training: Any) -> float:
        return 1.0

    def carried(self, model: None, batch_size: int) -> list[Any]:
        return []


def asked(config: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[bool, Any]:
    """Begin a training; return with which settings the simplest search (False) and the one that answers (True) go."""
    found: dict[bool, Any] = {}

    def trainer(model: Any, loss: Any, validate: Any, *rest: Any) -> Any:
        found.update({thorough: validate(thorough)["settings"] for thorough in (False, True)})
        raise RuntimeError("seen")

    for name, stub in (("Decoder", Decoder), ("Trainer", trainer)):
        monkeypatch.setattr(train, name, stub)
    for name in ("_training_examples", "encode_split"):
        monkeypatch.setattr(train, name, lambda *_, **__: [])
    with pytest.raises(RuntimeError, match="seen"):
        train._fit(Loaded(Asking(config), None, Run(folder), {}), SimpleNamespace(cuts={}, spec="synthetic"), None)
    return found


@pytest.mark.parametrize(
    ("config", "simplest", "passes"),
    [
        (translation_config.Config(epochs=9, scst_epochs=2, **DRAWN), SEARCHED, (7, 3)),
        (captioning_config.Config(epochs=9, **DRAWN), SEARCHED, (9, 1)),
        (speech_config.Config(epochs=4, beam_width=8, lm="train"), {"beam_width": 1, "lm": ""}, (4, 1)),
        (sentiment_config.Config(epochs=4), {}, (4, 1)),
    ],
    ids=lambda value: type(value).__module__.rpartition(".")[2],
)
def test_epochs_are_compared_by_the_simplest_search_and_rewarded_ones_by_that_which_answers(
    config: Any, simplest: dict[str, Any], passes: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked(config, tmp_path, monkeypatch)
    assert found == {False: (replace(config, **simplest), passes[0]), True: (config, passes[1])}
