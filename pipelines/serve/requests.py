"""What a service takes for each kind of input, and within which limits."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.formparsers import MultiPartException
from starlette.requests import Request

from pipelines.data.audio.files import extent
from pipelines.data.images.files import inspect
from pipelines.runs.folder import finite
from pipelines.serve.limits import Limits

FILES = {"audio": "audio/*", "image": "image/*"}
"""Raw inputs that come as the bytes of a file, with their media type; every other raw input is a text."""


def from_json(raw: str, value: Any, limits: Limits) -> Any:
    """Read one instance out of JSON: a text, or the bytes of a file in base64.

    Args:
        raw: the task's ``RAW``, which names the instance in errors.
        value: what the JSON holds.
        limits: of the service.

    Raises:
        ValueError: it is something else, or beyond a limit.
    """
    if not isinstance(value, str):
        kind = "the bytes of a file in base64" if raw in FILES else "a string"
        raise ValueError(f"{raw}: expected {kind}, came {_kind(value)}")
    if raw not in FILES:
        return _text(raw, value, limits)
    try:
        content = base64.b64decode(value, validate=True)
    except ValueError:
        raise ValueError(f"{raw}: expected the bytes of a file in base64, this is no base64") from None
    return from_file(raw, content, limits)


def from_file(raw: str, content: bytes, limits: Limits) -> bytes:
    """Check the bytes of a file by its header, before they are queued; damage behind it is found by the model.

    Raises:
        ValueError: it is empty, no picture, or beyond a limit.
    """
    if not content:
        raise ValueError(f"{raw}: the file is empty (0 bytes)")
    if raw == "image" and (problem := inspect(content, whole=False).problem):
        raise ValueError(f"{raw}: {problem}")
    if raw == "audio":
        try:
            frames, channels, rate = extent(content)
        except ValueError:
            return content
        if frames / rate > limits.seconds:
            raise ValueError(f"{raw}: too long: {frames / rate:.1f} s, at most {limits.seconds:g} s are taken")
        samples = frames * channels  # a few compressed bytes may stand for gigabytes of them
        if samples > limits.samples:
            counted = f"{samples} samples over all channels"
            raise ValueError(f"{raw}: too large: {counted}, at most {limits.samples} are taken")
    return content


def _text(raw: str, value: str, limits: Limits) -> str:
    if len(value) > limits.characters:
        raise ValueError(f"{raw}: too long: {len(value)} characters, at most {limits.characters} are taken")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{raw}: holds half a surrogate pair, which is no text") from None
    return value


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), "null")


def sayable(sentence: str) -> str:
    """Return a sentence that has UTF-8: half a surrogate pair, which a request may hold, is escaped as it was there."""
    return sentence.encode("utf-8", "backslashreplace").decode("utf-8")


def public(raw: str, prediction: dict[str, Any]) -> dict[str, Any]:
    """Return what a client is told: the prediction without what it sent; only the reason where it failed.

    Numbers that JSON does not have become null. A file is called by its field, not by its place among others' files.
    """
    if "error" in prediction:
        return {"error": re.sub(r"^input \d+\b", raw, prediction["error"])}
    return {name: finite(value) for name, value in prediction.items() if name not in ("id", "input", "references")}


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


def asked_one(task: Any, limits: Limits) -> Asked:
    """Return how a request for one answer is read: a JSON object with a text, or the upload of a file."""
    raw = task.RAW

    async def text(request: Request) -> Any:
        return from_json(raw, await _field(request, raw), limits)

    async def file(request: Request) -> bytes:
        return await asyncio.to_thread(from_file, raw, await _upload(request, raw), limits)

    if raw in FILES:
        return _asked(file, "multipart/form-data", raw, {"type": "string", "format": "binary"})
    longest = {"type": "string", "maxLength": limits.characters}
    return _asked(text, "application/json", raw, longest)


def asked_many(task: Any, limits: Limits) -> Asked:
    """Return how a list is read: each instance is what is given, or the ``ValueError`` that only it is answered by."""
    raw = task.RAW

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
