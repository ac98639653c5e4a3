"""A memory budget for decoding pictures: a semaphore counted in pixels, shared by all models of a process."""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator, Sequence

from PIL import Image

from pipelines.serve.batching import Answer


class PixelBudget:
    """Lets so many pixels be decoded at the same time; who needs more than are left waits.

    Within one model pictures are decoded in the order of their batch, large ones alone, so that a model needs no more
    than ``most`` at a time; this bounds several models together.
    """

    def __init__(self, most: int) -> None:
        """Allow ``most`` pixels."""
        self.most, self.taken = most, 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Hold so many pixels, all of the budget where they are more than it; waits until they are free."""
        pixels = min(pixels, self.most)
        with self._changed:
            self._changed.wait_for(lambda: self.taken + pixels <= self.most)
            self.taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self.taken -= pixels
                self._changed.notify_all()

    def bounding(self, answer: Answer) -> Answer:
        """Return ``answer``, from pictures to predictions, so that it holds the pixels of a batch while it works."""

        def bounded(pictures: list[bytes]) -> list[dict[str, object]]:
            with self.take(pixels_of(pictures)):
                return answer(pictures)

        return bounded


def pixels_of(pictures: Sequence[bytes]) -> int:
    """Return height times width of pictures by their headers, summed; one without a header has none."""
    total = 0
    for content in pictures:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            contextlib.suppress(Exception),  # the model says what is wrong with it
            Image.open(io.BytesIO(content)) as picture,
        ):
            total += picture.width * picture.height
    return total
