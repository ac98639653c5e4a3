"""The HTTP service: ``pipelines serve RUN_OR_EXPORT ...``. Whatever is wrong is said before TensorFlow is imported."""

import argparse
import contextlib
import ipaddress
import json
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.export.formats import need
from pipelines.log import import_tensorflow
from pipelines.runs.folder import open_run
from pipelines.serve.hosts import add_option
from pipelines.serve.limits import Limits, add_options, limits_of
from pipelines.tasks import TASKS

INSTALL = "pip install -e '.[serve]'"
RESERVED = frozenset({"livez", "readyz", "healthz", "metrics", "static_content"})
BACKLOG = 1024
"""Connections that the system holds until they are accepted."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Describe the arguments of ``pipelines serve``."""
    command.add_argument("source", nargs="+", metavar="[NAME=]RUN", help="run folder or exported SavedModel")
    command.add_argument("--port", type=int, default=3000, help="port (default: 3000; 0 takes a free one)")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    command.add_argument("--encoder-weights", metavar="FILE", help="weights of a captioning run's frozen network")
    add_option(command)
    add_options(command)
    command.epilog = "An endpoint is called like its task, or NAME. Ctrl-C answers what was accepted and stops."


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it; print the address when the first request can come.

    Raises:
        ValueError: a package is missing or of another version, the port is taken, or a source is no run and no export.
        RuntimeError: the service could not start.
    """
    a = arguments
    limits = limits_of(a)
    need("serve", f"serve needs Starlette and Uvicorn: {INSTALL}")
    sources = [named(source) for source in a.source]
    for _, source in sources:
        if not (source / "saved_model.pb").exists():
            open_run(source)
    with listening(a.host, a.port) as listener:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # another process's counts must not be added to ours
        import_tensorflow()
        models = _models(sources, a.encoder_weights, limits)
        return _serve(models, limits, listener, a.host, a.allow_host)


def named(source: str) -> tuple[str, Path]:
    """Split ``NAME=RUN`` or ``RUN`` into the name of the endpoint, "" for that of the task, and the folder.

    Raises:
        ValueError: there is no such folder, or the name cannot be part of an address.
    """
    name, _, path = "", "", source
    if not Path(source).expanduser().is_dir() and "=" in source:
        name, _, path = source.partition("=")
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            raise ValueError(f"{source}: expected letters, digits, - and _ before the =, came {name!r}")
    if name in RESERVED:
        raise ValueError(f"{source}: /{name} is a path of the service itself; choose another name")
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{path}: there is no such folder")
    return name, folder


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Give a socket that is bound to an address, so that one in use is said before models are loaded.

    Raises:
        ValueError: the address is no address of this machine, or is in use.
    """
    if not 0 <= port < 2**16:
        raise ValueError(f"--port {port}: expected 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ValueError(f"--host {host} --port {port}: is no address ({error})") from None
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise ValueError(_taken(host, port, error)) from None
        yield listener


def listen(listener: socket.socket) -> None:
    """Let connections come.

    Raises:
        ValueError: another service was bound to the same port while models were loaded, and was ready first.
    """
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        host, port, *_ = listener.getsockname()
        raise ValueError(_taken(host, port, error)) from None


def _taken(host: str, port: int, error: OSError) -> str:
    return f"--port {port}: cannot be opened on {host} ({error.strerror}); name another"


def _models(sources: list[tuple[str, Path]], weights: str | None, limits: Limits) -> dict[str, tuple[Any, Any]]:
    """Load every source and answer its task's hard cases once, so that no client waits for that."""
    from pipelines.data.images.pixels import MAX_PIXELS  # noqa: PLC0415
    from pipelines.predictor import Predictor  # noqa: PLC0415
    from pipelines.serve.batching import Batcher  # noqa: PLC0415
    from pipelines.serve.pixels import PixelBudget  # noqa: PLC0415

    budget = PixelBudget(MAX_PIXELS)
    models: dict[str, tuple[Any, Any]] = {}
    decodings = [_decoding(folder, weights) for _, folder in sources]
    if weights and not any("encoder_weights" in decoding for decoding in decodings):
        raise ValueError(f"--encoder-weights {weights}: none of the runs has a frozen network")
    for (name, folder), decoding in zip(sources, decodings, strict=True):
        predictor = Predictor(folder, **decoding).traced()
        task = predictor.task
        name = name or task.name
        if name in models:
            raise ValueError(f"{folder}: there is an endpoint {name} already; call this one NAME={folder}")
        answer = predictor.each
        bounded = budget.bounding(answer) if task.raw == "image" else answer
        cases = [case[task.raw] for case in task.hard_cases()]
        answer(cases[:1])
        answer(cases)
        models[name] = task, Batcher(bounded, limits.batch, limits.waiting)
    return models


def _decoding(folder: Path, weights: str | None) -> dict[str, Any]:
    """Settings that replace a run's own; it answers without its language model, which is not in graph, and says so."""
    try:
        settings = dict(json.loads((folder / "config.json").read_text("utf-8"))["config"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # an export, or no run at all; whoever opens it says so
    decoding = {"encoder_weights": weights} if weights and "encoder_weights" in settings else {}
    if settings.get("lm"):
        print(f"{folder}: answers without its language model ({settings['lm']}): it is not served", file=sys.stderr)
        decoding["lm"] = ""
    return decoding


def _serve(
    models: dict[str, tuple[Any, Any]], limits: Limits, listener: socket.socket, host: str, allowed: Sequence[str]
) -> int:
    import uvicorn  # noqa: PLC0415

    from pipelines.serve import app as serve_app  # noqa: PLC0415
    from pipelines.serve.connections import HEAD_BYTES, most_connections, protocol  # noqa: PLC0415

    config = uvicorn.Config(
        serve_app.build(models, limits, listener.getsockname()[0], host, allowed),
        http=protocol(limits.head, most_connections()),
        ws="none",
        lifespan="off",
        h11_max_incomplete_event_size=HEAD_BYTES,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(limits.timeout) + 1,
    )
    server = uvicorn.Server(config)
    listen(listener)
    address = _address(listener)
    for name, (task, _) in models.items():
        print(f"{name}: POST {address}/{name} and {address}/{name}/batch, {TASKS[task.name]}", file=sys.stderr)
    print(address, flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again once everything is answered
        server.run(sockets=[listener])
    for _, batcher in models.values():
        batcher.close()
    if not server.started:
        raise RuntimeError("the service could not start; the lines above say why")
    return 0


def _address(listener: socket.socket) -> str:
    """The address of the page; says so where other machines can reach it."""
    host, port = listener.getsockname()[:2]
    if not ipaddress.ip_address(host).is_loopback:
        say = "whoever reaches this machine can use the service: it asks for no password"
        print(f"{host}:{port}: {say}", file=sys.stderr)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
