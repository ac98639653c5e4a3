"""Configuration: typed, validated, frozen; defaults <- preset <- file <- command line.

A task's ``Config`` is a flat pydantic dataclass that begins with the fields of ``TrainingConfig``. This module
and every ``*_config.py`` import no keras.
"""

import dataclasses
import difflib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
C = TypeVar("C")
Preset = Callable[[], Mapping[str, object]]
"""Settings with a name; its docstring says with which command, for which data, with what score and in what time."""
SAMPLING = ("sampling_temperature", "sampling_top_k", "sampling_top_p", "sampling_seed")
SEARCH = ("beam_width", "length_penalty", "length_ratio", "min_tokens", "no_repeat_ngram", *SAMPLING)
LANGUAGE = ("lm", "lm_order", "lm_units", "lm_weight", "lm_bonus")
DECODING = (*SEARCH, *LANGUAGE, "encoder_weights")
"""Settings that change nothing that was trained: how answers are searched, with which language model, and where the
file of a frozen network's weights lies by now. They may differ at each decoding."""
NETWORK = (
    *("embedding_size", "embedding_start", "embeddings", "share_embeddings", "tied", "cell", "units", "layers"),
    *("bidirectional", "layer_norm", "decoder_units", "decoder_layers", "grid_units", "filters", "pooling"),
    *("attention", "context_recurrence", "context_gate", "lexical"),
)
REWARD = ("reward_epochs", "reward_samples", "reward_kept", "reward_temperature", "reward_share", "reward_rate")
LEARNING = ("dropout", "label_smoothing", "adversarial", "best_by", "attention_penalty", "word_detection", *REWARD)
AUGMENTATION = (
    *("word_dropout", "segmentation_dropout", "speed", "gain_db", "noise", "snr_db"),
    *("band_masks", "band_width", "time_masks", "time_width"),
)
NOT_ENCODED = (*NETWORK, *LEARNING, *AUGMENTATION, *SEARCH, *LANGUAGE)
"""Settings on which the encoded examples do not depend, in any task that has them: another value trains on those that
are kept already. What is not named here may shape them."""
FILES = {"lm": ("train",), "encoder_weights": ("none",)}
"""Those that name a file, and the words that stand for none."""


def _split_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]
"""A list of names; on the command line separated by commas."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class TrainingConfig:
    """What every task can set about its training. Times are in seconds unless the name says otherwise."""

    seed: int = Field(0, ge=0, description="seed of initial weights, epoch order and dropout")
    epochs: int = Field(10, ge=1, description="passes over the training data")
    batch_size: int = Field(32, ge=1, description="examples a step")
    batch_tokens: int = Field(
        0, ge=0, description="steps (pieces) a batch with padding, instead of --batch-size; 0 counts examples"
    )
    sorted_batches: int = Field(
        50, ge=1, description="batches whose examples are sorted by length together, to pad less; 1 mixes all lengths"
    )
    width_growth: float = Field(
        1.25,
        ge=1.05,
        le=4,
        description="ratio of neighbouring padded widths: a larger one compiles less, and pads more",
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
        0.1, gt=0, lt=1, description="share cut from train where the data has no validation split"
    )


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
        ValueError: an unknown preset or field (with the nearest name), a value of the wrong kind or range, or two that
            contradict each other, or a named file that is not there.
    """
    if preset != "default" and preset not in presets:
        known = ["default", *presets]
        raise ValueError(f"--preset {preset}: expected one of {', '.join(known)}{nearest(preset, known)}")
    values = dict(base or {}) | (dict(presets[preset]()) if preset in presets else {})
    if file is not None:
        values |= read_file(config_class, file)
    given = dict(overrides or {})
    vectors = str(given.get("embeddings", ""))
    if vectors and not Path(vectors).expanduser().is_file():
        raise ValueError(f"--embeddings {vectors}: there is no such file")
    return _consistent(_validated(config_class, values | given, "command line" if given else f"preset {preset}"))


def read_file(config_class: type, file: Path) -> dict[str, Any]:
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
    _validated(config_class, values, f"--config {file}")
    return values


def from_dict(config_class: type[C], values: Mapping[str, Any], origin: str) -> C:
    """Validate a mapping such as the one ``to_dict`` makes; ``origin`` names it in errors.

    Raises:
        ValueError: an unknown field, a value of the wrong kind or range, or two that contradict each other.
    """
    return _consistent(_validated(config_class, values, origin))


def to_dict(config: Any) -> dict[str, Any]:
    """Return the configuration as JSON types: ``from_dict(type(c), to_dict(c), "") == c``."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Say in words which settings differ, e.g. ``epochs: 3 in the run, 5 now``; empty when none does."""
    missing = "nothing"
    names = [name for name in {**old, **new} if old.get(name, missing) != new.get(name, missing)]
    return "; ".join(f"{n}: {old.get(n, missing)!r} in the run, {new.get(n, missing)!r} now" for n in names)


def placeless(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a begun run without where files lie, and without what was read at its beginning only."""
    places = {name: "a file" for name, words in FILES.items() if settings.get(name) and settings[name] not in words}
    return {name: value for name, value in {**settings, **places}.items() if name != "embeddings"}


def nearest(name: str, known: list[str]) -> str:
    """Return `` (did you mean X?)`` for a mistyped ``name``, or an empty string."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _validated(config_class: type[C], values: Mapping[str, Any], origin: str) -> C:
    known = {field.name: field.type for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ValueError(f"{origin}: there is no setting {name!r}{nearest(name, list(known))}")
    try:
        return TypeAdapter(config_class).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        message = first["msg"][:1].lower() + first["msg"][1:]
        flag = "--" + name.replace("_", "-") if name in known else origin
        flag = f"{origin}: {name}" if name in known and origin.startswith("--config") else flag
        choices = get_args(known.get(name)) if first["type"] == "literal_error" else ()
        hint = nearest(str(first["input"]), list(choices))
        raise ValueError(f"{flag}: {message}, came {first['input']!r}{hint}") from None


def _consistent(config: C) -> C:
    """Refuse settings that contradict each other."""
    least, most = getattr(config, "min_tokens", 0), getattr(config, "max_tokens", 1)
    if least >= most:  # the end of an answer needs a place too
        raise ValueError(f"--min-tokens {least}: expected fewer than --max-tokens, which is {most}")
    rewarded, epochs = getattr(config, "reward_epochs", 0), getattr(config, "epochs", 1)
    if rewarded > epochs:
        raise ValueError(f"--reward-epochs {rewarded}: there are {epochs} epochs in all")
    kept, samples = getattr(config, "reward_kept", 0), getattr(config, "reward_samples", 0)
    if kept == 1 or kept > samples:
        raise ValueError(f"--reward-kept {kept}: expected 0, or 2 to --reward-samples, which is {samples}")
    return config
