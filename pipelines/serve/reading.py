"""How HTTP requests of an endpoint are read: JSON, a form with a file, or the bytes of a file."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.formparsers import MultiPartException
from starlette.requests import Request

from pipelines.serve.limits import Limits
from pipelines.serve.requests import FILES, from_file, from_json
from pipelines.task import Task

Read = Callable[[Request], Awaitable[Any]]


@dataclass(frozen=True)
class Asked:
    """How requests of an endpoint are read.

    Attributes:
        read: returns what a request holds; raises ``ValueError`` where it cannot be read.
        media: the media type of its body.
        schema: of its body, as OpenAPI has it.
    """

    read: Read
    media: str
    schema: dict[str, Any]


def asked_one(task: Task | type[Task], limits: Limits) -> Asked:
    """Return how a request for one answer is read: a JSON object with a text, or the upload of a file."""
    raw = task.raw

    async def text(request: Request) -> Any:
        return from_json(raw, await _field(request, raw), limits)

    async def file(request: Request) -> bytes:
        return await asyncio.to_thread(from_file, raw, await _upload(request, raw), limits)

    if raw in FILES:
        return _asked(file, "multipart/form-data", raw, {"type": "string", "format": "binary"})
    longest = {"type": "string", "maxLength": limits.characters}
    return _asked(text, "application/json", raw, longest)


def asked_many(task: Task | type[Task], limits: Limits) -> Asked:
    """Return how a list is read: each instance is what is given, or the ``ValueError`` that only it is answered by."""
    raw = task.raw

    def each(values: list[Any]) -> list[Any]:
        found: list[Any] = []
        for value in values:
            try:
                found.append(from_json(raw, value, limits))
            except ValueError as error:
                found.append(error)
        return found

    async def read(request: Request) -> list[Any]:
        values = await _field(request, "inputs")
        if not isinstance(values, list) or not 0 < len(values) <= limits.instances:
            came = f"{len(values)} of them" if isinstance(values, list) else "something else"
            raise ValueError(f"inputs: expected a list of 1 to {limits.instances} instances, came {came}")
        return await asyncio.to_thread(each, values)

    items = {"type": "string"} | ({"contentEncoding": "base64", "contentMediaType": FILES[raw]} if raw in FILES else {})
    schema = {"type": "array", "items": items, "minItems": 1, "maxItems": limits.instances}
    return _asked(read, "application/json", "inputs", schema)


def _asked(read: Read, media: str, field: str, schema: dict[str, Any]) -> Asked:
    return Asked(read, media, {"type": "object", "properties": {field: schema}, "required": [field]})


async def _field(request: Request, name: str) -> Any:
    body = await request.body()
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is no JSON: {error}") from None
    if not isinstance(values, dict) or name not in values:
        raise ValueError(f"expected a JSON object with the field {name}")
    if len(values) > 1:
        raise ValueError(f"expected the field {name} alone, came {', '.join(sorted(values))[:200]}")
    return values[name]


async def _upload(request: Request, name: str) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == FILES[name].replace("*", kind.partition("/")[2]) or kind == "application/octet-stream":
        return await request.body()
    if kind == "multipart/form-data":
        try:
            form = await request.form(max_files=1, max_fields=0)
        except MultiPartException as error:
            raise ValueError(f"the upload cannot be read: {error.message}") from None
        file = form.get(name)
        if file is not None and not isinstance(file, str):
            return await file.read()
    media = FILES[name].replace("*", "...")
    raise ValueError(f"expected a file in the field {name} of a form, or its bytes alone as {media}")
