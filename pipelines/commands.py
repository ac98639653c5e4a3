"""The commands: each reads its arguments, imports what it needs, and calls one function of a room."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipelines import TASKS, __version__, load_settings
from pipelines.arguments import Parser, read_decoding, read_settings
from pipelines.config import nearest
from pipelines.data.sources.tfds_folder import need_prepared
from pipelines.delivery import ngram
from pipelines.quiet import import_tensorflow

FORMATS = ("saved_model",)


def run(arguments: list[str]) -> int:
    """Parse and carry out one command line.

    Raises:
        ValueError: the request is wrong.
        RuntimeError: the work failed.
    """
    parser = build_parser()
    if not arguments:
        parser.print_help()
        return 0
    known, rest = parser.parse_known_args(arguments)
    if known.command in ("train", "validate"):
        known.settings = read_settings(known.task, rest, known.prog)
    elif known.command in ("evaluate", "predict", "export"):
        known.decoding = read_decoding(known.run, rest, known.prog)
    elif rest:
        raise ValueError(f"{known.prog}: unknown argument {rest[0]}{_suggest(rest[0], known)}")
    function: Callable[[argparse.Namespace], int] = known.function
    return function(known)


def _suggest(argument: str, known: argparse.Namespace) -> str:
    return nearest(argument.partition("=")[0], ["--" + name.replace("_", "-") for name in vars(known)])


def build_parser() -> Parser:
    """Describe every command."""
    parser = Parser(prog="pipelines", description="Recurrent task pipelines for Keras 3.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"pipelines {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int], summary: str) -> Parser:
        command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        command.set_defaults(function=function, prog=f"pipelines {name}")
        return command

    add("tasks", tasks, "list tasks, their presets and settings")
    command = add("demo", demo, "all tasks on built-in data: train, evaluate, export, answer")
    command.add_argument("--out", default="demo", help="folder for the runs (default: demo)")
    command.add_argument("--task", action="append", default=[], help="only this task; may be repeated")
    _add_train(add("train", train, "train a task, or resume a run"))
    _add_validate(add("validate", validate, "counts, lengths, duplicates, and every unusable example by file and line"))
    command = add("evaluate", evaluate, "decode and score a split")
    command.add_argument("run", help="run folder")
    command.add_argument("--data", help="data to evaluate on (default: the run's own)")
    command.add_argument("--split", default="test", help="split (default: test)")
    command.add_argument("--out", help="folder for metrics.json and predictions.jsonl (default: the run)")
    command.add_argument("--against", metavar="RUN2", help="second run, compared by paired bootstrap")
    command = add("predict", predict, "raw inputs in, answers out: ANSWER, tab, score, tab, input")
    command.add_argument("run", help="run folder or exported SavedModel")
    command.add_argument("input", nargs="*", help="inputs; - reads lines from standard input")
    command.add_argument("--file", help="file with one input a line")
    command.add_argument("--json", action="store_true", help="JSON lines instead")
    _add_explain(add("explain", explain, "say where an answer comes from: a picture and the numbers in it"))
    command = add("export", export, "write a SavedModel that takes the raw input, checked in a fresh process")
    command.add_argument("run", help="run folder")
    formats = "saved_model (default), or run: a copy with float16 weights and without training state"
    command.add_argument("--format", default="saved_model", choices=[*FORMATS, "run"], help=formats)
    command.add_argument("--out", help="folder to write (default: RUN/export)")
    ngram.add_arguments(add("lm", ngram.run, "estimate an n-gram language model for speech, one sentence a line"))
    command = add("data", data, "where to get the named data sets; fetch one")
    command.add_argument("name", nargs="?", default="", help="a set of the list, or tfds:NAME; nothing prints the list")
    command.add_argument("--out", default="data", help="folder to fetch into (default: data)")
    command = add("doctor", doctor, "versions, conflicts, devices, arithmetic, sound formats, room to work")
    command.add_argument("--json", action="store_true", help="one JSON array instead of lines")
    return parser


def _add_validate(command: Parser) -> None:
    command.add_argument("task", help=f"one of: {', '.join(TASKS)}")
    command.add_argument("--data", default="synthetic", help="synthetic (default), tfds:NAME, or a path")
    command.add_argument("--config", metavar="FILE", help="JSON file of settings")
    command.add_argument("--json", action="store_true", help="JSON lines: unusable examples, then the report")
    command.epilog = "Settings of the task that say how data is read are options too, e.g. --text-column words."


def _add_explain(command: Parser) -> None:
    command.add_argument("run", help="run folder")
    command.add_argument("input", help="one input")
    command.add_argument("--out", required=True, metavar="FILE.png", help="picture to write")
    command.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def _add_train(command: Parser) -> None:
    command.add_argument("task", help=f"one of: {', '.join(TASKS)}")
    command.add_argument("--preset", default="default", help="named settings of the task (see: pipelines tasks)")
    command.add_argument("--data", default="synthetic", help="synthetic (default), tfds:NAME, or a path")
    command.add_argument("--run", help="run folder; an existing run is resumed (default: runs/TASK-TIME)")
    command.add_argument("--config", metavar="FILE", help="JSON file of settings")
    command.add_argument("--init", metavar="RUN", help="begin with the settings, vocabulary and weights of this run")
    command.add_argument("--limit", type=int, default=0, help="at most this many examples of each split")
    command.epilog = "Every setting of the task is an option too, e.g. --epochs 3; pipelines tasks lists them."


def tasks(arguments: argparse.Namespace) -> int:
    """Print every task with its presets and settings."""
    for name, summary in TASKS.items():
        settings = load_settings(name)
        print(f"{name}: {summary}")
        print(f"  data: {settings.FORMATS}")
        for preset, values in settings.PRESETS.items():
            print(f"  --preset {preset}: " + ", ".join(f"{key} {value}" for key, value in values.items()))
        for field in dataclasses.fields(settings.Config):
            info: Any = field.default
            default = getattr(info, "default", info)
            option = f"--{field.name.replace('_', '-')} {default!r}"
            print(f"    {option:<34} {getattr(info, 'description', '') or ''}")
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """Run the demonstration."""
    unknown = [name for name in arguments.task if name not in TASKS]
    if unknown:
        raise ValueError(f"--task {unknown[0]}: expected one of {', '.join(TASKS)}{nearest(unknown[0], list(TASKS))}")
    import_tensorflow()
    from pipelines.delivery.demo import run_demo  # noqa: PLC0415

    return run_demo(arguments.task or list(TASKS), Path(arguments.out))


def train(arguments: argparse.Namespace) -> int:
    """Train or resume."""
    from pipelines.config import resolve  # noqa: PLC0415
    from pipelines.training.warm_start import settings_of  # noqa: PLC0415

    a = arguments
    module = load_settings(a.task)
    if a.limit < 0:
        raise ValueError(f"--limit: expected a positive number of examples, came {a.limit}")
    base = settings_of(a.init, a.task) if a.init else None
    resolve(module.Config, module.PRESETS, a.preset, Path(a.config) if a.config else None, a.settings, base)
    need_prepared(a.data)
    import_tensorflow()
    from pipelines.training.train import train as run_training  # noqa: PLC0415

    print(run_training(a.task, a.data, a.run, a.preset, a.config, a.limit, a.init, **a.settings))
    return 0


def validate(arguments: argparse.Namespace) -> int:
    """Report on data as training would read it."""
    a = arguments
    load_settings(a.task)
    need_prepared(a.data)
    import_tensorflow()
    from pipelines.delivery import validation  # noqa: PLC0415

    return validation.run(a.task, a.data, a.settings, a.config, a.json)


def evaluate(arguments: argparse.Namespace) -> int:
    """Score a run and print the table."""
    a = arguments
    _need_folder(a.run)
    need_prepared(a.data or "")
    import_tensorflow()
    from pipelines.training import evaluation  # noqa: PLC0415

    record = evaluation.evaluate(a.run, a.data, a.split, a.out, a.against, **a.decoding)
    print(evaluation.table(record) + "\n\n" + record["report"])
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Print one answer an input, in order."""
    a = arguments
    _need_folder(a.run)
    if a.file and not Path(a.file).is_file():
        raise ValueError(f"--file {a.file}: there is no such file")
    if not a.input and not a.file:
        raise ValueError(f"{a.prog}: expected an input, - for standard input, or --file FILE")
    import_tensorflow()
    from pipelines.delivery.predictor import Predictor  # noqa: PLC0415

    for prediction in Predictor(a.run, **a.decoding).stream(_inputs(a)):
        if a.json:
            print(json.dumps(prediction, ensure_ascii=False), flush=True)
        else:
            cells = (prediction["answer"], f"{prediction['score']:.4f}", str(prediction["input"]))
            print("\t".join(" ".join(cell.split()) for cell in cells), flush=True)
        if "error" in prediction:
            print(f"pipelines: {prediction['error']}", file=sys.stderr, flush=True)
    return 0


