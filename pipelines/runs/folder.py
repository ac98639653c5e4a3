"""The run folder: files, manifest with SHA-256 checksums, and locks.

Every file is written under a temporary name and renamed. ``MANIFEST.json`` holds the SHA-256 of each; the new checksum
is stored as ``pending`` before the rename, so that a kill at any moment leaves a folder that still verifies.
"""

import fcntl
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import config as configuration
from pipelines.config import VERSION, TrainingConfig
from pipelines.data.reading import sha256 as sha256
from pipelines.tasks import TASKS

MANIFEST = "MANIFEST.json"
CONFIG = "config.json"
WEIGHTS = "model.weights.h5"
STATE = "state.npz"
HISTORY = "history.csv"
ENVIRONMENT = "environment.json"
_UNFINISHED = re.compile(r"\.\d+\.")
TENSORBOARD = "tensorboard"
FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A run folder at ``path``, without further state, so several processes may read one run."""

    path: Path

    def write(self, name: str, writer: Callable[[Path], object]) -> None:
        """Write file ``name`` with ``writer(temporary path)``, rename it and record its checksum.

        Raises:
            RuntimeError: writing failed; an existing file is unchanged.
        """
        target = self.path / name
        temporary = target.with_name(f".{os.getpid()}.{target.name}")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            writer(temporary)
            digest = sha256(temporary)
            with self._manifest_locked():
                manifest = self._without_pending(self.manifest() or {"format": FORMAT, "files": {}})
                self._write_manifest(manifest | {"pending": {name: digest}})
                os.replace(temporary, target)
                self._write_manifest({**manifest, "files": {**manifest["files"], name: digest}})
        except OSError as error:
            raise RuntimeError(f"{target}: cannot be written: {error.strerror or error}") from None
        finally:
            with suppress(OSError):  # the folder itself may be a file
                temporary.unlink(missing_ok=True)

    def write_json(self, name: str, value: Any) -> None:
        """Write ``value`` as indented UTF-8 JSON, see ``write``; non-finite numbers become null."""
        text = json.dumps(finite(value), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        self.write(name, lambda path: path.write_text(text, "utf-8"))

    def read_json(self, name: str) -> Any:
        """Verify and read a JSON file.

        Raises:
            ValueError: it is missing, was changed, or is not JSON.
        """
        try:
            return json.loads(self.verified(name).read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{self.path / name}: is no JSON: {error}") from None

    def verified(self, name: str) -> Path:
        """Return the path of file ``name`` after comparing it with its recorded checksum.

        Raises:
            ValueError: the folder is not a run, the file is missing, or it was changed after it was written.
        """
        manifest, file = self.manifest(), self.path / name
        if manifest is None:
            raise ValueError(f"{self.path}: is no run folder (there is no {MANIFEST})")
        if not file.is_file():
            raise ValueError(f"{file}: is missing from the run")
        sums = {manifest["files"].get(name), manifest.get("pending", {}).get(name)}
        if sha256(file) not in sums:
            raise ValueError(f"{file}: was changed after it was written (its SHA-256 is not the one in {MANIFEST})")
        return file

    def manifest(self) -> dict[str, Any] | None:
        """Read the manifest; ``None`` if there is none.

        Raises:
            ValueError: it is not a manifest, or its format is newer than this version reads.
        """
        file = self.path / MANIFEST
        try:
            manifest = json.loads(file.read_text("utf-8"))
            if manifest["format"] > FORMAT:
                raise ValueError(
                    f"{file}: format {manifest['format']} is newer than {FORMAT}, which this version reads"
                )
            dict(manifest["files"])
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, NotADirectoryError) as error:
            raise ValueError(f"{file}: is no manifest of a run ({type(error).__name__}: {error})") from None
        return dict(manifest)

    def discard(self) -> None:
        """Delete the files of a training.

        Raises:
            ValueError: the folder holds other files too; nothing was deleted.
        """
        own = {MANIFEST, TENSORBOARD, *self._without_pending(self.manifest() or {"files": {}})["files"]}
        found = list(self.path.iterdir())
        others = sorted(path.name for path in found if path.name not in own and not _UNFINISHED.match(path.name))
        if others:
            raise ValueError(f"--run {self.path}: holds {others[0]}, which is not of the run; name a new one")
        for path in found:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Return whether file ``name`` exists (without verifying it)."""
        return (self.path / name).is_file()

    @contextmanager
    def _manifest_locked(self) -> Iterator[None]:
        """Lock the manifest against other processes, such as an evaluation during training."""
        if not self.has(CONFIG):
            yield  # the run is being created
            return
        with open(self.path / CONFIG, "rb") as file:  # the one file that is never replaced
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _without_pending(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Return the manifest without pending files: those renamed before a kill count as written.

        Otherwise the next pending checksum would overwrite theirs, and they would count as changed.
        """
        pending = dict(manifest.get("pending", {})).items()
        written = {name: digest for name, digest in pending if self.has(name) and sha256(self.path / name) == digest}
        return {**manifest, "files": {**manifest["files"], **written}, "pending": {}}

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        temporary = self.path / f".{os.getpid()}.{MANIFEST}"
        try:
            temporary.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "utf-8")
            os.replace(temporary, self.path / MANIFEST)
        finally:
            temporary.unlink(missing_ok=True)


def finite(value: Any) -> Any:
    """Copy a JSON value, with None for NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def need_trainable(path: Path) -> None:
    """Reject a path where no run can start or resume.

    Raises:
        ValueError: ``path`` is a file, a folder with other contents, or a trained run without training state.
    """
    run = Run(path)
    # Before its config.json is renamed, a run holds only these two kinds of files.
    found = [one for one in path.iterdir() if one.name != MANIFEST] if path.is_dir() else []
    if path.is_file() or (not run.has(CONFIG) and not all(_UNFINISHED.match(one.name) for one in found)):
        raise ValueError(f"--run {path}: exists and is no run folder; name a new one")
    if run.has(ENVIRONMENT) and not run.has(STATE):
        raise ValueError(
            f"--run {path}: is a trained run without training state, which cannot go on; begin with it by "
            f"--init {path}, and name a new --run"
        )


def need_writable(path: Path) -> None:
    """Reject a folder that cannot be written, before any computation.

    Raises:
        ValueError: the folder, or its nearest existing parent, cannot be written.
    """
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{path}: cannot be written; name another folder by --out")


def need_same(path: Path, task: str, config: TrainingConfig) -> tuple[Run, dict[str, Any], str]:
    """Reject resuming a run with another task, or with other settings once its training has started.

    Returns:
        The run, its record, and, if it has not started, the settings that differ; "" when none does.

    Raises:
        ValueError: it is of another task, or was started with other settings; names them.
    """
    run, record = open_run(path)
    if record["task"] != task:
        raise ValueError(f"--run {path}: is a {record['task']} run, not {task}")
    # Settings that are newer than the run have the value that corresponds to their absence.
    full = configuration.to_dict(configuration.from_dict(type(config), record["config"], str(path / CONFIG)))
    now = configuration.to_dict(config)
    if run.has(STATE):
        full, now = (configuration.placeless(type(config), settings) for settings in (full, now))
    changed = configuration.difference(full, now)
    if changed and run.has(STATE):
        raise other_settings(path, changed)
    return run, record, changed


def other_settings(path: Path, changed: str) -> ValueError:
    """Return the error for resuming a run with other settings."""
    return ValueError(f"--run {path}: was started with other settings ({changed}); name another run")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lock ``path`` against other trainings; folders created for the lock are removed if they stay empty.

    Raises:
        ValueError: another process trains there.
        RuntimeError: the folder cannot be created.
    """
    created = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        held = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise RuntimeError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"--run {path}: another process is training it") from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(held)
        for folder in created:
            with suppress(OSError):
                folder.rmdir()


def create(path: Path, task: str, config: TrainingConfig, data: dict[str, Any]) -> Run:
    """Create a run folder: ``config.json`` with the task, its configuration and its data.

    Raises:
        ValueError: ``path`` is a file, a folder with other contents, or already a run.
    """
    need_trainable(path)
    run = Run(path)
    if run.has(CONFIG):
        raise ValueError(f"--run {path}: is a run already; name a new one")
    record = {"task": task, "version": VERSION, "data": data, "config": configuration.to_dict(config)}
    run.write_json(CONFIG, record)
    return run


def open_run(path: Path | str) -> tuple[Run, dict[str, Any]]:
    """Open a run folder and its verified ``config.json``.

    Raises:
        ValueError: the folder does not exist, is not a run, was changed, or has an unknown task.
    """
    run = Run(Path(path).expanduser())
    if not run.path.is_dir():
        raise ValueError(f"{path}: there is no such run folder")
    record = run.read_json(CONFIG)
    if not isinstance(record, dict) or not {"task", "config", "data"} <= set(record):
        raise ValueError(f"{run.path / CONFIG}: expected an object with task, config and data")
    if record.get("task") not in TASKS:
        raise ValueError(f"{run.path / CONFIG}: unknown task {record.get('task')!r}; known: {', '.join(TASKS)}")
    return run, record
