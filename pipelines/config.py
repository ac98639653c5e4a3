"""Configuration: typed, validated, frozen; defaults <- preset <- file <- command line.

A task's ``Config`` is a flat pydantic dataclass, put together from groups of settings. Each group declares what its
settings affect, so that no other module has to know a setting by name. This module and every ``config.py`` of a task
import no Keras.
"""

import dataclasses
import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

VERSION = "0.1.0"
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
Preset = Callable[[], Mapping[str, object]]
"""Named settings. The docstring states the command, the data, the expected score and the time."""
Stage = Literal["encoding", "network", "training", "decoding"]
"""What a setting affects: the encoded examples, the network, the training alone, or decoding alone.

Cached examples are keyed by the settings of stage ``encoding``; settings of stage ``decoding`` may differ at each
evaluation or prediction.
"""
ALIASES = {
    "bands": "mel_bins",
    "best_by": "monitor",
    "embedding_start": "embedding_init",
    "floor": "log_floor",
    "high": "fmax",
    "keep": "truncate",
    "lm_bonus": "lm_insertion_bonus",
    "longest": "max_seconds",
    "low": "fmin",
    "markup": "strip_html",
    "mirrored": "random_flip",
    "reward_epochs": "scst_epochs",
    "reward_kept": "scst_kept",
    "reward_rate": "scst_rate",
    "reward_samples": "scst_samples",
    "reward_share": "scst_share",
    "reward_temperature": "scst_temperature",
    "shortest": "min_seconds",
    "sorted_batches": "bucket_window",
    "width_growth": "bucket_growth",
}
"""Earlier names of settings, accepted in the runs, files and commands that still use them."""


def _split_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]
"""A list of names; separated by commas on the command line."""


def file_setting(description: str, words: tuple[str, ...] = (), *, initial: bool = False) -> Any:
    """Declare a setting that names a file; empty by default.

    Args:
        description: for the help.
        words: values that are no file names.
        initial: the file is read when a training begins and not needed afterwards.
    """
    return Field("", description=description, json_schema_extra={"words": list(words), "initial": initial})


@dataclass(frozen=True, config=STRICT, kw_only=True)
class TrainingConfig:
    """Settings of every task. Times are in seconds unless the name says otherwise."""

    AFFECTS: ClassVar[Stage] = "training"

    seed: int = Field(0, ge=0, description="seed of initial weights, epoch order and dropout")
    epochs: int = Field(10, ge=1, description="passes over the training data")
    batch_size: int = Field(32, ge=1, description="examples a step")
    batch_tokens: int = Field(
        0, ge=0, description="steps (pieces) a batch with padding, instead of --batch-size; 0 counts examples"
    )
    bucket_window: int = Field(
        50, ge=1, description="batches whose examples are sorted by length together, to pad less; 1 sorts none"
    )
    bucket_growth: float = Field(
        1.25,
        ge=1.05,
        le=4,
        description="ratio of neighbouring padded widths: a larger one compiles less and pads more",
    )
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay of the kernels")
    warmup: float = Field(0.0, ge=0, le=1, description="share of all steps in which the rate rises from 0")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="how the rate falls to 0 after the warm-up"
    )
    clip_norm: float = Field(1.0, ge=0, description="largest global gradient norm; 0 never clips")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the averaged weights that are kept; 0 is off")
    patience: int = Field(0, ge=0, description="epochs without improvement before stopping; 0 never stops early")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="arithmetic of the layers; weights stay float32"
    )
    deterministic: bool = Field(False, description="bitwise repeatable operations (slower on a GPU)")
    checkpoint_minutes: float = Field(5.0, ge=0, description="longest time between two resumable states")
    validation_share: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="share cut from train where the data has no validation split",
        json_schema_extra={"affects": "encoding"},
    )

    def check(self) -> None:
        """Check settings against each other; groups extend it.

        Raises:
            ValueError: two settings contradict each other; names them.
        """

    def monitored(self, metric: str) -> str:
        """Return the validation score by which epochs are compared: the task's main ``metric``, or the one chosen."""
        return metric

    def simplest(self) -> Self:
        """Return the settings with the cheapest decoding, which compares epochs."""
        return self


C = TypeVar("C", bound=TrainingConfig)


def stages(config_class: type[TrainingConfig]) -> dict[str, Stage]:
    """Return what each setting affects: as the field says, else as its group says, else ``encoding``.

    A setting that declares nothing counts as one of the encoding, so that a cached example can never be stale.
    """
    return {field.name: _stage(config_class, field) for field in dataclasses.fields(config_class)}


def _stage(config_class: type, field: "dataclasses.Field[Any]") -> Stage:
    stated = _extra(field).get("affects")
    if stated:
        return stated
    groups = (one for one in config_class.__mro__ if field.name in vars(one).get("__annotations__", {}))
    declared = (vars(one)["AFFECTS"] for one in groups if "AFFECTS" in vars(one))
    return next(declared, "encoding")


def _extra(field: "dataclasses.Field[Any]") -> dict[str, Any]:
    info = field.default
    extra = info.json_schema_extra if isinstance(info, FieldInfo) else None
    return extra if isinstance(extra, dict) else {}


