"""The commands; each imports the modules it needs and calls one function."""

import argparse
import contextlib
import importlib
import sys
from pathlib import Path

from pipelines.cli.arguments import described
from pipelines.config import nearest, resolve
from pipelines.data.catalogue import located
from pipelines.data.tfds_folder import PREFIX, need_prepared
from pipelines.export import formats, warmup
from pipelines.log import import_tensorflow
from pipelines.runs import files
from pipelines.runs.folder import CONFIG, need_same, need_trainable, open_run
from pipelines.tasks import TASKS, load_settings


def tasks(arguments: argparse.Namespace) -> int:
    """Print every task with its presets and settings."""
    for name, summary in TASKS.items():
        print(f"{name}: {summary}\n{described(name)}")
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """Run the demonstration."""
    unknown = [name for name in arguments.task if name not in TASKS]
    if unknown:
        raise ValueError(f"--task {unknown[0]}: expected one of {', '.join(TASKS)}{nearest(unknown[0], list(TASKS))}")
    files.claim(Path(arguments.out))
    import_tensorflow()
    from pipelines.cli.demo import run_demo  # noqa: PLC0415

    return run_demo(arguments.task or list(TASKS), Path(arguments.out))


def train(arguments: argparse.Namespace) -> int:
    """Train or resume."""
    from pipelines.training.warm_start import settings_of  # noqa: PLC0415

    a = arguments
    module = load_settings(a.task)
    if a.limit < 0:
        raise ValueError(f"--limit: expected a positive number of examples, came {a.limit}")
    base = settings_of(a.init, a.task) if a.init else None
    file = Path(a.config) if a.config else None
    config = resolve(module.Config, module.PRESETS, a.preset, file, a.settings, base)
    _need_data(a.data)
    folder = Path(a.run or "").expanduser()
    if a.run:
        need_trainable(folder)
    if a.run and (folder / CONFIG).exists():
        need_same(folder, a.task, config)
    elif a.preset == "default" and a.data != "synthetic" and not (a.config or a.init):
        print("plain default settings; --preset base has those that were measured on real data", file=sys.stderr)
    import_tensorflow()
    from pipelines.training.train import train as run_training  # noqa: PLC0415

    print(run_training(a.task, a.data, a.run, a.preset, a.config, a.limit, a.init, **a.settings))
    return 0


def validate(arguments: argparse.Namespace) -> int:
    """Report on data as training would read it."""
    a = arguments
    module = load_settings(a.task)
    resolve(module.Config, module.PRESETS, "default", Path(a.config) if a.config else None, a.settings)
    _need_data(a.data)
    import_tensorflow()
    from pipelines.cli import validate as validation  # noqa: PLC0415

    return validation.run(a.task, a.data, a.settings, a.config, a.json)


