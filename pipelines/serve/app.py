"""The HTTP service as an ASGI application: two endpoints a model, health, metrics, a page and its description."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pipelines.serve.batching import Batcher, Overloaded
from pipelines.serve.guard import Guard, Scope, refusal
from pipelines.serve.hosts import HostCheck
from pipelines.serve.limits import Limits
from pipelines.serve.metrics import CONTENT_TYPE, Metrics
from pipelines.serve.page import SYSTEM, described, pages
from pipelines.serve.reading import Asked, asked_many, asked_one
from pipelines.serve.requests import public
from pipelines.task import Task

logger = logging.getLogger(__name__)

Answer = Callable[[Any], Awaitable[Response]]


def build(
    models: dict[str, tuple[Task | type[Task], Batcher]],
    limits: Limits,
    listening: str = "127.0.0.1",
    name: str = "",
    allowed: Iterable[str] = (),
) -> Any:
    """Return the ASGI application.

    Args:
        models: by the name of their endpoint, a task and the queue before its model.
        limits: of every endpoint.
        listening: the address at which the server listens.
        name: as the user called that address.
        allowed: further names of hosts by which the service may be asked.
    """
    metrics = Metrics()
    endpoints: dict[str, Endpoint] = {}
    for model, (task, batcher) in models.items():
        batcher.observe = metrics.observer(model)
        failed = metrics.failed.labels(model=model)
        one, many = _answer_one(task, batcher, failed), _answer_many(task, batcher, failed)
        what = "A list in, its answers out, in order; an instance that fails fails alone."
        endpoints[f"/{model}"] = Endpoint(one, asked_one(task, limits), f"{_what(task)} in, its answer out.")
        endpoints[f"/{model}/batch"] = Endpoint(many, asked_many(task, limits), what)
    static = pages({model: (task.raw, _what(task)) for model, (task, _) in models.items()})
    static["/docs.json"] = JSONResponse(described({path: (e.asked, e.what) for path, e in endpoints.items()}))
    guarded = Guard(Service(endpoints, metrics), limits, frozenset(endpoints))
    return HostCheck(Door(Counted(guarded, metrics), frozenset(endpoints), static), listening, name, allowed)


class Endpoint:
    """Answers requests of one kind for one model."""

    def __init__(self, work: Answer, asked: Asked, what: str) -> None:
        """Take what answers, how requests are read, and a sentence that says what it does."""
        self.work, self.asked, self.what = work, asked, what

    async def __call__(self, request: Request) -> Response:
        """Answer a request; whatever is wrong is a refusal."""
        try:
            try:
                given = await self.asked.read(request)
            except ValueError as error:
                return refusal(400, str(error))
            return await self.work(given)
        except Overloaded:
            return refusal(503, "too much is waiting; try again in a moment")
        except Exception:
            logger.exception("an endpoint failed")
            return refusal(500, "the model failed; the log of the server says why")


class Service:
    """Answers at the endpoints, and says how it is."""

    def __init__(self, endpoints: dict[str, Endpoint], metrics: Metrics) -> None:
        self._endpoints, self._metrics = endpoints, metrics

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle one request for an endpoint or a path of ``SYSTEM``."""
        path = scope["path"]
        if path in self._endpoints:
            response = await self._endpoints[path](Request(scope, receive))
        elif scope["method"] not in ("GET", "HEAD"):
            response = refusal(405, f"expected GET, came {scope['method']}")
            response.headers["Allow"] = "GET"
        elif path == "/metrics":
            response = Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})
        else:
            response = PlainTextResponse("\n")
        await response(scope, receive, send)


class Counted:
    """Middleware that counts requests, for paths of which there are few; not those of Prometheus itself."""

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass one request on."""
        path = scope["path"]
        if path == "/metrics":
            await self._app(scope, receive, send)
            return
        counted, began = self._metrics.request(path), perf_counter()
        if path not in SYSTEM:
            counted.came()

        async def noted(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                counted.answered(message["status"], perf_counter() - began)
            await send(message)

        with counted.inside.track_inprogress():
            await self._app(scope, receive, noted)


class Door:
    """Answers what the service has no endpoint for, so that its metrics count endpoints, not what somebody typed."""

    def __init__(self, app: Any, endpoints: frozenset[str], static: dict[str, Response]) -> None:
        """Take the service, its endpoints, and what is always the same, by path."""
        self._app, self._known, self._static = app, endpoints | frozenset(SYSTEM), static

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle one connection of ASGI."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http":
            path = scope["path"]
            if path in self._known:
                await self._app(scope, receive, send)
                return
            missing = f"there is nothing at {path[:100]}; the page at / lists the endpoints"
            await (self._static.get(path) or refusal(404, missing))(scope, receive, send)


def _what(task: Task | type[Task]) -> str:
    return {"audio": "A recording", "image": "A picture"}.get(task.raw, "A text")


def _answer_one(task: Task | type[Task], batcher: Batcher, failed: Any) -> Answer:
    async def work(given: Any) -> JSONResponse:
        (prediction,) = await batcher.ask([given])
        answer = public(task.raw, prediction)
        failed.inc("error" in answer)
        return JSONResponse(answer, 422 if "error" in answer else 200)

    return work


def _answer_many(task: Task | type[Task], batcher: Batcher, failed: Any) -> Answer:
    async def work(given: list[Any]) -> JSONResponse:
        found = iter(await batcher.ask([one for one in given if not isinstance(one, ValueError)]))
        answers = [{"error": str(g)} if isinstance(g, ValueError) else public(task.raw, next(found)) for g in given]
        failed.inc(sum("error" in answer for answer in answers))
        return JSONResponse({"answers": answers})

    return work
