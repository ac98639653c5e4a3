"""Settings declare what they affect; earlier names go on working."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field
from pydantic.dataclasses import dataclass

from pipelines import TASKS, load_settings
from pipelines.cli.arguments import read_settings
from pipelines.config import (
    ALIASES,
    STRICT,
    Stage,
    TrainingConfig,
    from_dict,
    placeless,
    read_file,
    renamed,
    settings_of_stage,
    stages,
)

every = pytest.mark.parametrize("name", list(TASKS))


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Network(TrainingConfig):
    """A group."""

    AFFECTS: ClassVar[Stage] = "network"
    units: int = Field(1, description="width")
    filters: int = Field(1, description="channels")


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Own(Network):
    """A task's settings."""

    noise: float = Field(0.0, description="named like an augmentation of speech, and part of the encoding here")
    filters: int = Field(2, description="another default")
    width: int = Field(1, description="stated", json_schema_extra={"affects": "decoding"})


def test_a_setting_affects_what_it_or_its_group_says_and_else_the_encoding() -> None:
    found = stages(Own)
    assert (found["units"], found["filters"], found["width"], found["seed"]) == (
        *("network", "network", "decoding"),
        "training",
    )
    assert found["noise"] == "encoding", "what declares nothing must never leave a stale example in the cache"


@every
def test_only_decoding_settings_differ_at_each_decoding(name: str) -> None:
    config = load_settings(name).Config
    allowed = settings_of_stage(config, "decoding")
    assert not set(allowed) & {"units", "epochs", "vocabulary_size", "seed", "max_tokens", "rate"}
    assert ("beam_width" in allowed) == (name != "sentiment")


@every
def test_the_simplest_decoding_differs_in_nothing_but_decoding(name: str) -> None:
    config = load_settings(name).Config
    full = from_dict(config, {}, "defaults")
    simple = full.simplest()
    changed = {n for n in stages(config) if getattr(simple, n) != getattr(full, n)}
    assert changed <= set(settings_of_stage(config, "decoding"))
    assert getattr(simple, "beam_width", 1) == 1


@every
def test_earlier_names_are_understood_everywhere(name: str, tmp_path: Path) -> None:
    config = load_settings(name).Config
    known = set(stages(config))
    for old, new in ALIASES.items():
        if new not in known or old in known:
            continue
        value = getattr(from_dict(config, {}, "defaults"), new)
        assert from_dict(config, {old: value}, "run") == from_dict(config, {new: value}, "run")
        file = tmp_path / "settings.json"
        file.write_text(json.dumps({old: value}))
        assert read_file(config, file) == {new: value}
        assert read_settings(name, [f"--{old.replace('_', '-')}", str(value)], "train") == {new: str(value)}
        assert placeless(config, {old: value}) == {new: value}


def test_every_present_name_is_a_setting_of_some_task_and_no_old_one_is() -> None:
    known = set().union(*(stages(load_settings(name).Config) for name in TASKS))
    assert set(ALIASES.values()) <= known and not set(ALIASES) & known
    assert renamed(Own, {"noise": 1.0, "best_by": "x"}) == {"noise": 1.0, "monitor": "x"}
