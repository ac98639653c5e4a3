"""The command-line parser."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.cli import commands, language_model
from pipelines.cli.arguments import (
    Parser,
    TaskHelp,
    add_settings,
    decoding_names,
    read_decoding,
    read_settings,
    unknown_argument,
)
from pipelines.config import VERSION, settings_of_stage
from pipelines.serve import server as serve
from pipelines.serve.hosts import add_option
from pipelines.tasks import TASKS, load_settings

FORMATS = ("saved_model", "onnx", "litert", "run")
OF_A_TASK = ("train", "validate")
"""Commands with the settings of a task as options."""
OF_A_RUN = ("evaluate", "explain", "predict", "export")
"""Commands with the decoding settings of a run as options."""
DECODES = (
    "Settings of the run that only decoding reads are options too, such as --beam-width, --length-penalty, "
    "--sampling-temperature, --encoder-weights, and for speech --lm; pipelines tasks lists them."
)
MANY = {"predict": "input", "explain": "input", "serve": "source", "web": "runs"}
"""Positional arguments that accept any number of values, by command."""


def run(arguments: list[str]) -> int:
    """Parse and run one command line.

    Raises:
        ValueError: the request is wrong.
        RuntimeError: the work failed.
    """
    decoding = _decoding_options(arguments)
    parser = build_parser(decoding)
    if not arguments:
        parser.print_help()
        return 0
    known, rest = parser.parse_known_args(arguments)
    if known.command in OF_A_TASK:
        known.settings = read_settings(known.task, rest, known.prog)
    else:
        _take(known, rest, decoding)
    function: Callable[[argparse.Namespace], int] = known.function
    return function(known)


def _decoding_options(arguments: list[str]) -> list[str]:
    """Return the decoding settings that are valid options: those of the named run, otherwise those of every task."""
    if not arguments or arguments[0] not in OF_A_RUN:
        return []
    runs = [word for word in arguments[1:] if (Path(word).expanduser() / "config.json").is_file()]
    every = (name for task in TASKS for name in settings_of_stage(load_settings(task).Config, "decoding"))
    return decoding_names(runs[0]) if runs else list(dict.fromkeys(every))


def _take(known: argparse.Namespace, rest: list[str], decoding: list[str]) -> None:
    """Add positional arguments after options, which argparse does not parse, and the decoding settings."""
    names = [name for name in vars(known) if name not in ("command", "function", "prog", "run", *MANY.values())]
    if known.command in OF_A_RUN:
        names += decoding_names(known.run)
    end = rest.index("--") if "--" in rest else len(rest)
    options = [word for word in rest[:end] if word.startswith("-") and word != "-" and " " not in word]  # as argparse
    if options or (rest and known.command not in MANY):
        raise unknown_argument(known.prog, (options or rest)[0], names)
    if rest:
        name = MANY[known.command]
        setattr(known, name, [*getattr(known, name), *rest[:end], *rest[end + 1 :]])
    if known.command in OF_A_RUN:
        given = {name: value for name, value in vars(known).items() if name in decoding}
        known.decoding = read_decoding(known.run, given, known.prog)


def build_parser(decoding: Sequence[str] = ()) -> Parser:
    """Build the parser of all commands; ``decoding`` names the decoding settings of the commands on a run."""
    parser = Parser(prog="pipelines", description="Recurrent task pipelines for Keras 3.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"pipelines {VERSION}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = partial(_add_command, subparsers, decoding)
    add("tasks", commands.tasks, "list tasks, their presets and settings")
    command = add("demo", commands.demo, "run all tasks on built-in data: train, evaluate, export, predict")
    command.add_argument("--out", default="demo", help="folder for the runs (default: demo)")
    command.add_argument("--task", action="append", default=[], help="only this task; may be repeated")
    _add_train(add("train", commands.train, "train a task, or resume a run"))
    _add_validate(add("validate", commands.validate, "report counts, lengths, duplicates and unusable examples"))
    command = add("evaluate", commands.evaluate, "decode and score a split")
    command.add_argument("--data", help="data to evaluate on (default: the run's own)")
    command.add_argument("--split", default="", help="split (default: test; all of other data that has no splits)")
    command.add_argument("--out", help="folder for metrics.json and predictions.jsonl (default: the run)")
    command.add_argument("--against", metavar="RUN2", help="second run, compared by paired bootstrap")
    _add_predict(add("predict", commands.predict, "answer raw inputs; prints ANSWER, tab, score, tab, input"))
    _add_explain(add("explain", commands.explain, "explain an answer by a figure and its numbers"))
    _add_export(add("export", commands.export, "export a model for servers or devices, verified against the run"))
    _add_web(add("web", commands.web, "serve a web page with a tab for each run"))
    serve.add_arguments(add("serve", serve.run, "serve runs or exports over HTTP"))
    language_model.add_arguments(add("lm", language_model.run, "estimate an n-gram language model for speech"))
    command = add("data", commands.data, "list the named data sets, or download one")
    command.add_argument("name", nargs="?", default="", help="name of a data set, or tfds:NAME; without it: the list")
    command.add_argument("--out", default="data", help="folder to download to (default: data)")
    command = add("doctor", commands.doctor, "check versions, devices, arithmetic, audio formats and disk space")
    command.add_argument("--json", action="store_true", help="one JSON array instead of lines")
    return parser


def _add_command(
    subparsers: Any, decoding: Sequence[str], name: str, function: Callable[[argparse.Namespace], int], summary: str
) -> Parser:
    own = name in OF_A_TASK
    command: Parser = subparsers.add_parser(
        name, help=summary, description=summary, allow_abbrev=False, add_help=not own
    )
    if own:
        command.add_argument("-h", "--help", action=TaskHelp)
        command.add_argument("task", help=f"one of: {', '.join(TASKS)}")
        command.add_argument("--data", default="synthetic", help="synthetic (default), tfds:NAME, or a path")
        command.add_argument("--config", metavar="FILE", help="JSON file of settings")
    if name in OF_A_RUN:
        command.add_argument("run", help="run folder" + " or exported SavedModel" * (name == "predict"))
        command.epilog = DECODES
    add_settings(command, decoding if name in OF_A_RUN else ())
    command.set_defaults(function=function, prog=f"pipelines {name}")
    return command


def _add_validate(command: Parser) -> None:
    command.add_argument("--json", action="store_true", help="JSON lines: unusable examples, then the report")
    command.epilog = "Settings of the task that say how data is read are options too, e.g. --text-column words."


def _add_explain(command: Parser) -> None:
    command.add_argument("input", nargs="*", help="one input")
    command.add_argument("--out", required=True, metavar="FILE.png", help="picture to write")
    sheet = "instead of an input: a contact sheet of N examples (12)"
    command.add_argument("--sheet", type=int, nargs="?", const=12, metavar="N", help=sheet)
    command.add_argument("--data", help="data of the contact sheet (default: the run's own)")
    command.add_argument("--split", default="test", help="split of the contact sheet (default: test)")
    command.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def _add_predict(command: Parser) -> None:
    command.add_argument("input", nargs="*", help="inputs; - reads lines from standard input")
    command.add_argument("--file", help="file with one input a line, a table (.csv, .tsv, .jsonl), or a folder")
    named = ("--column", "--text-column", "--audio-column", "--image-column", "--source")
    command.add_argument(*named, dest="column", metavar="NAME", help="column of the table (default: the training's)")
    command.add_argument("--json", action="store_true", help="JSON lines instead")
    command.add_argument("--csv", action="store_true", help="CSV with a header instead; also for --out FILE.csv")
    command.add_argument("--out", metavar="FILE", help="write to a file instead; --resume continues it")
    command.add_argument("--resume", action="store_true", help="continue --out after its last complete line")


def _add_web(command: Parser) -> None:
    command.add_argument("runs", nargs="*", metavar="RUN", help="run folders (default: those in pretrained/)")
    command.add_argument("--port", type=int, default=7860, help="port (default: 7860; 0 takes a free one)")
    command.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    command.add_argument("--encoder-weights", metavar="FILE", help="of the frozen network behind a captioning run")
    add_option(command)
    command.epilog = "Needs Gradio: pip install 'gradio>=6.16,<7'. Ctrl-C stops it."


def _add_export(command: Parser) -> None:
    formats = "saved_model (default); onnx or litert: only the numeric network; run: a compact copy in float16"
    command.add_argument("--format", default="saved_model", choices=FORMATS, help=formats)
    command.add_argument("--out", help="folder to write (default: RUN/export, RUN/onnx, RUN/litert)")
    command.add_argument("--warmup", action="store_true", help="add requests for TensorFlow Serving: warm-up, examples")


def _add_train(command: Parser) -> None:
    command.add_argument("--preset", default="default", help="named settings, e.g. base for real data")
    command.add_argument("--run", help="run folder; an existing run is resumed (default: runs/TASK-TIME)")
    command.add_argument("--init", metavar="RUN", help="begin with the settings, vocabulary and weights of this run")
    command.add_argument("--limit", type=int, default=0, help="at most this many examples of each split")
    command.epilog = "Settings of the task are options too, e.g. --epochs 3; pipelines train TASK --help lists them."
