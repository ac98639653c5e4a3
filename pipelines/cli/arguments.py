"""Command-line options for the settings of a task."""

import argparse
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from pipelines.config import ALIASES, TrainingConfig, from_dict, nearest, need_files, option, renamed, settings_of_stage
from pipelines.tasks import load_settings


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises ``ValueError`` in one sentence; ``main`` prints it with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Raise ValueError instead of exiting."""
        raise ValueError(f"{message} (see: {self.prog} --help)")


class TaskHelp(argparse.Action):
    """``--help`` of a task command: the usage, then presets and settings of the task."""

    def __init__(self, option_strings: list[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="show this help")

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Print and exit; an unknown task raises ValueError."""
        task = getattr(namespace, "task", None)
        settings = f"\n{task}:\n{described(task)}\n" if task else ""
        parser.print_help()
        print(settings, end="")
        parser.exit()


def described(task: str) -> str:
    """Format the data formats, presets and settings of a task, one per line."""
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
    """Parse ``--FIELD VALUE`` pairs of a task's settings.

    Raises:
        ValueError: an option is not a setting of the task (with the nearest name), or has no value.
    """
    parser = Parser(prog=f"{prog} {task}", allow_abbrev=False, add_help=False)
    names = [field.name for field in dataclasses.fields(load_settings(task).Config)]
    add_settings(parser, names)
    known, unknown = parser.parse_known_args(rest)
    if unknown:
        raise unknown_argument(parser.prog, unknown[0], [*names, "preset", "data", "run", "config", "limit"])
    return dict(vars(known))


def add_settings(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Add an option ``--NAME VALUE`` for each of ``names``, without a default and hidden in the help."""
    names = list(names)
    earlier = {new: old for old, new in ALIASES.items() if old not in names}
    for name in names:
        options = [option(name)] + ([option(earlier[name])] if name in earlier else [])
        parser.add_argument(*options, dest=name, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def decoding_names(run: str) -> list[str]:
    """Return the decoding settings of a run; none if it is not a run."""
    return settings_of_stage(_recorded(run)[0], "decoding")


def read_decoding(run: str, given: dict[str, str], prog: str) -> dict[str, str]:
    """Check decoding settings of a run, such as ``--beam-width 1``, ``given`` as strings; ``prog`` is used in errors.

    Raises:
        ValueError: not a setting of the run's task, a wrong value, a conflict with the run's own, or a missing file.
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
    """Return the configuration class of a run's task and its settings; opening the run reports what is not a run."""
    try:
        record = json.loads((Path(run).expanduser() / "config.json").read_text("utf-8"))
        return load_settings(record["task"]).Config, dict(record["config"])
    except (OSError, ValueError, KeyError, TypeError):
        return TrainingConfig, {}


def unknown_argument(prog: str, argument: str, names: Iterable[str]) -> ValueError:
    """Return the error for an unknown argument, with the nearest option of ``names``."""
    hint = nearest(argument.partition("=")[0], [option(name) for name in names])
    return ValueError(f"{prog}: unknown argument {argument}{hint}")
