"""The page at ``/`` that shows the endpoints and tries them, with its script and style; loads nothing else."""

from html import escape

from starlette.responses import HTMLResponse, Response

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
