"""What a service takes for each kind of input, and within which limits; knows no HTTP."""

import base64
import re
from typing import Any

from pipelines.data.audio.files import extent
from pipelines.data.images.files import inspect
from pipelines.runs.folder import finite
from pipelines.serve.limits import Limits

FILES = {"audio": "audio/*", "image": "image/*"}
"""Raw inputs that come as the bytes of a file, with their media type; every other raw input is a text."""


def from_json(raw: str, value: Any, limits: Limits) -> Any:
    """Read one instance out of JSON: a text, or the bytes of a file in base64.

    Args:
        raw: the task's ``raw``, which names the instance in errors.
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
