"""The command ``pipelines lm``: an n-gram model from a text file or the training transcripts of a run."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from pipelines import config as configuration
from pipelines.data.catalogue import located
from pipelines.log import import_tensorflow
from pipelines.runs.folder import CONFIG, open_run
from pipelines.search import ngram
from pipelines.tasks import load_settings, load_task


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``pipelines lm``."""
    command.add_argument("text", help="text file, also .gz; or a speech run, whose training transcripts are taken")
    command.add_argument("--order", type=int, default=3, help="longest n-gram (default: 3)")
    command.add_argument("--characters", action="store_true", help="of characters instead of words")
    command.add_argument("--out", required=True, metavar="FILE.arpa", help="ARPA file to write, also .gz")


def run(arguments: argparse.Namespace) -> int:
    """Run ``pipelines lm``: build a model and print its path."""
    wanted = arguments.text, arguments.out, arguments.order, arguments.characters
    if Path(arguments.text).expanduser().is_dir():
        import_tensorflow()
        print(build(*wanted))
    else:
        print(ngram.build(*wanted))
    return 0


def sentences(run: str | Path) -> Iterator[str]:
    """Yield the preprocessed texts of a run's training split.

    Raises:
        ValueError: not a run, a task without sentences, or missing data.
    """
    folder, record = open_run(run)
    task = load_task(record["task"])
    settings = load_settings(record["task"])
    config = configuration.from_dict(settings.Config, record["config"], str(folder.path / CONFIG))
    source = task.open_source(located(record["data"]["spec"]), config)
    return (task.sentence(config, example) for example in source.read("train", lambda problem: None))


def build(run: str | Path, out: str | Path, order: int = 3, spelled: bool = False) -> Path:
    """Estimate a model of words (or characters) and write it as an ARPA file.

    Raises:
        ValueError: see ``sentences``, or there is no text.
        RuntimeError: the file cannot be written.
    """
    cut = ngram.characters if spelled else ngram.words
    return ngram.write(ngram.estimate((cut(text) for text in sentences(run) if text), order), out)
