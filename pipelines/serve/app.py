"""The HTTP service as BentoML sees it: two endpoints a model, typed, with their page, health and metrics.

BentoML gives routes, OpenAPI, health and metrics. Reading of requests, batching and limits are ours; docs/serving.md
says which of BentoML's own were measured and found wanting.
"""

import logging
from collections.abc import Callable
from typing import Any

import bentoml
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse

from pipelines.config import VERSION
from pipelines.serve.batching import Batcher, Overloaded
from pipelines.serve.guard import Door, Guard, refusal
from pipelines.serve.limits import Limits
from pipelines.serve.requests import asked_many, asked_one, public
from pipelines.task import Task

logger = logging.getLogger(__name__)


SUMMARY = 'An input to `/NAME`, a list of them to `/NAME/batch`. Every error is `{"error": one sentence}`.'
REFUSALS = {
    400: "The request cannot be read",
    411: "There is no Content-Length",
    413: "The body is too large",
    422: "This input cannot be answered",
    500: "The model failed",
    503: "Too much is waiting; try again",
    504: "There was no answer in time",
}


class Answer(BaseModel):
    """One answer; what else it holds depends on the task."""

    model_config = ConfigDict(extra="allow")
    answer: str
    score: float


class Answers(BaseModel):
    """Answers in the order of the inputs; one that failed has ``error``, the reason, and nothing else."""

    answers: list[Answer]


def build(models: dict[str, tuple[Any, Batcher]], limits: Limits) -> Any:
    """Return the ASGI application.

    Args:
        models: by the name of their endpoint, a task and the queue before its model.
        limits: of every endpoint.
    """
    methods: dict[str, Any] = {}
    routes = []
    for number, (name, (task, batcher)) in enumerate(models.items()):
        batcher.observe = _observer(name)
        one = _endpoint(f"one_{number}", _answer_one(name, task, batcher), Answer)
        one.__doc__ = f"{_what(task)} in, its answer out."
        many = _endpoint(f"list_{number}", _answer_many(name, task, batcher), Answers)
        many.__doc__ = "A list in, its answers out, in order; an instance that fails fails alone."
        routes += [f"/{name}", f"/{name}/batch"]
        methods[one.__name__] = bentoml.api(one, route=routes[-2], input_spec=asked_one(task, limits))
        methods[many.__name__] = bentoml.api(many, route=routes[-1], input_spec=asked_many(task, limits))
    service = bentoml.service(type("Pipelines", (), methods), name="pipelines", traffic={"timeout": limits.timeout + 9})
    service.add_asgi_middleware(Guard, limits=limits, endpoints=frozenset(routes))
    context = bentoml.server_context  # names in the metrics
    context.service_name = context.bento_name = "pipelines"
    context.bento_version, context.service_routes = VERSION, routes
    return Door(service.to_asgi(), frozenset(routes), _described(service.openapi_spec.asdict(), routes))


def _described(spec: dict[str, Any], routes: list[str]) -> dict[str, Any]:
    """Say in BentoML's description what this service is, and with which statuses it refuses."""
    spec["info"] = {"title": "Recurrent task pipelines", "version": VERSION, "description": SUMMARY}
    error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    for route in routes:
        responses = spec["paths"][route]["post"]["responses"]
        for status in set(responses) - {"200", 200}:
            del responses[status]
        for status, why in REFUSALS.items():
            responses[str(status)] = {"description": why, "content": {"application/json": {"schema": error}}}
    return spec


def _observer(name: str) -> Callable[[int, float], None]:
    size = _BATCH_SIZE.labels(model=name)
    wait = _WAITED.labels(model=name)

    def observe(instances: int, seconds: float) -> None:
        size.observe(instances)
        wait.observe(seconds)

    return observe


_BATCH_SIZE = Histogram(
    "pipelines_batch_size", "Instances that a model answered together", ["model"], buckets=[1, 2, 4, 8, 16, 32, 64]
)
_WAITED = Histogram("pipelines_waited_seconds", "How long the oldest instance of a batch had waited", ["model"])
_FAILED = Counter("pipelines_failed_instances", "Instances answered with an error of their own", ["model"])


def _what(task: Task | type[Task]) -> str:
    return {"audio": "A recording", "image": "A picture"}.get(task.raw, "A text")


def _endpoint(name: str, work: Callable[[Any], Any], output: Any) -> Callable[..., Any]:
    async def endpoint(self: Any, given: Any, problem: str) -> Any:
        if problem:
            return refusal(400, problem)
        try:
            return await work(given)
        except Overloaded:
            return refusal(503, "too much is waiting; try again in a moment")
        except Exception:
            logger.exception("an endpoint failed")
            return refusal(500, "the model failed; the log of the server says why")

    endpoint.__name__ = endpoint.__qualname__ = name
    endpoint.__annotations__["return"] = output
    return endpoint


def _answer_one(name: str, task: Task | type[Task], batcher: Batcher) -> Callable[[Any], Any]:
    async def work(given: Any) -> JSONResponse:
        (prediction,) = await batcher.ask([given])
        answer = public(task.raw, prediction)
        _FAILED.labels(model=name).inc("error" in answer)
        return JSONResponse(answer, 422 if "error" in answer else 200)

    return work


def _answer_many(name: str, task: Task | type[Task], batcher: Batcher) -> Callable[[Any], Any]:
    async def work(given: list[Any]) -> JSONResponse:
        found = iter(await batcher.ask([one for one in given if not isinstance(one, ValueError)]))
        answers = [{"error": str(g)} if isinstance(g, ValueError) else public(task.raw, next(found)) for g in given]
        _FAILED.labels(model=name).inc(sum("error" in answer for answer in answers))
        return JSONResponse({"answers": answers})

    return work
