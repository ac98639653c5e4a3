"""What every test shares: a quiet TensorFlow, no network, and one small trained run a task."""

import fcntl
import functools
import gc
import os
import shutil
import socket
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

FRESH = ("translation",)
"""Tasks whose small export is proven in a fresh process, as every export of a user is. Starting TensorFlow takes longer
than all else in an export: the other tasks are proven so by the slow tests, and by the demonstration."""


def pytest_configure(config: pytest.Config) -> None:
    """Compile with less effort, and nothing twice, in the default run: compilation takes most of its time.

    All processes of a run share what was compiled; bounds are the same. What is slow, and what `serve` and `web` start,
    is compiled as users do. Tracing makes objects by the hundred thousand, which Python need not look through so often.
    """
    if "not slow" in config.option.markexpr:
        gc.set_threshold(50_000, 20, 50)
        os.environ.setdefault(
            "XLA_FLAGS", "--xla_backend_optimization_level=1 --xla_cpu_parallel_codegen_split_count=1"
        )
        if "TF_XLA_FLAGS" not in os.environ:
            folder = tempfile.mkdtemp(prefix="compiled-")
            os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={folder}"
            config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep encoded examples of tests out of the user's cache."""
    os.environ["PIPELINES_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach this machine only."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return ``shared(name, make) -> folder``, which ``make(folder)`` fills once for all processes of this session."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared"
    root.mkdir(exist_ok=True)

    def once(name: str, make: Callable[[Path], Any]) -> Path:
        with open(root / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (root / f"{name}.done").exists():
                make(root / name)
                (root / f"{name}.done").touch()
        return root / name

    return once


@pytest.fixture(scope="session")
def small_export(shared: Any, small_run: Any) -> Any:
    """Return ``exported(task) -> folder`` of the small run's SavedModel; written and proven once a session."""
    from pipelines.export import saved_model as export

    def exported(task: str) -> Path:
        run = small_run(task)
        with pytest.MonkeyPatch.context() as patch:
            if task not in FRESH:
                patch.setattr(export, "fresh", lambda: nullcontext(run_here))
            return Path(shared(f"{task}-export", lambda folder: export.export(run, folder)))

    return exported


def beginning(source: Any, count: int) -> Any:
    """Cut every split of a source after ``count`` examples; it passes for the same data."""

    def cut(reader: Any) -> Any:
        return lambda on_problem: islice(reader(on_problem), count)

    return replace(source, readers={name: cut(reader) for name, reader in source.readers.items()})


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return ``first(count)``, after which runs open no more than that many examples of each split.

    What holds for a few holds for all: to decode whole splits takes minutes, and finds nothing else.
    """
    from pipelines.runs.load import Loaded

    opened = Loaded.open_source

    def few(count: int) -> None:
        monkeypatch.setattr(Loaded, "open_source", lambda self, spec=None: beginning(opened(self, spec), count))

    return few


def run_here(folder: Path, inputs: dict[str, Any]) -> Callable[[], list[dict[str, Any]]]:
    """Ask a SavedModel for answers as `pipelines.export.saved_model.fresh` does, but in this process."""
    import tensorflow as tf

    answers = tf.saved_model.load(str(folder)).signatures["serving_default"](**inputs)
    return lambda: [{name: value.numpy() for name, value in answers.items()}] * 2


@pytest.fixture(scope="session")
def small_run(shared: Any) -> Any:
    """Return ``run(task) -> folder`` of one epoch on a few built-in examples; trained once a session.

    Of 32 examples one batch: every width of a batch is compiled anew, and that is what the seconds go to.
    """
    from pipelines import train

    def run(task: str) -> Path:
        return Path(shared(f"{task}-run", lambda folder: train(task, run=folder, preset="tiny", limit=32)))

    return run


@pytest.fixture(scope="session")
def small_predictor(small_run: Any) -> Any:
    """Return ``predictor(task)`` of the small run, loaded and traced once a process; no test changes it."""
    from pipelines import Predictor

    return functools.cache(lambda task: Predictor(small_run(task)))
