"""A language model from the training data of a run: behind ``pipelines lm RUN``."""

from collections.abc import Iterator
from pathlib import Path

from pipelines import config as configuration
from pipelines import load_settings, load_task
from pipelines.data.catalogue import located
from pipelines.delivery.ngram import characters, estimate, words, write
from pipelines.training.runs import CONFIG, open_run


def sentences(run: str | Path) -> Iterator[str]:
    """Stream the texts of a run's training split as it learned them.

    Raises:
        ValueError: no run, one of a task without sentences, or its data is not there any more.
    """
    folder, record = open_run(run)
    task = load_task(record["task"])
    if not hasattr(task, "sentence"):
        raise ValueError(f"{run}: is a {record['task']} run; language models are made for speech")
    settings = load_settings(record["task"])
    config = configuration.from_dict(settings.Config, record["config"], str(folder.path / CONFIG))
    source = task.open_source(located(record["data"]["spec"]), config)
    return (task.sentence(config, example) for example in source.read("train", lambda problem: None))


def build(run: str | Path, out: str | Path, order: int = 3, spelled: bool = False) -> Path:
    """Estimate a model of words (or characters) and write it as an ARPA file.

    Raises:
        ValueError: see ``sentences``, or there is nothing to learn from.
        RuntimeError: the file cannot be written.
    """
    cut = characters if spelled else words
    return write(estimate((cut(text) for text in sentences(run) if text), order), out)
