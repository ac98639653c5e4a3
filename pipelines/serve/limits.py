"""What a service takes at most, the options of the command line that say so, and who counts what is inside."""

import argparse
import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

OPTIONS = {
    "megabytes": ("max-megabytes", "of one request"),
    "held": ("max-held-megabytes", "of all requests of one model that wait or are being answered; then 503"),
    "characters": ("max-characters", "of one text"),
    "seconds": ("max-seconds", "of one recording"),
    "samples": ("max-samples", "of one recording, all its channels together"),
    "instances": ("max-list", "inputs in one list"),
    "waiting": ("max-waiting", "inputs of one model that wait or are being answered; more are refused with 503"),
    "batch": ("max-batch", "inputs that a model answers together"),
    "timeout": ("timeout", "seconds from a request to its answer; then 504"),
}


@dataclass(frozen=True)
class Limits:
    """What a service takes at most; ``OPTIONS`` says of what each is the limit.

    Raises:
        ValueError: a limit that nothing can meet; names its option.
    """

    megabytes: float = 16.0
    held: float = 256.0
    characters: int = 20_000
    seconds: float = 60.0
    samples: int = 30_000_000  # the longest in stereo at 192 kHz has 23 million; read as float32, these are 120 MB
    instances: int = 64
    waiting: int = 128
    batch: int = 32
    timeout: float = 30.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise ValueError(f"--{OPTIONS[name][0]}: expected a number above 0, came {value}")
        if self.megabytes > self.held:
            option = f"--max-megabytes {self.megabytes:g}"
            raise ValueError(f"{option}: is more than can be held, --max-held-megabytes {self.held:g}")
        if self.instances > self.waiting:
            raise ValueError(f"--max-list {self.instances}: is more than can wait, --max-waiting {self.waiting}")

    @property
    def bytes(self) -> int:
        """Largest body of a request."""
        return int(self.megabytes * 1e6)

    @property
    def held_bytes(self) -> int:
        """What the bodies of one model's requests may have together."""
        return int(self.held * 1e6)


class Inside:
    """The requests of one model that wait or are being answered: their number and the bytes of their bodies.

    Attributes:
        requests: how many they are.
        bytes: what their bodies have together, by the lengths that the requests announced.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits, self.requests, self.bytes = limits, 0, 0

    def problem(self, length: int) -> str:
        """Return why a request with a body of ``length`` bytes must come later, "" when it may come in."""
        if self.requests >= self.limits.waiting:
            return "too much is waiting; try again in a moment"
        if self.bytes + length > self.limits.held_bytes:
            held = f"{self.bytes} bytes are waiting, {length} more would be beyond {self.limits.held_bytes}"
            return f"{held}; try again in a moment"
        return ""

    @contextlib.contextmanager
    def let_in(self, length: int) -> Iterator[None]:
        """Count a request with a body of ``length`` bytes while it is inside."""
        self.requests += 1
        self.bytes += length
        try:
            yield
        finally:
            self.requests -= 1
            self.bytes -= length


def add_options(command: argparse.ArgumentParser) -> None:
    """Describe an option for each limit."""
    for field in fields(Limits):
        option, what = OPTIONS[field.name]
        kind = int if isinstance(field.default, int) else float
        text = f"{what} (default: {field.default:.12g})"
        command.add_argument(f"--{option}", dest=field.name, type=kind, default=field.default, metavar="N", help=text)


def limits_of(arguments: argparse.Namespace) -> Limits:
    """Return the limits that were asked for.

    Raises:
        ValueError: see ``Limits``.
    """
    return Limits(**{field.name: getattr(arguments, field.name) for field in fields(Limits)})
