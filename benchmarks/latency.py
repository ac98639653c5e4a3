"""Size, error and latency of every export of trained runs: megabytes, seconds to load and to a first answer, p50.

    python benchmarks/latency.py RUN ... [--exports DIR] [--out benchmarks/latency]

For each run: its SavedModel, raw input in; and for a task whose network can leave alone, that network as a SavedModel,
in ONNX and in the precisions of LiteRT, all on the same numbers. Exports are written to DIR first, which takes longer
than measuring; those that are there already are used as they are. Each is then measured in fresh processes bound to one
core and to two: the seconds to import the runtime and load the file, those to the first answer (the file is in memory
by then: the disk is not measured), and the median of single requests. The error of ONNX and LiteRT is what their proof
found, see docs/exports.md. ``--out`` writes NAME.md and NAME.json.

The requests are built-in: 200 words for sentiment, 3 seconds for speech, one sentence, one picture.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from pipelines import load_settings

CHILD = Path(__file__).with_name("latency_child.py")
PACKAGES = ("tensorflow", "keras", "onnxruntime", "ai-edge-litert")
WORDS, SECONDS, REQUESTS = 200, 3.0, 8
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

Row = dict[str, Any]


def main() -> None:
    """Export what is missing, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--exports", metavar="DIR", help="keep the exports here (default: a temporary folder)")
    parser.add_argument("--out", metavar="NAME", help="write NAME.md and NAME.json")
    parser.add_argument("--encoder-weights", metavar="FILE", help="weights of a captioning run's frozen network")
    parser.add_argument("--seconds", type=float, default=1.5, help="of requests a process (default: 1.5)")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for run in a.runs:
            prepare(Path(run), Path(a.exports or scratch), a.encoder_weights)
        rows = [row for run in a.runs for row in measured(Path(run), Path(a.exports or scratch), a.cores, a.seconds)]
    text = table(rows, a.cores)
    print(text)
    if a.out:
        record = {"machine": machine(), "packages": versions(), "rows": rows}
        Path(f"{a.out}.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        Path(f"{a.out}.md").write_text(f"{heading(sys.argv[1:])}\n{text}\n", "utf-8")


def record_of(run: Path) -> Row:
    """What a run folder says of its task and settings."""
    return dict(json.loads((run / "config.json").read_text("utf-8")))


def task_of(run: Path) -> str:
    """The task of a run folder."""
    return str(record_of(run)["task"])


def prepare(run: Path, exports: Path, weights: str | None) -> None:
    """Write the exports and requests of a run that are not there yet, in processes of their own."""
    home = exports / run.resolve().name
    decoding = {"encoder_weights": weights} if weights and "encoder_weights" in record_of(run)["config"] else {}
    options = [word for value in decoding.values() for word in ("--encoder-weights", value)]
    alone = load_settings(task_of(run)).NUMERIC
    for form in ("saved_model", "onnx", "litert") if alone else ("saved_model",):
        if not (home / form).exists():
            command = ["-m", "pipelines", "export", str(run), "--format", form, "--out", str(home / form), *options]
            subprocess.run([sys.executable, *command], check=True, env=os.environ | QUIET, stdout=subprocess.DEVNULL)
    if not (home / "requests").exists():
        paths = str(run.resolve()), str(home.resolve())
        script = f"import benchmarks.latency_requests as r; r.write(*{paths!r}, {alone}, **{decoding!r})"
        subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | QUIET, cwd=CHILD.parents[1])


def files(home: Path) -> Iterator[tuple[str, str, Path, Path]]:
    """What is measured: its name, kind, file and requests."""
    raw, numbers = home / "requests" / "raw", home / "requests" / "numbers"
    yield "SavedModel, raw input", "saved_model", home / "saved_model", raw
    if numbers.exists():
        yield "SavedModel, network alone", "saved_model", home / "network", numbers
        yield "ONNX", "onnx", home / "onnx" / "model.onnx", numbers
        for file in sorted((home / "litert").glob("*.tflite"), key=lambda path: -path.stat().st_size):
            yield f"LiteRT {file.stem}", "litert", file, numbers


def measured(run: Path, exports: Path, cores: list[int], seconds: float) -> Iterator[Row]:
    """Measure every export of a run."""
    home = exports / run.resolve().name
    for name, kind, file, requests in files(home):
        found = {}
        for count in cores:
            command = [sys.executable, "-I", str(CHILD), kind, *map(str, (file, requests, count, seconds))]
            done = subprocess.run(command, check=True, env=os.environ | QUIET, capture_output=True, text=True)
            found[str(count)] = json.loads(done.stdout.splitlines()[-1])
        row = {"task": task_of(run), "run": run.name, "export": name, "megabytes": megabytes(file), "cores": found}
        yield row | error_of(file)


def error_of(file: Path) -> Row:
    """What the proof of an ONNX or LiteRT file found, as its ``model.json`` records it; nothing for a SavedModel."""
    card = file.with_name("model.json")
    if not file.is_file():
        return {}
    return {key: value for key, value in json.loads(card.read_text("utf-8"))["files"][file.name].items()
            if key in ("largest_error", "moved")}  # fmt: skip


def megabytes(path: Path) -> float:
    """Size of a file, or of all files in a folder, in units of a million bytes."""
    parts = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    return sum(part.stat().st_size for part in parts) / 1e6


def table(rows: list[Row], cores: list[int]) -> str:
    """The rows as Markdown."""
    kinds = ("load s", "first answer s", "p50 ms")
    names = [f"{what}, {count} core{'s' * (count > 1)}" for count in cores for what in kinds]
    lines = ["| task | export | MB | error | " + " | ".join(names) + " |", "|---" * (4 + len(names)) + "|"]
    for row in rows:
        found = [row["cores"][str(count)] for count in cores]
        cells = [f"{f['load_seconds']:.2f} | {f['cold_seconds']:.2f} | {f['p50_ms']:.1f}" for f in found]
        error = f"{row['largest_error']:.0e}".replace("e-0", "e-") if "largest_error" in row else ""
        start = [row["task"], row["export"], f"{row['megabytes']:.2f}", error]
        lines.append(f"| {' | '.join(start + cells)} |")
    return "\n".join(lines)


def machine() -> str:
    """The processor and how many of its cores are ours."""
    cpu = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")] \
        if cpu.exists() else []  # fmt: skip
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """What was measured with what."""
    return {name: metadata.version(name) for name in PACKAGES}


def heading(arguments: list[str]) -> str:
    """What stands above a recorded table."""
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    return (
        f"# Size and latency of exports\n\n`python benchmarks/latency.py {' '.join(arguments)}`, on {machine()}, "
        f"without a GPU; {packages}.\n\nLoading counts the import of the runtime, the first answer that and one "
        "request, in a fresh process;\np50 is the median of single requests "
        f"({WORDS} words, {SECONDS:g} seconds of speech, a sentence, a picture).\n"
        "The network alone, ONNX and LiteRT are asked the same numbers.\n"
    )


if __name__ == "__main__":
    main()
