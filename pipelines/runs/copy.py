"""Compact copies of runs: float16 weights, no training state."""

import shutil
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from pipelines.config import file_settings, renamed
from pipelines.data.tfds_folder import PREFIX
from pipelines.runs.files import replacing
from pipelines.runs.folder import CONFIG, ENVIRONMENT, HISTORY, MANIFEST, WEIGHTS, Run

COPIED = (HISTORY, ENVIRONMENT, "learning_curves.png", "metrics.json")


def slim(run: str | Path, out: str | Path) -> Path:
    """Copy everything needed to evaluate, predict and export; the copy cannot be trained further.

    Paths are specific to one machine: the data path is reduced to its last part (``tfds:NAME`` is not a path), and
    paths in settings are removed, so users pass such files themselves.

    Raises:
        ValueError: the run cannot be loaded, a weight is too large for float16, or ``out`` exists.
        RuntimeError: writing failed. In both cases nothing is left behind.
    """
    from pipelines.runs.load import load_run  # noqa: PLC0415  # imports Keras; an existing folder is reported without

    target = need_new(out)
    loaded = load_run(run)
    record = loaded.run.read_json(CONFIG)
    spec = record["data"]["spec"]
    record["data"]["spec"] = spec if spec.startswith(PREFIX) else Path(spec).name
    record["config"] = settings = renamed(loaded.task.config_class, record["config"])
    kept = [(name, words) for name, words, initial in file_settings(loaded.task.config_class) if not initial]
    settings |= {name: "" for name, words in kept if settings.get(name, "") not in words}
    with replacing(target, MANIFEST, "run") as folder:
        copy = Run(folder)
        copy.write_json(CONFIG, record)
        copy.write(WEIGHTS, lambda path: halve(loaded.run.verified(WEIGHTS), path))
        for name in (*loaded.task.preprocessor_class.FILES, *(name for name in COPIED if loaded.run.has(name))):
            copy.write(name, partial(shutil.copyfile, loaded.run.verified(name)))
        if not copy.has(ENVIRONMENT):  # absent after an interrupted training; its presence prevents further training
            copy.write_json(ENVIRONMENT, {})
    return target


def need_new(out: str | Path) -> Path:
    """Return the path of a folder that does not exist yet.

    Raises:
        ValueError: it exists.
    """
    target = Path(out).expanduser()
    if target.exists():
        raise ValueError(f"--out {target}: exists; name a new folder")
    return target


def halve(source: Path, target: Path) -> None:
    """Copy an HDF5 weight file with float32 arrays as float16; Keras casts them back when it loads the file.

    Raises:
        ValueError: a weight is too large for float16.
    """
    with h5py.File(source, "r") as old, h5py.File(target, "w") as new:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                made = new.require_group(name)
            elif item.dtype == np.float32:
                half = item[()].astype(np.float16)
                if not np.isfinite(half).all():
                    raise ValueError(f"{source}: {name} holds a value that float16 cannot")
                packed = {"compression": "gzip", "shuffle": True} if half.size > 4096 else {}
                made = new.create_dataset(name, data=half, **packed)
            else:
                made = new.create_dataset(name, data=item[()])
            made.attrs.update(item.attrs)

        old.visititems(copy)
        new.attrs.update(old.attrs)
