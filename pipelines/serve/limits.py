"""What a service takes at most, the options of the command line that say so, and who counts what is inside."""

import argparse
import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields

OPTIONS = {
    "megabytes": ("max-megabytes", "of one request"),
    "held": (
        "max-held-megabytes",
        "of all requests of one model that wait or are answered, and as many of those still coming; then 503",
    ),
    "characters": ("max-characters", "of one text"),
    "seconds": ("max-seconds", "of one recording"),
    "samples": ("max-samples", "of one recording, all its channels together"),
    "instances": ("max-list", "inputs in one list"),
    "waiting": ("max-waiting", "inputs of one model that wait or are being answered; more are refused with 503"),
    "batch": ("max-batch", "inputs that a model answers together"),
    "timeout": ("timeout", "seconds from a request to its answer; then 504"),
    "head": ("head-timeout", "seconds until the headers of a request are complete; then 408"),
    "body": ("body-timeout", "seconds until the body of a request is complete; then 408"),
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
    head: float = 10.0
    body: float = 30.0

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
    """The requests of one model: those whose bodies are coming, and those that are complete, counted apart.

    A body that never comes takes no place of a complete request, and no bytes but those that it has sent.

    Attributes:
        requests: complete ones that wait or are being answered.
        bytes: what their bodies have together.
        coming: bodies that are not complete yet, in the order in which they began.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits, self.requests, self.bytes = limits, 0, 0
        self.coming: dict[Body, None] = {}
        self._coming_bytes = 0

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
        """Count a complete request with a body of ``length`` bytes while it is inside."""
        self.requests += 1
        self.bytes += length
        try:
            yield
        finally:
            self.requests -= 1
            self.bytes -= length

    @contextlib.contextmanager
    def receiving(self, body: "Body") -> Iterator[None]:
        """Count a body while it is coming."""
        self.coming[body] = None
        try:
            yield
        finally:
            del self.coming[body]
            self._coming_bytes -= len(body.content)

    def received(self, body: "Body", part: bytes) -> None:
        """Add what has come of a body; where all of them have too much, the one that began first is given up."""
        body.content += part
        self._coming_bytes += len(part)
        if self._coming_bytes > self.limits.held_bytes:
            next(iter(self.coming)).give_up()


@dataclass(eq=False)
class Body:
    """What has come of a body; ``give_up`` ends the waiting for the rest."""

    give_up: Callable[[], object]
    content: bytearray = field(default_factory=bytearray)


def add_options(command: argparse.ArgumentParser) -> None:
    """Describe an option for each limit."""
    for limit in fields(Limits):
        option, what = OPTIONS[limit.name]
        kind = int if isinstance(limit.default, int) else float
        text = f"{what} (default: {limit.default:.12g})"
        command.add_argument(f"--{option}", dest=limit.name, type=kind, default=limit.default, metavar="N", help=text)


def limits_of(arguments: argparse.Namespace) -> Limits:
    """Return the limits that were asked for.

    Raises:
        ValueError: see ``Limits``.
    """
    return Limits(**{limit.name: getattr(arguments, limit.name) for limit in fields(Limits)})
