"""The command ``pipelines doctor``: versions, conflicts, devices, arithmetic, audio formats, disk space."""

import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import InvalidRequirement, Requirement

from pipelines.log import import_tensorflow

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION = "recurrent-pipelines"
TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tensorflow-macos", "tf-nightly")
LEAST_DISK, LEAST_MEMORY = 2.0, 4.0
"""Gigabytes below which training real data is likely to fail."""


@dataclass(frozen=True)
class Finding:
    """Result of one check; ``advice`` is one line, empty if nothing is wrong."""

    state: Literal["ok", "note", "broken"]
    subject: str
    detail: str
    advice: str = ""


def run(as_json: bool = False) -> int:
    """Print every finding; exit status 1 if something is broken."""
    found = examine()
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], ensure_ascii=False))
    else:
        for finding in found:
            print(f"{finding.state:<7}{finding.subject:<22}{finding.detail}")
            if finding.advice:
                print(" " * 29 + f"-> {finding.advice}")
    return int(any(finding.state == "broken" for finding in found))


def examine() -> list[Finding]:
    """Run every check; an unexpected exception is itself a finding."""
    found: list[Finding] = []
    for check in (python, packages, wheels, extras, shadows, devices, arithmetic, sound, resources):
        try:
            found += check()
        except Exception as error:  # a broken installation may raise anything
            detail = f"{type(error).__name__}: {error}"
            found.append(Finding("broken", check.__name__, detail, "reinstall: make install"))
    return found


def python() -> list[Finding]:
    """Check the Python version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return [Finding("ok", "Python", version)]
    return [Finding("broken", "Python", version, "use Python 3.11 to 3.13, for which TensorFlow has wheels")]


def packages() -> list[Finding]:
    """Compare required packages with their version bounds."""
    found = []
    for requirement in _requirements():
        have, specifier = _version(requirement.name), requirement.specifier
        if have is not None and specifier.contains(have, prereleases=True):
            found.append(Finding("ok", requirement.name, have))
        else:
            detail = "is not installed" if have is None else f"{have}, expected {specifier}"
            found.append(Finding("broken", requirement.name, detail, f"pip install '{requirement}'"))
    return found


def _requirements() -> list[Requirement]:
    """Required packages: from the checkout's requirements.txt, else from the installed distribution."""
    file = ROOT / "requirements.txt"
    lines = file.read_text("utf-8").splitlines() if file.is_file() else metadata.requires(DISTRIBUTION) or []
    found = []
    for line in lines:
        text = re.sub(r"\s#.*|^#.*", "", line).strip()
        try:
            requirement = Requirement(text) if text else None
        except InvalidRequirement:
            continue
        if requirement and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found.append(requirement)
    return found


def wheels() -> list[Finding]:
    """Find conflicting TensorFlow distributions, which overwrite each other's files."""
    there = [name for name in TENSORFLOWS if _version(name)]
    if len(there) < 2:
        return []
    fix = f"pip uninstall -y {' '.join(there)}, then pip install tensorflow"
    return [Finding("broken", "tensorflow", f"{' and '.join(there)} share one folder", fix)]


def extras() -> list[Finding]:
    """Report missing optional packages, and the obsolete pysoundfile."""
    found = []
    if _version("pysoundfile"):
        fix = "pip uninstall -y pysoundfile, then pip install --force-reinstall soundfile"
        found.append(Finding("broken", "pysoundfile", "replaces parts of soundfile", fix))
    if _version("tensorboard") is None:
        advice = "pip install tensorboard, if you want more than history.csv and the learning curves"
        found.append(Finding("note", "tensorboard", "is not installed", advice))
    return found


def shadows() -> list[Finding]:
    """Find names in the working directory that shadow this project's packages."""
    found = []
    for name in ("models", "pipelines"):
        taken = [path for path in (Path.cwd() / name, Path.cwd() / f"{name}.py") if path.exists()]
        if taken and Path.cwd() != ROOT:
            advice = "start the installed command, pipelines, or work from another folder"
            found.append(Finding("note", name, f"{taken[0]} has the name of one of our packages", advice))
    return found


