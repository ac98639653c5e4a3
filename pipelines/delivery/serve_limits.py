"""What a service takes at most, and the options of the command line that say so."""

import argparse
import math
from dataclasses import dataclass, fields

OPTIONS = {
    "megabytes": ("max-megabytes", "of one request"),
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
        if self.instances > self.waiting:
            raise ValueError(f"--max-list {self.instances}: is more than can wait, --max-waiting {self.waiting}")

    @property
    def bytes(self) -> int:
        """Largest body of a request."""
        return int(self.megabytes * 1e6)


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
