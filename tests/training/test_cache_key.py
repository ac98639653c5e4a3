"""What makes a training encode its examples anew, and what lets it take them out of the cache."""

from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import pytest

from pipelines import TASKS, load_settings, load_task
from pipelines.config import Stage, settings_of_stage, stages
from pipelines.data.source import Source
from pipelines.runs.folder import Run
from pipelines.runs.load import Loaded
from pipelines.tasks.sentiment.config import Config
from pipelines.tasks.sentiment.data import Preprocessor
from pipelines.tasks.sentiment.task import Sentiment
from pipelines.training.train import _cache_key


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Data of one file, beside the preprocessor's files of a run."""
    for name in (*Preprocessor.FILES, "data.csv"):
        (tmp_path / name).write_text(name)
    return Source("here", {}, "1", files=lambda: [tmp_path / "data.csv"])


def key(folder: Path, source: Source, **settings: Any) -> str:
    return _cache_key(Loaded(Sentiment(Config(**settings), None), None, Run(folder), {}), source)


def test_how_it_is_trained_and_where_the_data_lies_changes_nothing(source: Source, tmp_path: Path) -> None:
    before = key(tmp_path, source)
    assert key(tmp_path, source) == before
    assert key(tmp_path, source, epochs=99, batch_size=7, learning_rate=1.0, seed=3, bucket_growth=2.0) == before
    assert key(tmp_path, source, units=7, pooling="mean", dropout=0.9, embedding_init="neighbours") == before
    assert key(tmp_path, replace(source, spec="there")) == before


@pytest.mark.parametrize("settings", [{"max_tokens": 7}, {"lowercase": False}, {"validation_share": 0.2}])
def test_a_setting_that_shapes_the_examples_asks_for_others(
    settings: dict[str, Any], source: Source, tmp_path: Path
) -> None:
    assert key(tmp_path, source, **settings) != key(tmp_path, source)


def test_other_data_asks_for_others(source: Source, tmp_path: Path) -> None:
    assert key(tmp_path, replace(source, fingerprint="2")) != key(tmp_path, source)


@pytest.mark.parametrize("name", [*Preprocessor.FILES, "data.csv"])
def test_a_changed_vocabulary_or_file_of_the_data_asks_for_others(name: str, source: Source, tmp_path: Path) -> None:
    before = key(tmp_path, source)
    (tmp_path / name).write_text("another content")
    assert key(tmp_path, source) != before


class Watched:
    """Settings that remember which of them were read."""

    def __init__(self, config: Any) -> None:
        self.__dict__.update(config=config, read=set())

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self.config, name)


@pytest.mark.parametrize("name", list(TASKS))
def test_encoding_reads_no_setting_that_its_name_leaves_out(name: str) -> None:
    task = load_task(name)
    watched = Watched(task.config_class())
    source = task.open_source("synthetic", watched)
    examples = list(islice(source.read("train"), 4))
    ready = task(watched, task.fit(watched, examples))
    watched.read.clear()
    assert len(ready.encode(examples, "train")) == 4
    assert watched.read, "the settings were asked for nothing: the test would see nothing"
    settings = {field.name for field in fields(task.config_class)}
    assert watched.read & settings <= set(settings_of_stage(task.config_class, "encoding"))


@pytest.mark.parametrize("name", list(TASKS))
def test_every_setting_affects_a_known_stage(name: str) -> None:
    known = set(get_args(Stage))
    assert {setting: stage for setting, stage in stages(load_settings(name).Config).items() if stage not in known} == {}