def devices() -> list[Finding]:
    """List TensorFlow's devices."""
    import_tensorflow()
    import tensorflow as tf  # noqa: PLC0415

    if gpus := tf.config.list_physical_devices("GPU"):
        names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
        return [Finding("ok", "devices", f"{len(gpus)} GPU: {', '.join(names)}")]
    cores = f"{os.cpu_count()} CPU cores"
    if shutil.which("nvidia-smi"):
        advice = "pip install 'tensorflow[and-cuda]'; TF_CPP_MAX_VLOG_LEVEL=3 names the library that is missing"
        return [Finding("note", "devices", f"{cores}; there is an NVIDIA driver, but TensorFlow sees no GPU", advice)]
    return [Finding("ok", "devices", f"{cores}, no GPU")]


def arithmetic() -> list[Finding]:
    """Name the kernels of the recurrent layers, and compare outputs and gradients with plain operations."""
    import tensorflow as tf  # noqa: PLC0415

    from models.recurrent import kernels  # noqa: PLC0415
    from models.recurrent.stack import CELLS  # noqa: PLC0415

    times = 20 if tf.config.list_physical_devices("GPU") else 1  # masked cuDNN has been wrong once in a while
    found = []
    for cell, layer in CELLS.items():
        gap = max(_path_gap(cell) for _ in range(times))
        detail = f"{kernels.describe(layer(1))}; differs from plain operations by {gap:.1e} (largest of {times})"
        fix = "report it with the versions above; wrap calls in models.recurrent.portable() meanwhile"
        sound = gap < 2e-3
        found.append(Finding("ok" if sound else "broken", f"{cell} layer", detail, "" if sound else fix))
    return found


def _path_gap(cell: str) -> float:
    """Largest difference of outputs and weight gradients between the selected kernels and plain operations."""
    import numpy as np  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    from models.recurrent import RecurrentStack, portable  # noqa: PLC0415

    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(4, 20, 16)), tf.float32)
    lengths = tf.constant([20, 1, 7, 13])
    stack = RecurrentStack(cell, 24, bidirectional=True, seed=0)

    def results() -> list[Any]:
        with tf.GradientTape() as tape:
            outputs, _ = stack(x, lengths)
            loss = tf.reduce_sum(outputs**2)
        weights = [variable.value for variable in stack.trainable_variables]
        return [outputs, *tape.gradient(loss, weights)]

    chosen = results()
    with portable():
        plain = results()
    return max(
        float(tf.reduce_max(tf.abs(a - b)) / (1 + tf.reduce_max(tf.abs(b)))) for a, b in zip(chosen, plain, strict=True)
    )


def sound() -> list[Finding]:
    """Write and read a second of audio in every common format."""
    import numpy as np  # noqa: PLC0415
    import soundfile  # noqa: PLC0415

    wave = np.sin(np.arange(16000) * 0.1).astype(np.float32)
    failed, kinds = [], ("wav", "flac", "ogg", "mp3")
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            try:
                soundfile.write(f"{folder}/x.{kind}", wave, 16000)
                soundfile.read(f"{folder}/x.{kind}")
            except Exception:  # libsndfile raises several types
                failed.append(kind)
    readable = ", ".join(kind for kind in kinds if kind not in failed)
    detail = f"libsndfile {soundfile.__libsndfile_version__} reads {readable}"
    if not failed:
        return [Finding("ok", "sound", detail)]
    return [Finding("broken", "sound", f"{detail}; not {', '.join(failed)}", "pip install --upgrade soundfile")]


def resources() -> list[Finding]:
    """Check free disk space, here and for temporary files, and free memory."""
    found = []
    for name, path in (("disk", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(path).free / 1e9
        advice = "" if free >= LEAST_DISK else f"free disk space: real data and runs need {LEAST_DISK:.0f} GB and more"
        found.append(Finding("note" if advice else "ok", name, f"{free:.1f} GB free in {path}", advice))
    memory = _free_memory()
    if memory is not None:
        advice = "" if memory >= LEAST_MEMORY else "close other programs, or use a smaller --batch-size and --limit"
        found.append(Finding("note" if advice else "ok", "memory", f"{memory:.1f} GB free", advice))
    return found


def _free_memory() -> float | None:
    """Available memory in gigabytes; None if unknown."""
    file = Path("/proc/meminfo")
    match = re.search(r"MemAvailable:\s+(\d+) kB", file.read_text()) if file.is_file() else None
    return int(match.group(1)) / 1e6 if match else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
