"""Adaptive batching: what waits while a model is busy is answered together next; a full queue refuses."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

Answer = Callable[[list[Any]], list[dict[str, Any]]]
Observe = Callable[[int, float], None]


class Overloaded(Exception):
    """There is no room for these instances; nothing of them was queued."""


@dataclass(eq=False)
class Job:
    """One instance that waits for its answer since ``since`` (seconds, ``time.monotonic``)."""

    instance: Any
    answer: "asyncio.Future[dict[str, Any]]"
    since: float


class Batcher:
    """The queue before one model, and the one thread in which that model works.

    A lone request is answered at once. While the model works, instances gather, and the next batch takes up to ``most``
    of them: one of each waiting request in turn, so that a long list does not hold up a single sentence. All methods
    belong to one event loop.

    Attributes:
        observe: called with the size of each batch and the seconds its oldest instance had waited.
    """

    def __init__(self, answer: Answer, most: int, waiting: int) -> None:
        """Take what answers, and the limits.

        Args:
            answer: instances to as many answers; called in a thread of its own, never twice at a time.
            most: instances a batch.
            waiting: instances that wait or are being answered; more are refused.
        """
        self.most, self.limit = most, waiting
        self.observe: Observe = lambda size, seconds: None
        self._answer = answer
        self._thread = ThreadPoolExecutor(1)
        self._requests: deque[deque[Job]] = deque()
        self._busy = 0
        self._work: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Instances that wait or are being answered."""
        return self._busy + sum(map(len, self._requests))

    async def ask(self, instances: Sequence[Any]) -> list[dict[str, Any]]:
        """Answer instances in order. When the caller is cancelled, what has not begun is dropped.

        Raises:
            Overloaded: there is no room for all of them.
        """
        if not instances:
            return []
        if self.waiting + len(instances) > self.limit:
            raise Overloaded
        loop = asyncio.get_running_loop()
        jobs = deque(Job(instance, loop.create_future(), time.monotonic()) for instance in instances)
        answers = asyncio.gather(*(job.answer for job in jobs))
        self._requests.append(jobs)
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._until_empty())
        try:
            return await answers
        finally:
            if jobs and jobs in self._requests:
                self._requests.remove(jobs)

    async def _until_empty(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._take():
            self._busy = len(batch)
            self.observe(len(batch), time.monotonic() - min(job.since for job in batch))
            try:
                answers = await loop.run_in_executor(self._thread, self._answer, [job.instance for job in batch])
                for job, answer in zip(batch, answers, strict=True):
                    if not job.answer.done():
                        job.answer.set_result(answer)
            except Exception as error:
                for job in batch:
                    if not job.answer.done():
                        job.answer.set_exception(error)
            finally:
                self._busy = 0

    def _take(self) -> list[Job]:
        batch: list[Job] = []
        while self._requests and len(batch) < self.most:
            jobs = self._requests.popleft()
            batch.append(jobs.popleft())
            if jobs:
                self._requests.append(jobs)
        return batch

    def close(self) -> None:
        """Let the thread end after the batch it works on."""
        self._thread.shutdown(wait=False, cancel_futures=True)
