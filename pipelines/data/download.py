"""Fetch archives from public addresses: verified by SHA-256, resumed after a cut, unpacked without trusting names."""

import contextlib
import http.client
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from tqdm import tqdm

from pipelines.data.reading import sha256

_BLOCK = 1 << 18
_SECONDS = 30  # without a byte, before a connection counts as cut


def fetch(url: str, path: Path, expected: str, most_bytes: int, attempts: int = 3) -> None:
    """Download ``url`` to ``path``; a file that is there and right is kept, a part that is there is continued.

    Args:
        url: http or https.
        path: file to write, through ``NAME.part`` beside it.
        expected: hexadecimal SHA-256 that the file must have.
        most_bytes: the download stops beyond this size.
        attempts: how often to continue after a cut connection.

    Raises:
        ValueError: another kind of address, or a sum that is none.
        RuntimeError: the server refused, the connection was cut too often, or size or sum are wrong.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{url}: expected an http or https address")
    if len(expected) != 64 or set(expected) - set("0123456789abcdef"):
        raise ValueError(f"{url}: expected a SHA-256 of 64 hexadecimal digits, came {expected!r}")
    if path.is_file() and sha256(path) == expected:
        return
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    _continue(url, part, most_bytes, attempts)
    found = sha256(part)
    if found != expected:
        part.unlink()
        raise RuntimeError(f"{url}: is not the file that was recorded: expected SHA-256 {expected}, came {found}")
    part.replace(path)


def _continue(url: str, part: Path, most_bytes: int, attempts: int) -> None:
    for attempt in range(1, attempts + 1):
        try:
            _append(url, part, most_bytes)
            return
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing is left to send: what is there is whole, or wrong, and its sum will tell
                return
            raise RuntimeError(f"{url}: the server answered {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            if attempt == attempts:
                raise RuntimeError(f"{url}: {error}; the same command continues where it stopped") from None


def _append(url: str, part: Path, most_bytes: int) -> None:
    """Ask for what ``part`` lacks and append it; from the beginning when the server cannot continue."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        if answer.status != 206:
            start = 0
        announced = answer.headers.get("Content-Length")
        total = start + int(announced) if announced else None
        if total is not None and total > most_bytes:
            raise RuntimeError(f"{url}: has {total} bytes, expected at most {most_bytes}")
        bar = tqdm(
            total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=not sys.stderr.isatty()
        )
        with open(part, "ab" if start else "wb") as file, bar:
            while block := answer.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
                if file.tell() > most_bytes:
                    part.unlink()
                    raise RuntimeError(f"{url}: has more than the expected {most_bytes} bytes")
            if total is not None and file.tell() < total:
                raise ConnectionError(f"the connection was cut after {file.tell()} of {total} bytes")


def unpack(archives: list[Path], folder: Path, most_bytes: int) -> None:
    """Unpack tar (also compressed) and zip archives into a new folder, which appears only when all is there.

    Only plain files and folders are written, with names that stay inside; rights, owners and links are not taken
    over. Files that macOS adds (``._NAME``, ``__MACOSX``) are left out.

    Raises:
        RuntimeError: ``folder`` exists, an archive cannot be read, holds a link or device or a name that leads
            outside, or unpacks to more than ``most_bytes``. Nothing is left behind.
    """
    if folder.exists():
        raise RuntimeError(f"{folder}: exists already; remove it, or name another folder with --out")
    staging = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        left = most_bytes
        for archive in archives:
            left -= _unpack_one(archive, staging, left)
        staging.replace(folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise RuntimeError(f"{archive}: cannot be unpacked: {error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unpack_one(archive: Path, staging: Path, most_bytes: int) -> int:
    written = 0
    staging.mkdir(parents=True, exist_ok=True)
    for name, source in _members(archive):
        if any(part.startswith("._") or part == "__MACOSX" for part in PurePosixPath(name).parts):
            continue
        target = staging / _inside(archive, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with source, open(target, "wb") as file:
            while block := source.read(_BLOCK):
                written += len(block)
                if written > most_bytes:
                    raise RuntimeError(f"{archive}: unpacks to more than the expected {most_bytes} bytes")
                file.write(block)
    return written


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and content of every plain file; folders are made as they are needed."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if (info.external_attr >> 16) & 0o170000 == 0o120000:
                    raise RuntimeError(f"{archive}: holds {info.filename!r}, which is a link: refused")
                if not info.is_dir():
                    yield info.filename, packed.open(info)
        return
    with contextlib.closing(tarfile.open(archive, "r:*")) as tar:
        for member in tar:
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise RuntimeError(f"{archive}: holds {member.name!r}, which is no plain file: refused")
            yield member.name, content


def _inside(archive: Path, name: str) -> PurePosixPath:
    """Refuse names that are absolute, climb, or mean something else on another system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name or ":" in name or "\0" in name:
        raise RuntimeError(f"{archive}: holds {name!r}, a name that leads outside: refused")
    return path
