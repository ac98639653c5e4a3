"""How much memory this process may take: the machine's, or less in a container."""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def available() -> int:
    """Return bytes: the memory of the machine, or the smallest limit of the control groups of this process."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_limits()])


def _limits() -> Iterator[int]:
    """Stream the limits of both versions of control groups; within a container its own group stands at the top."""
    try:
        lines = OWN.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, name = (CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (CGROUPS, "memory.max")
        for file in {folder / path.lstrip("/") / name, folder / name}:
            try:
                yield int(file.read_text())
            except (OSError, ValueError):  # not there, or "max"
                continue
