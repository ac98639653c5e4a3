"""The page behind a socket: nothing comes from elsewhere, nothing large comes in, nobody else's page can ask."""

import os
import socket
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.serve.hosts import HostCheck
from pipelines.web.answers import Page, warm
from pipelines.web.limits import HEAD_SECONDS, MOST_BYTES, Worker

# Read when Gradio is imported: no statistics, no look for a newer version, no list of past runs in the browser.
os.environ.update(
    GRADIO_ANALYTICS_ENABLED="False",
    GRADIO_RUN_HISTORY="False",
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
)
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Couldn't find ff", RuntimeWarning)  # pydub; sound is read by libsndfile
    import gradio as gr
import fastapi
import uvicorn
from gradio.processing_utils import save_file_to_cache

from pipelines.serve.connections import HEAD_BYTES, most_connections, protocol
from pipelines.web.drawing import CSS
from pipelines.web.tabs import build
from pipelines.web.uploads import Uploads

MOST_BODY = 2 * MOST_BYTES  # of any request; an upload is refused beyond `MOST_BYTES` by Gradio
FONTS = ["system-ui", "sans-serif"]  # a name alone is looked for on the reader's machine, never on the network
HEADERS = {
    b"content-security-policy": b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}


def serve(
    pages: Sequence[tuple[str, Page | str]],
    worker: Worker,
    listener: socket.socket,
    host: str,
    allowed: Sequence[str] = (),
) -> None:
    """Answer at ``listener`` until SIGINT or SIGTERM; uploads are deleted at the end at the latest.

    Args:
        pages: as `web_tabs.build` takes them.
        worker: of the pages.
        listener: bound and listening.
        host: as it was asked for.
        allowed: further names of hosts by which the page may be asked.
    """
    with tempfile.TemporaryDirectory(prefix="pipelines-web-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "uploads")
        examples = Path(folder) / "examples"
        blocks = build(pages, examples)
        app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        app.add_middleware(Uploads, examples=_cached(examples))
        app.add_middleware(HostCheck, listening=listener.getsockname()[0], name=host, allowed=allowed)
        app.add_middleware(Guard)
        gr.mount_gradio_app(
            app,
            blocks,
            path="/",
            server_name=host,
            server_port=listener.getsockname()[1],
            footer_links=[],
            allowed_paths=[str(examples)],
            show_error=False,
            max_file_size=MOST_BYTES,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            theme=gr.themes.Default(primary_hue="violet", font=FONTS, font_mono=["monospace"]),
            css=CSS,
        )
        worker.pool.submit(warm, [page for _, page in pages if isinstance(page, Page)])
        config = uvicorn.Config(
            app,
            http=protocol(HEAD_SECONDS, most_connections(), half_closed=False),
            ws="none",
            h11_max_incomplete_event_size=HEAD_BYTES,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            worker.pool.shutdown(wait=False, cancel_futures=True)


def _cached(examples: Path) -> list[str]:
    """Return the paths of the examples, and of the copies that Gradio makes of them among the uploads."""
    uploads, files = os.environ["GRADIO_TEMP_DIR"], [path for path in examples.rglob("*") if path.is_file()]
    return [str(path) for path in files] + [save_file_to_cache(str(path), cache_dir=uploads) for path in files]


class Guard:
    """Middleware: refuses a body of more than ``MOST_BODY`` bytes, and adds ``HEADERS`` to every answer."""

    def __init__(self, app: Any) -> None:
        """Stand before ``app``, an ASGI application."""
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass one connection on."""
        total = 0

        async def counted() -> Any:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > MOST_BODY:
                raise fastapi.HTTPException(413, f"at most {MOST_BODY:,} bytes are read here")
            return message

        async def headed(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS.items()]
            await send(message)

        await self.app(scope, counted if scope["type"] == "http" else receive, headed)
