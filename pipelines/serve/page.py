"""The page at ``/`` that shows the endpoints and tries them, and the OpenAPI description of them; both load nothing."""

from html import escape
from typing import Any

from starlette.responses import HTMLResponse, Response

from pipelines.config import VERSION
from pipelines.serve.reading import Asked

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Recurrent task pipelines</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="./static_content/page.css"></head>
<body><main><h1>Recurrent task pipelines</h1>
<p>An input to <code>/NAME</code>, a list of them to <code>/NAME/batch</code>. Every error is
<code>{"error": one sentence}</code>. All of it as OpenAPI: <a href="./docs.json">docs.json</a>; for Prometheus:
<a href="./metrics">metrics</a>.</p>
FORMS
</main><script src="./static_content/page.js"></script></body></html>
"""
SCRIPT = """for (const form of document.forms) form.addEventListener("submit", async event => {
  event.preventDefault();
  const input = form.querySelector("textarea, input"), shown = form.querySelector("pre");
  const request = {method: "POST"};
  if (input.type === "file") {
    request.body = new FormData();
    request.body.append(form.dataset.field, input.files[0] || new Blob());
  } else {
    request.headers = {"Content-Type": "application/json"};
    request.body = JSON.stringify({[form.dataset.field]: input.value});
  }
  shown.textContent = "...";
  try {
    const response = await fetch(form.dataset.path, request);
    shown.textContent = response.status + " " + JSON.stringify(await response.json(), null, 2);
  } catch (error) {
    shown.textContent = String(error);
  }
});
"""
STYLE = """body { font: 16px/1.5 system-ui, sans-serif; margin: 0 }
main { max-width: 46rem; margin: auto; padding: 1rem }
form { border-top: 1px solid #8888 } h2 { font-size: 1.1rem }
textarea { box-sizing: border-box; display: block; width: 100%; height: 5rem; font: inherit; margin-bottom: .5rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
:root { color-scheme: light dark }
"""


def pages(models: dict[str, tuple[str, str]]) -> dict[str, Response]:
    """Return what a browser loads, by path.

    Args:
        models: by the name of their endpoint, the field of a request and what it holds: ``A text``, ``A recording`` or
            ``A picture``.
    """
    forms = "".join(_form(escape(name), escape(raw), what) for name, (raw, what) in models.items())
    return {
        "/": HTMLResponse(PAGE.replace("FORMS", forms), headers=HEADERS),
        "/static_content/page.js": Response(SCRIPT, media_type="text/javascript", headers=HEADERS),
        "/static_content/page.css": Response(STYLE, media_type="text/css", headers=HEADERS),
    }


def _form(name: str, raw: str, what: str) -> str:
    media = {"A recording": "audio/*", "A picture": "image/*"}.get(what)
    box = f'<input type="file" accept="{media}">' if media else "<textarea></textarea>"
    return (
        f'<form data-path="./{name}" data-field="{raw}"><h2>POST <code>/{name}</code></h2>'
        f'<p>{what} in, its answer out.</p>{box}<button>Ask</button><pre role="status"></pre></form>\n'
    )


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