def settings_of_stage(config_class: type[TrainingConfig], stage: Stage) -> list[str]:
    """Name the settings that affect ``stage`` alone, in order."""
    return [name for name, affected in stages(config_class).items() if affected == stage]


def file_settings(config_class: type[TrainingConfig]) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Give the settings that name files: each with the words that are no file, and whether it is read only at first."""
    for field in dataclasses.fields(config_class):
        extra = _extra(field)
        if "words" in extra:
            yield field.name, tuple(extra["words"]), bool(extra["initial"])


def need_files(config_class: type[TrainingConfig], given: Mapping[str, Any]) -> None:
    """Check that the files named by ``given`` settings exist.

    Raises:
        ValueError: one does not; names the option and the file.
    """
    for name, words, _ in file_settings(config_class):
        value = str(given.get(name, ""))
        if value and value not in words and not Path(value).expanduser().is_file():
            raise ValueError(f"{option(name)} {value}: there is no such file")


def option(name: str) -> str:
    """Return the command-line option of a setting: ``beam_width`` -> ``--beam-width``."""
    return "--" + name.replace("_", "-")


def renamed(config_class: type[TrainingConfig], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings under their present names, see ``ALIASES``."""
    known = {field.name for field in dataclasses.fields(config_class)}
    return {name if name in known else ALIASES.get(name, name): value for name, value in values.items()}


def resolve(
    config_class: type[C],
    presets: Mapping[str, Preset],
    preset: str = "default",
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None,
) -> C:
    """Build a configuration: the class's defaults, then ``base``, the preset, the file, and ``overrides``.

    Raises:
        ValueError: an unknown preset or field (with the nearest name), a value of the wrong kind or range, two that
            contradict each other, or a named file that is not there.
    """
    if preset != "default" and preset not in presets:
        known = ["default", *presets]
        raise ValueError(f"--preset {preset}: expected one of {', '.join(known)}{nearest(preset, known)}")
    values = renamed(config_class, base or {}) | (dict(presets[preset]()) if preset in presets else {})
    if file is not None:
        values |= read_file(config_class, file)
    given = renamed(config_class, overrides or {})
    initial = {name for name, _, initial in file_settings(config_class) if initial}
    need_files(config_class, {name: value for name, value in given.items() if name in initial})
    return _checked(_validated(config_class, values | given, "command line" if given else f"preset {preset}"))


def read_file(config_class: type[TrainingConfig], file: Path) -> dict[str, Any]:
    """Read a JSON file of settings; unknown names are refused.

    Raises:
        ValueError: the file cannot be read, is no JSON object, or names a field that does not exist.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"--config {file}: cannot be read as JSON: {error}") from None
    if isinstance(values, dict):
        values = values.get("config", values)  # a run's own config.json is accepted as it is
    if not isinstance(values, dict):
        raise ValueError(f"--config {file}: expected a JSON object of settings, came {type(values).__name__}")
    values = renamed(config_class, values)
    _validated(config_class, values, f"--config {file}")
    return values


def from_dict(config_class: type[C], values: Mapping[str, Any], origin: str) -> C:
    """Validate a mapping such as the one ``to_dict`` makes; ``origin`` names it in errors.

    Raises:
        ValueError: an unknown field, a value of the wrong kind or range, or two that contradict each other.
    """
    return _checked(_validated(config_class, renamed(config_class, values), origin))


def to_dict(config: TrainingConfig) -> dict[str, Any]:
    """Return the configuration as JSON types: ``from_dict(type(c), to_dict(c), "") == c``."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Say in words which settings differ, e.g. ``epochs: 3 in the run, 5 now``; empty when none does."""
    missing = "nothing"
    names = [name for name in {**old, **new} if old.get(name, missing) != new.get(name, missing)]
    return "; ".join(f"{n}: {old.get(n, missing)!r} in the run, {new.get(n, missing)!r} now" for n in names)


def placeless(config_class: type[TrainingConfig], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a begun run without where files lie, and without files that were read at first only."""
    values = renamed(config_class, settings)
    for name, words, initial in file_settings(config_class):
        if initial:
            values.pop(name, None)
        elif values.get(name) and values[name] not in words:
            values[name] = "a file"
    return values


def nearest(name: str, known: list[str]) -> str:
    """Return `` (did you mean X?)`` for a mistyped ``name``, or an empty string."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _validated(config_class: type[C], values: Mapping[str, Any], origin: str) -> C:
    known = {field.name: field.type for field in dataclasses.fields(config_class)}
    for name in values:
        if name not in known:
            raise ValueError(f"{origin}: there is no setting {name!r}{nearest(name, list(known))}")
    try:
        return TypeAdapter(config_class).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        message = first["msg"][:1].lower() + first["msg"][1:]
        flag = option(name) if name in known else origin
        flag = f"{origin}: {name}" if name in known and origin.startswith("--config") else flag
        choices = get_args(known.get(name)) if first["type"] == "literal_error" else ()
        hint = nearest(str(first["input"]), list(choices))
        raise ValueError(f"{flag}: {message}, came {first['input']!r}{hint}") from None


def _checked(config: C) -> C:
    config.check()
    return config
