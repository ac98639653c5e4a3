"""What the page refuses, in sentences: texts, files, recordings and pictures beyond a size, and work beyond a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipelines.data.audio.files import extent

MOST_CHARACTERS = 3000
MOST_BYTES = 10_000_000  # of an uploaded file
MOST_SECONDS = 30.0  # of sound
MOST_SAMPLES = 15_000_000  # of sound, all channels together; 60 MB as float32
MOST_PIXELS = 25_000_000
HEAD_SECONDS = 10.0  # until the headers of a request are complete
PATIENCE = 90.0  # seconds that an answer may take, waiting for earlier ones included


def text_within(text: Any, most: int = MOST_CHARACTERS) -> str:
    """Return a text as it is.

    Raises:
        ValueError: nothing but white space, more than ``most`` characters, or half a surrogate pair.
    """
    text = str(text or "")
    if not text.strip():
        raise ValueError("There is no text yet: write some, or choose an example.")
    if len(text) > most:
        raise ValueError(f"The text has {len(text):,} characters; at most {most:,} are read here.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("The text holds half a surrogate pair, which is no character.")
    return text


def file_within(path: Any, kind: str, most: int = MOST_BYTES) -> bytes:
    """Return the content of an uploaded file.

    Args:
        path: where it lies; None when nothing was uploaded.
        kind: what it is called in the sentence, e.g. ``recording``.
        most: bytes.

    Raises:
        ValueError: no file, an empty one, or one of more than ``most`` bytes.
    """
    if not path or not Path(path).is_file():
        raise ValueError(f"There is no {kind} yet: give one, or choose an example.")
    size = Path(path).stat().st_size
    if not size:
        raise ValueError(f"The {kind} is an empty file.")
    if size > most:
        raise ValueError(f"The {kind} has {size / 1e6:.1f} MB; at most {most / 1e6:g} MB are read here.")
    return Path(path).read_bytes()


def sound_within(content: bytes, most: float = MOST_SECONDS) -> bytes:
    """Return the bytes of a recording, unread but for its header.

    Raises:
        ValueError: no format of libsndfile, longer than ``most`` seconds, or of more than ``MOST_SAMPLES``.
    """
    try:
        frames, channels, rate = extent(content)
    except ValueError:
        raise ValueError("This is no recording that can be read: expected WAV, FLAC, OGG or MP3.") from None
    seconds, samples = frames / rate, frames * channels
    if seconds > most:
        length = f"{seconds:,.0f} seconds" if seconds < 1e6 else "no stated end"
        raise ValueError(f"The recording has {length}; at most {most:g} seconds are heard here.")
    if samples > MOST_SAMPLES:
        counted = f"{samples:,} samples over all channels"
        raise ValueError(f"The recording has {counted}; at most {MOST_SAMPLES:,} are read here.")
    return content


class Worker:
    """One thread that answers one request after the other, so that a busy page cannot fill the memory.

    A computation cannot be killed; the limits above bound what is left running when somebody's patience has ended.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        """Start the thread; ``patience`` in seconds."""
        self.patience = patience
        self.pool = ThreadPoolExecutor(1)

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call ``function`` in the thread and return what it returns.

        Raises:
            RuntimeError: it took longer than the patience.
        """
        future = self.pool.submit(function, *arguments)
        try:
            return future.result(self.patience)
        except TimeoutError:
            future.cancel()
            raise RuntimeError(f"There was no answer within {self.patience:g} seconds; shorter is sooner.") from None
