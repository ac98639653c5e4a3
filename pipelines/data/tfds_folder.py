"""Where tensorflow-datasets keeps prepared sets, without importing it: a missing one is told in an instant."""

import os
import re
from pathlib import Path

PREFIX = "tfds:"


def folder() -> Path:
    """Return where prepared sets lie: ``TFDS_DATA_DIR``, or ``tensorflow_datasets`` in the home folder."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def need_prepared(spec: str) -> None:
    """Refuse ``tfds:NAME`` of which nothing is on this machine; other specifications pass.

    Raises:
        ValueError: there is no such folder; says which command prepares the set.
    """
    name = re.split("[/:]", spec.removeprefix(PREFIX))[0]
    if spec.startswith(PREFIX) and name and not (folder() / name).is_dir():
        raise ValueError(missing(spec))


def missing(spec: str) -> str:
    """Say that a set is not prepared, and which command prepares it."""
    return f"--data {spec}: is not prepared in {folder()}; prepare it with: pipelines data {spec} (needs the network)"
