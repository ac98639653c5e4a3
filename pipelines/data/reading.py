"""Open user files: regular files only, and text as UTF-8, or as UTF-16 if it begins with a byte order mark.

Pipes and devices are refused, because reading them may never end. All errors are a ValueError with one sentence. Bytes
that cannot be decoded are kept as surrogates, which `broken` finds; they are never replaced.
"""

import bz2
import codecs
import gzip
import hashlib
import io
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
LONGEST_LINE = 2**26
"""Most characters of a line. It bounds the memory for a small archive that unpacks to one endless line."""
_HEAD = 4096
_HALF = re.compile(r"[\ud800-\udfff]")
_INVALID = re.compile(r"[\udc80-\udcff]")  # bytes that are no UTF-8, as "surrogateescape" leaves them
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a regular file in binary mode; links are followed.

    Raises:
        ValueError: the file does not exist, is a folder, pipe, device or socket, or is not readable.
    """
    try:
        # A pipe that nobody writes would block here for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise ValueError(f"{os.fspath(path)}: {_reason(path, error)}") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise ValueError(f"{os.fspath(path)}: expected a file, found {_KINDS.get(stat.S_IFMT(mode), 'no file')}")
    return open(descriptor, "rb")


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the bytes of a regular file of at most ``most`` bytes.

    Raises:
        ValueError: as `open_regular`, the file is larger, or the disk fails.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"{os.fspath(path)}: has {size:,} bytes, at most {most:,} are read")
        try:
            return file.read(most)
        except OSError as error:
            raise ValueError(f"{os.fspath(path)}: cannot be read: {error.strerror or error}") from None


def _reason(path: str | os.PathLike[str], error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return (
            f"is a link to {os.readlink(path)}, which is not there" if os.path.islink(path) else "there is no such file"
        )
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _as_half(error: UnicodeError) -> tuple[str, int]:
    """Decode invalid UTF-16 to a lone surrogate, which `broken` finds."""
    return "\udbff", cast(UnicodeDecodeError, error).end


codecs.register_error("pipelines.half", _as_half)


def decoded(raw: BinaryIO, head: bytes, newline: str = "", name: str = "") -> io.TextIOWrapper:
    """Read a binary stream as text: UTF-8 with or without byte order mark, or UTF-16 with one.

    Args:
        raw: the stream, at its beginning.
        head: its first bytes.
        newline: see ``io.TextIOWrapper``: an empty string splits at every kind of line end, a line feed only there.
        name: name of the file, for errors.

    Raises:
        ValueError: the stream looks like UTF-16 without a byte order mark.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return io.TextIOWrapper(raw, encoding="utf-16", errors="pipelines.half", newline=newline)
    halves = (head[0::2], head[1::2])
    if len(head) > 1 and any(half.count(0) > 0.4 * len(half) for half in halves):
        raise ValueError(f"{name}: expected UTF-8, came zero bytes as UTF-16 without its mark has; save it as UTF-8")
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def open_text(path: Path, newline: str = "") -> TextIO:
    """Open a plain or compressed text file, see `decoded`; undecodable bytes stay as `broken` finds them.

    Raises:
        ValueError: as `open_regular` and `decoded`.
    """
    raw = open_bytes(path)
    try:
        head = raw.read(_HEAD)
        raw.seek(0)
        return decoded(raw, head, newline, str(path))
    except BaseException:
        raw.close()
        raise


def open_bytes(path: Path) -> BinaryIO:
    """Open a plain or compressed file in binary mode, unpacked.

    Raises:
        ValueError: as `open_regular`.
    """
    file = open_regular(path)
    opener = PACKED.get(path.suffix.lower())
    if opener is None:
        return file
    file.close()
    return cast(BinaryIO, opener(path, "rb"))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn every error of reading or unpacking a file within the context into a ValueError that names it."""
    try:
        yield
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def lines(path: Path, newline: str = "") -> Iterator[str]:
    """Stream the lines of a plain or compressed text file with their ends.

    Raises:
        ValueError: the file cannot be read, or a line is longer than ``LONGEST_LINE``.
    """
    with readable(path), open_text(path, newline) as file:
        yield from lines_of(file, str(path))


def lines_of(file: TextIO, name: str) -> Iterator[str]:
    """Stream the lines of an open text with their ends.

    Raises:
        ValueError: a line is longer than ``LONGEST_LINE``; names it.
    """
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise ValueError(f"{name}:{number}: the line has more than {LONGEST_LINE:,} characters; is this a text?")
        yield line


def broken(text: str) -> str:
    """Return why a text is invalid (undecodable bytes, lone surrogates); an empty string if it is valid."""
    if text.isascii():
        return ""
    if _INVALID.search(text):
        return "is not valid UTF-8"
    return "holds half of a surrogate pair, which is no character" if _HALF.search(text) else ""


def text_of(content: bytes) -> str:
    """Decode bytes as UTF-8, or as UTF-16 with a byte order mark.

    Raises:
        ValueError: they are neither.
    """
    try:
        return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not valid {error.encoding.upper()}: {error.reason} at byte {error.start}") from None


def whole_text(path: Path) -> str:
    """Return the content of a text file, see `decoded`.

    Raises:
        ValueError: the file is not readable, or a line is not valid; names file and line.
    """
    text = "".join(lines(path))
    for number, line in enumerate(text.split("\n") if broken(text) else (), start=1):
        if broken(line):
            raise ValueError(f"{path}:{number}: the text {broken(line)}")
    return text


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
