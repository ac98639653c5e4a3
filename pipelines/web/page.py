"""The web page: a tab a run, in the browser of whoever started it. What is wrong is said before TensorFlow loads."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.export.formats import EXTRAS, need
from pipelines.log import import_tensorflow
from pipelines.runs.folder import MANIFEST, open_run
from pipelines.serve.hosts import is_local
from pipelines.serve.server import listening

PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained"
INSTALL = f"the web page needs Gradio: pip install '{EXTRAS['web'][0]}'"


def chosen(runs: Sequence[str], pretrained: Path = PRETRAINED) -> list[Path]:
    """Return the run folders to show: those named, else the trained runs that come with the project.

    Raises:
        ValueError: a folder that is no run, or none at all.
    """
    for run in runs:
        open_run(run)
    found = [Path(run).expanduser() for run in runs]
    found = found or sorted(path.parent for path in pretrained.glob(f"*/{MANIFEST}"))
    if not found:
        raise ValueError(f"{pretrained}: there are no trained runs here; name a run folder")
    return found


def names(tasks: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Name the tabs: by task, and by folder too where a task occurs twice."""
    pairs = zip(tasks, folders, strict=True)
    return [f"{task}: {folder.name}" if tasks.count(task) > 1 else task for task, folder in pairs]


def run(runs: Sequence[str], host: str, port: int, decoding: Mapping[str, str], allowed: Sequence[str] = ()) -> int:
    """Serve the page until it is interrupted.

    Args:
        runs: run folders; none shows the pretrained ones.
        host: address to listen at.
        port: to listen at; 0 takes a free one.
        decoding: settings that replace those of every run that has them, such as ``encoder_weights``.
        allowed: further names of hosts by which the page may be asked.

    Raises:
        ValueError: Gradio is missing or of another version, a folder is no run, or the port cannot be used.
    """
    need("web", INSTALL)
    folders = chosen(runs)
    with listening(host, port) as listener:
        if not is_local(listener.getsockname()[0]):
            print(f"pipelines web: everybody who can reach {host} can use this page", file=sys.stderr)
        import_tensorflow()
        from pipelines.web.limits import Worker  # noqa: PLC0415
        from pipelines.web.server import serve  # noqa: PLC0415  # imports TensorFlow and Gradio

        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # inputs of every length: some are traced anew
        worker = Worker()
        tasks = [open_run(folder)[1]["task"] for folder in folders]
        named = zip(names(tasks, folders), folders, strict=True)
        pages = [(name, _load(path, decoding, worker)) for name, path in named]
        shown = f"[{host}]" if ":" in host else host
        listener.listen()
        print(f"http://{shown}:{listener.getsockname()[1]}/", flush=True)
        try:
            serve(pages, worker, listener, host, allowed)
        except KeyboardInterrupt:  # how a server is stopped
            return 0
    return 0


def _load(folder: Path, decoding: Mapping[str, str], worker: Any) -> Any:
    """Load a run; where it cannot be, return the sentence that its tab shows instead."""
    from pipelines.predictor import Predictor  # noqa: PLC0415  # imports TensorFlow
    from pipelines.tasks import load_settings  # noqa: PLC0415
    from pipelines.web.answers import Page  # noqa: PLC0415

    fields = load_settings(open_run(folder)[1]["task"]).Config.__dataclass_fields__
    try:
        return Page(folder, Predictor(folder, **{n: v for n, v in decoding.items() if n in fields}), worker)
    except ValueError as error:
        print(f"pipelines web: {error}", file=sys.stderr, flush=True)
        return f"This run cannot answer: {' '.join(str(error).split())}."