def _inputs(arguments: argparse.Namespace) -> Iterator[str]:
    def lines(file: Iterable[bytes]) -> Iterator[str]:
        return (line.rstrip(b"\r\n").decode("utf-8", "replace") for line in file)

    if arguments.file:
        with open(arguments.file, "rb") as file:
            yield from lines(file)
    for argument in arguments.input:
        if argument == "-":
            yield from lines(sys.stdin.buffer)
        else:
            yield argument


def explain(arguments: argparse.Namespace) -> int:
    """Explain one answer."""
    a = arguments
    _need_folder(a.run)
    import_tensorflow()
    from pipelines.delivery import explain as explanation  # noqa: PLC0415

    return explanation.run(a.run, a.input, a.out, a.json)


def export(arguments: argparse.Namespace) -> int:
    """Export a run and print where."""
    a = arguments
    _need_folder(a.run)
    if a.format == "run":
        if not a.out:
            raise ValueError("--format run: expected --out, the folder of the copy")
        import_tensorflow()
        from pipelines.training.slimming import slim  # noqa: PLC0415

        print(slim(a.run, a.out))
        return 0
    import_tensorflow()
    from pipelines.delivery.export import export as run_export  # noqa: PLC0415

    print(run_export(a.run, a.out, **a.decoding))
    return 0


def data(arguments: argparse.Namespace) -> int:
    """Print the catalogue of data sets, or fetch one."""
    from pipelines.data.catalogue import run as catalogue  # noqa: PLC0415

    return catalogue(arguments.name, arguments.out)


def doctor(arguments: argparse.Namespace) -> int:
    """Examine the installation, also one in which tensorflow cannot be imported."""
    from pipelines.delivery.doctor import run as examine  # noqa: PLC0415

    return examine(arguments.json)


def _need_folder(path: str) -> None:
    if not Path(path).expanduser().is_dir():
        raise ValueError(f"{path}: there is no such folder")