def evaluate(arguments: argparse.Namespace) -> int:
    """Score a run and print the table."""
    a = arguments
    _need_run(a.run)
    if a.against:
        _need_run(a.against)
    _need_data(a.data)
    if a.out and Path(a.out).expanduser().is_file():
        raise ValueError(f"--out {a.out}: is a file, expected a folder")
    import_tensorflow()
    from pipelines.training import evaluate as evaluation  # noqa: PLC0415

    record = evaluation.evaluate(a.run, a.data, a.split, a.out, a.against, **a.decoding)
    print(evaluation.table(record) + "\n\n" + record["report"])
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Write one answer per input, in order, to standard output or a resumable file."""
    from pipelines.cli import predict as batch  # noqa: PLC0415

    a = arguments
    _need_folder(a.run)
    if a.file and not Path(a.file).expanduser().exists():
        raise ValueError(f"--file {a.file}: there is no such file")
    if not a.input and not a.file:
        raise ValueError(f"{a.prog}: expected an input, - for standard input, or --file FILE")
    if a.resume and not a.out:
        raise ValueError("--resume: expected --out, the file to continue")
    if a.json and a.csv:
        raise ValueError("--json --csv: expected one of the two")
    if not (Path(a.run).expanduser() / "saved_model.pb").exists():
        _need_run(a.run)
    named = str(a.out or "").lower().endswith(".csv")
    kind: batch.Kind = "json" if a.json else "csv" if a.csv or named else "lines"
    with batch.opened(a.out, a.resume, kind) if a.out else contextlib.nullcontext(sys.stdout.buffer) as out:
        import_tensorflow()
        from pipelines.predictor import Predictor  # noqa: PLC0415

        known = sys.stderr.isatty() and "-" not in a.input  # how much there is; counting it takes time
        total = len(a.input) + (batch.lines_in(a.file) if a.file and Path(a.file).is_file() else 0) if known else None
        predictor = Predictor(a.run, **a.decoding)
        batch.run(predictor, batch.inputs(predictor, a.input, a.file, a.column), out, kind, total)
    return 0


def explain(arguments: argparse.Namespace) -> int:
    """Explain one answer, or a contact sheet of several."""
    a = arguments
    _need_run(a.run)
    if bool(a.input) == (a.sheet is not None):
        raise ValueError(f"{a.prog}: expected either an input or --sheet N")
    if len(a.input) > 1:
        raise ValueError(f"{a.prog}: expected one input, came {len(a.input)}: {', '.join(a.input)}")
    if a.sheet is not None and a.sheet < 1:
        raise ValueError(f"--sheet: expected a positive number of examples, came {a.sheet}")
    files.need_file(a.out)
    _need_data(a.data)
    import_tensorflow()
    from pipelines.cli import explain as explanation  # noqa: PLC0415

    if a.sheet is None:
        return explanation.run(a.run, a.input[0], a.out, a.json, **a.decoding)
    return explanation.run_sheet(a.run, a.sheet, a.out, a.json, a.data, a.split, **a.decoding)


def export(arguments: argparse.Namespace) -> int:
    """Export a run and print where."""
    a = arguments
    _need_folder(a.run)
    if a.warmup:
        if a.format != "saved_model":
            raise ValueError(f"--warmup: is for --format saved_model, came --format {a.format}")
        formats.need("tf-serving", f"--warmup {warmup.INSTALL}")
    if a.format == "run" and not a.out:
        raise ValueError("--format run: expected --out, the folder of the copy")
    _need_run(a.run)
    if a.format == "run":
        from pipelines.runs.copy import need_new, slim  # noqa: PLC0415

        need_new(a.out)
        import_tensorflow()
        print(slim(a.run, a.out))
        return 0
    if a.out:
        files.need_replaceable(Path(a.out).expanduser(), *formats.OLDER[a.format])
    if a.format in formats.NEEDS:
        formats.check(a.run, a.format, a.decoding)
        import_tensorflow()
        print(importlib.import_module(f"pipelines.export.{a.format}").export(a.run, a.out))
        return 0
    import_tensorflow()
    from pipelines.export.saved_model import prove  # noqa: PLC0415

    proven = prove(a.run, a.out, **a.decoding)
    if a.warmup:
        warmup.add(proven.folder, proven.examples)
    print(proven.folder)
    return 0


def web(arguments: argparse.Namespace) -> int:
    """Serve the web page."""
    a = arguments
    if a.encoder_weights and not Path(a.encoder_weights).expanduser().is_file():
        raise ValueError(f"--encoder-weights {a.encoder_weights}: there is no such file")
    from pipelines.web.page import run as serve_page  # noqa: PLC0415

    decoding = {"encoder_weights": a.encoder_weights} if a.encoder_weights else {}
    return serve_page(a.runs, a.host, a.port, decoding, a.allow_host)


def data(arguments: argparse.Namespace) -> int:
    """Print the catalogue of data sets, or download one."""
    from pipelines.data.catalogue import run as catalogue  # noqa: PLC0415

    return catalogue(arguments.name, arguments.out)


def doctor(arguments: argparse.Namespace) -> int:
    """Check the installation, even if tensorflow cannot be imported."""
    from pipelines.cli.doctor import run as examine  # noqa: PLC0415

    return examine(arguments.json)


def _need_folder(path: str) -> None:
    if not Path(path).expanduser().is_dir():
        raise ValueError(f"{path}: there is no such folder")


def _need_run(path: str) -> None:
    _need_folder(path)
    open_run(path)


def _need_data(spec: str | None) -> None:
    """Reject data that does not exist; None and ``synthetic`` pass."""
    if spec == "":
        raise ValueError("--data: expected synthetic, tfds:NAME, a file or a folder, came nothing")
    if spec and spec != "synthetic":
        need_prepared(spec)
        if not spec.startswith(PREFIX) and not Path(located(spec)).expanduser().exists():
            raise ValueError(f"--data {spec}: there is no such file or folder")
