"""The memory that a process may take: of the machine, and of control groups as they are laid out."""

import os
from pathlib import Path

import pytest

from pipelines.data import storage as memory

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {}, MACHINE),
        ("0::/\n", {"memory.max": "max\n"}, MACHINE),
        ("0::/\n", {"memory.max": "4096\n"}, 4096),
        ("0::/app/one\n", {"app/one/memory.max": "8192\n", "memory.max": "max\n"}, 8192),
        ("3:cpu:/\n2:memory:/docker/1\n", {"memory/docker/1/memory.limit_in_bytes": "4096"}, 4096),
        ("2:memory:/docker/1\n", {"memory/memory.limit_in_bytes": "4096"}, 4096),  # as a container sees itself
        ("2:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, MACHINE),
        ("2:cpu:/\n", {"memory/memory.limit_in_bytes": "4096"}, MACHINE),
    ],
)
def test_the_smallest_limit_counts(
    own: str, files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "OWN", tmp_path / "own")
    assert memory.available() == expected


def test_without_control_groups_it_is_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "OWN", tmp_path / "none")
    assert memory.available() == MACHINE
