"""The service as OpenAPI describes it, at ``/docs.json``."""

from typing import Any

from pipelines.config import VERSION
from pipelines.serve.reading import Asked

SUMMARY = 'An input to `/NAME`, a list of them to `/NAME/batch`. Every error is `{"error": one sentence}`.'
REFUSALS = {
    400: "The request cannot be read, or comes from a foreign page",
    408: "The request did not come in time",
    411: "There is no Content-Length",
    413: "The body is too large",
    422: "This input cannot be answered",
    500: "The model failed",
    503: "Too much is waiting; try again",
    504: "There was no answer in time",
}
SYSTEM = {
    "/livez": "Whether the process answers",
    "/readyz": "Whether the models are loaded",
    "/healthz": "Same as `/livez`",
    "/metrics": "Metrics for Prometheus",
}
ANSWER = {
    "type": "object",
    "description": "One answer; what else it holds depends on the task.",
    "required": ["answer", "score"],
    "properties": {"answer": {"type": "string"}, "score": {"type": "number"}},
    "additionalProperties": True,
}
ANSWERS = {
    "type": "object",
    "description": "In the order of the inputs; one that failed has `error`, the reason, and nothing else.",
    "required": ["answers"],
    "properties": {"answers": {"type": "array", "items": {"$ref": "#/components/schemas/Answer"}}},
}
ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def described(endpoints: dict[str, tuple[Asked, str]]) -> dict[str, Any]:
    """Return the description of a service in OpenAPI 3.

    Args:
        endpoints: by path, how requests are read and what the endpoint does, one sentence.
    """
    paths: dict[str, Any] = {
        path: {"get": {"description": what, "responses": {"200": {"description": "Yes"}}, "tags": ["Infrastructure"]}}
        for path, what in SYSTEM.items()
    }
    for path, (asked, what) in endpoints.items():
        answer = "Answers" if path.endswith("/batch") else "Answer"
        responses = {"200": _json("Answered", answer)}
        responses |= {str(status): _json(why, "Error") for status, why in REFUSALS.items()}
        body = {"required": True, "content": {asked.media: {"schema": asked.schema}}}
        paths[path] = {
            "post": {"description": what, "requestBody": body, "responses": responses, "tags": ["Models"]},
        }
    return {
        "openapi": "3.0.2",
        "info": {"title": "Recurrent task pipelines", "version": VERSION, "description": SUMMARY},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": {"Answer": ANSWER, "Answers": ANSWERS, "Error": ERROR}},
    }


def _json(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}
