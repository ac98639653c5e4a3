"""Command-line arguments that depend on a task: its settings are options."""

import argparse
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from pipelines.config import (
    ALIASES,
    TrainingConfig,
    from_dict,
    nearest,
    need_files,
    option,
    renamed,
    settings_of_stage,
)
from pipelines.tasks import load_settings


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one sentence: raised as ``ValueError``, printed by ``main`` with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise ValueError(f"{message} (see: {self.prog} --help)")


class TaskHelp(argparse.Action):
    """``--help`` of a command that takes a task: after the usage come presets and settings of the task."""

    def __init__(self, option_strings: list[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="show this help")

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Print and leave; an unknown task raises ValueError."""
        task = getattr(namespace, "task", None)
        settings = f"\n{task}:\n{described(task)}\n" if task else ""
        parser.print_help()
        print(settings, end="")
        parser.exit()


def described(task: str) -> str:
    """Lay out the data formats, presets and settings of a task, one a line."""
    settings = load_settings(task)
    lines = [f"  data: {settings.FORMATS}"]
    for name, preset in settings.PRESETS.items():
        lines.append(f"  --preset {name}: " + (preset.__doc__ or "").partition("\n")[0])
        lines.append("    " + ", ".join(f"{key} {value}" for key, value in preset().items()))
    for field in dataclasses.fields(settings.Config):
        info: Any = field.default
        shown = f"{option(field.name)} {getattr(info, 'default', info)!r}"
        choices = f" ({', '.join(get_args(field.type))})" if get_origin(field.type) is Literal else ""
        lines.append(f"    {shown:<34} {getattr(info, 'description', '') or ''}{choices}")
    return "\n".join(lines)


def read_settings(task: str, rest: list[str], prog: str) -> dict[str, str]:
    """Read ``--FIELD VALUE`` pairs of a task's settings from what the parser left over.

    Raises:
        ValueError: an option that is no setting of the task (with the nearest name), or one without a value.
    """
    parser = Parser(prog=f"{prog} {task}", allow_abbrev=False, add_help=False)
    names = [field.name for field in dataclasses.fields(load_settings(task).Config)]
    add_settings(parser, names)
    known, unknown = parser.parse_known_args(rest)
    if unknown:
        raise unknown_argument(parser.prog, unknown[0], [*names, "preset", "data", "run", "config", "limit"])
    return dict(vars(known))


def add_settings(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Let ``--NAME VALUE`` be an option for each of ``names``, without a default and without a line in the help."""
    names = list(names)
    earlier = {new: old for old, new in ALIASES.items() if old not in names}
    for name in names:
        options = [option(name)] + ([option(earlier[name])] if name in earlier else [])
        parser.add_argument(*options, dest=name, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def decoding_names(run: str) -> list[str]:
    """Name the settings of a run that may differ at each decoding; of what is no run there are none."""
    return settings_of_stage(_recorded(run)[0], "decoding")


def read_decoding(run: str, given: dict[str, str], prog: str) -> dict[str, str]:
    """Check settings of a run that may differ at each decoding, such as ``--beam-width 1``.

    Args:
        run: the run folder.
        given: the settings by name, as they were typed.
        prog: the command, for errors.

    Raises:
        ValueError: one of ``given`` is no setting of the run's task, has a wrong value or contradicts the run's own
            settings, or is a file that is not there.
    """
    names = decoding_names(run)
    for name in given:
        if name not in names:
            raise unknown_argument(prog, option(name), names)
    if given:
        config, own = _recorded(run)
        from_dict(config, renamed(config, own) | given, str(Path(run) / "config.json"))
    need_files(_recorded(run)[0], given)
    return given


def _recorded(run: str) -> tuple[type[TrainingConfig], dict[str, Any]]:
    """Return the configuration class of a run's task and its own settings; what is no run is left to who opens it."""
    try:
        record = json.loads((Path(run).expanduser() / "config.json").read_text("utf-8"))
        return load_settings(record["task"]).Config, dict(record["config"])
    except (OSError, ValueError, KeyError, TypeError):
        return TrainingConfig, {}


def unknown_argument(prog: str, argument: str, names: Iterable[str]) -> ValueError:
    """Return the error of an argument that nothing takes, with the option of ``names`` that is nearest to it."""
    hint = nearest(argument.partition("=")[0], [option(name) for name in names])
    return ValueError(f"{prog}: unknown argument {argument}{hint}")
