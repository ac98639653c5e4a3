"""Reading of command-line arguments that depend on a task: its settings are options too."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from pipelines import load_settings
from pipelines.config import DECODING, FILES, from_dict, nearest


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
        option = f"--{field.name.replace('_', '-')} {getattr(info, 'default', info)!r}"
        choices = f" ({', '.join(get_args(field.type))})" if get_origin(field.type) is Literal else ""
        lines.append(f"    {option:<34} {getattr(info, 'description', '') or ''}{choices}")
    return "\n".join(lines)


def read_settings(task: str, rest: list[str], prog: str) -> dict[str, str]:
    """Read ``--FIELD VALUE`` pairs of a task's settings from what the parser left over.

    Raises:
        ValueError: an option that is no setting of the task (with the nearest name), or one without a value.
    """
    names = [field.name for field in dataclasses.fields(load_settings(task).Config)]
    return _read(names, rest, f"{prog} {task}", ["--preset", "--data", "--run", "--config", "--limit"])


def read_decoding(run: str, rest: list[str], prog: str, names: tuple[str, ...] = DECODING) -> dict[str, str]:
    """Read the settings of a run that may differ at each decoding, such as ``--beam-width 1``: those of ``names``.

    Raises:
        ValueError: an option that is no such setting of the run's task, one without a value or with a wrong one, or a
            file that is not there.
    """
    others = ["--data", "--split", "--out", "--against", "--file", "--json", "--format", "--sheet"]
    try:
        task = json.loads((Path(run).expanduser() / "config.json").read_text("utf-8"))["task"]
        config = load_settings(task).Config
    except (OSError, ValueError, KeyError, TypeError):
        return _read([], rest, prog, others)  # no run of ours; whoever opens it says so
    given = _read([field.name for field in dataclasses.fields(config) if field.name in names], rest, prog, others)
    from_dict(config, given, prog)
    for name, words in FILES.items():
        value = given.get(name, "")
        if value and value not in words and not Path(value).expanduser().is_file():
            raise ValueError(f"--{name.replace('_', '-')} {value}: there is no such file")
    return given


def _read(names: list[str], rest: list[str], prog: str, others: list[str]) -> dict[str, str]:
    parser = Parser(prog=prog, allow_abbrev=False, add_help=False)
    options = ["--" + name.replace("_", "-") for name in names]
    for option, name in zip(options, names, strict=True):
        parser.add_argument(option, dest=name, default=argparse.SUPPRESS)
    known, unknown = parser.parse_known_args(rest)
    if unknown:
        hint = nearest(unknown[0].partition("=")[0], [*options, *others])
        raise ValueError(f"{prog}: unknown argument {unknown[0]}{hint}")
    return dict(vars(known))
