"""Loading of a trained run: task, network and folder, with every file verified."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from pipelines import config as configuration
from pipelines.config import TrainingConfig
from pipelines.data.catalogue import located
from pipelines.data.source import Source
from pipelines.runs.folder import CONFIG, WEIGHTS, Run, open_run
from pipelines.task import Preprocessor, Task
from pipelines.tasks import load_settings, load_task


@dataclass(frozen=True)
class Loaded:
    """A run in memory.

    Attributes:
        task: with its configuration and preprocessor.
        model: the network with its weights.
        run: the folder.
        data: the run's data record: ``spec``, ``fingerprint``, ``limit``.
    """

    task: Task
    model: keras.Model
    run: Run
    data: dict[str, Any]

    @property
    def config(self) -> TrainingConfig:
        """The settings."""
        return self.task.config

    @property
    def preprocessor(self) -> Preprocessor:
        """The preprocessor fitted on the training split."""
        return self.task.preprocessor

    def open_source(self, spec: str | None = None) -> Source:
        """Open ``spec``, or the training data of the run.

        Raises:
            ValueError: the data does not exist.
        """
        try:
            return self.task.open_source(located(self.data["spec"] if spec is None else spec), self.config)
        except ValueError as error:
            hint = " (the run was trained on it; name the data with --data)" if spec is None else ""
            raise ValueError(f"{error}{hint}") from None


def load_run(path: str | Path, **decoding: Any) -> Loaded:
    """Load a run folder; every file is verified against its recorded SHA-256 first.

    Args:
        path: the folder.
        **decoding: decoding settings that override the run's own.

    Raises:
        ValueError: not a decoding setting, not a run, a changed file, or a training without a finished epoch.
    """
    run, record = open_run(path)
    config_class = load_settings(record["task"]).Config
    decoding = configuration.renamed(config_class, decoding)
    allowed = configuration.settings_of_stage(config_class, "decoding")
    fixed = [name for name in decoding if name not in allowed]
    if fixed:
        raise ValueError(f"{fixed[0]}: was fixed when {run.path} was trained; only decoding can be changed")
    own = configuration.renamed(config_class, record["config"])
    config = configuration.from_dict(config_class, own | decoding, str(run.path / CONFIG))
    if not run.has(WEIGHTS):
        raise ValueError(f"{run.path}: has no {WEIGHTS}: its training has not finished an epoch yet")
    weights = run.verified(WEIGHTS)
    task_class = load_task(record["task"])
    for name in task_class.preprocessor_class.FILES:
        run.verified(name)
    keras.config.set_dtype_policy(config.precision)
    task = task_class(config, task_class.load(config, run.path))
    model = task.network()
    try:
        model.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:400]
        raise ValueError(f"{weights}: does not fit the model of {run.path / CONFIG}: {reason}") from None
    return Loaded(task, model, run, record["data"])
