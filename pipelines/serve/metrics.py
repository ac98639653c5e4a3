"""What Prometheus reads at ``/metrics``: requests by endpoint and status, batches by model, the process itself.

Metrics of requests are called as those of BentoML, on which the service was built before, and have its labels, so that
dashboards and alerts go on working.
"""

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from pipelines.config import VERSION

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 180)
NAMES = {"runner_name": "pipelines", "service_name": "pipelines", "service_version": VERSION}


class Metrics:
    """The metrics of one service.

    Attributes:
        failed: instances answered with an error of their own, by model.
    """

    def __init__(self) -> None:
        disable_created_metrics()
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        of_request, status = ["endpoint", *NAMES], ["endpoint", "http_response_code", *NAMES]
        self._batch_size = Histogram(
            "pipelines_batch_size",
            "Instances that a model answered together",
            ["model"],
            buckets=[1, 2, 4, 8, 16, 32, 64],
            registry=registry,
        )
        self._waited = Histogram(
            "pipelines_waited_seconds",
            "How long the oldest instance of a batch had waited",
            ["model"],
            registry=registry,
        )
        self.failed = Counter(
            "pipelines_failed_instances",
            "Instances answered with an error of their own",
            ["model"],
            registry=registry,
        )
        prefix = "bentoml_service_"
        self._duration = Histogram(
            f"{prefix}request_duration_seconds", "Seconds to the answer", status, buckets=SECONDS, registry=registry
        )
        self._total = Counter(f"{prefix}request", "Requests", status, registry=registry)
        self._inside = Gauge(f"{prefix}request_in_progress", "Requests being answered", of_request, registry=registry)
        self._last = Gauge(
            f"{prefix}last_request_timestamp_seconds", "When the last request came", [*NAMES], registry=registry
        )
        self._requests: dict[str, Request] = {}

    def observer(self, model: str) -> Callable[[int, float], None]:
        """Return what counts the batches of a model: called with their size and the seconds that they waited."""
        size, waited = self._batch_size.labels(model=model), self._waited.labels(model=model)
        self.failed.labels(model=model)

        def observe(instances: int, seconds: float) -> None:
            size.observe(instances)
            waited.observe(seconds)

        return observe

    def request(self, endpoint: str) -> "Request":
        """Return what counts the requests of an endpoint; there must be few endpoints."""
        if endpoint not in self._requests:
            self._requests[endpoint] = Request(self, endpoint)
        return self._requests[endpoint]

    def text(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        return generate_latest(self._registry)


class Request:
    """Counts the requests of one endpoint; looks labels up once, which is what takes the time."""

    def __init__(self, metrics: Metrics, endpoint: str) -> None:
        self._metrics, self._endpoint = metrics, endpoint
        self.inside = metrics._inside.labels(endpoint=endpoint, **NAMES)
        self._last = metrics._last.labels(**NAMES)
        self._counts: dict[int, tuple[Any, Any]] = {}
        for status in (200, 500):
            self._of(status)

    def _of(self, status: int) -> tuple[Any, Any]:
        if status not in self._counts:
            labels = {"endpoint": self._endpoint, "http_response_code": status} | NAMES
            self._counts[status] = self._metrics._total.labels(**labels), self._metrics._duration.labels(**labels)
        return self._counts[status]

    def came(self) -> None:
        """Note when a request came."""
        self._last.set(time.time())

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        total, duration = self._of(status)
        total.inc()
        duration.observe(seconds)
