"""Evaluation: decode a split, score it with bootstrap intervals and write the results."""

import json
import time
from pathlib import Path
from typing import Any

from pipelines.data.source import ALL, Source
from pipelines.metrics.bootstrap import bootstrap, paired_bootstrap
from pipelines.runs.folder import Run, need_writable
from pipelines.runs.load import Loaded, load_run
from pipelines.training.decode import Decoder, prepared
from pipelines.training.encode import encode_split

METRICS, PREDICTIONS = "metrics.json", "predictions.jsonl"


def evaluate(
    run: str | Path,
    data: str | None = None,
    split: str = "",
    out: str | Path | None = None,
    against: str | Path | None = None,
    **decoding: Any,
) -> dict[str, Any]:
    """Decode and score a split with a trained run.

    Args:
        run: the run folder.
        data: a data specification; the run's own when omitted.
        split: the split; by default the test split, or all examples of other data without splits.
        out: folder for ``metrics.json`` and ``predictions.jsonl``; the run folder when omitted.
        against: a second run, compared on the same examples by paired bootstrap.
        **decoding: decoding settings that override those of both runs, e.g. ``beam_width=1``.

    Returns:
        The content of ``metrics.json``, with the task's text ``report``.

    Raises:
        ValueError: the run, the data or the split cannot be used.
        RuntimeError: the results cannot be written.
    """
    loaded = load_run(run, **decoding)
    other = load_run(against, **decoding) if against is not None else None
    if other and other.task.name != loaded.task.name:
        raise ValueError(f"--against {against}: is a {other.task.name} run, the first is {loaded.task.name}")
    folder = Run(Path(out).expanduser() if out is not None else loaded.run.path)
    need_writable(folder.path)
    source = loaded.open_source(data)
    split = split or _usual_split(loaded, source)
    loaded = prepared(loaded, source)
    encoded = encode_split(loaded.task, source, split)
    begin = time.monotonic()
    predictions = Decoder(loaded)(encoded)
    seconds = time.monotonic() - begin
    record = measure(loaded, source, split, predictions)
    record |= {"skipped": len(encoded.dropped), "seconds": round(seconds, 2)}
    if other:
        record["against"] = _compare(loaded, predictions, other, source, split)
    folder.write_json(METRICS, record)
    lines = "".join(json.dumps(p, ensure_ascii=False) + "\n" for p in predictions)
    folder.write(PREDICTIONS, lambda path: path.write_text(lines, "utf-8"))
    return record | {"report": loaded.task.report(predictions)}


def _usual_split(loaded: Loaded, source: Source) -> str:
    """Choose the default split: the test split of the training data, all examples of other data without splits.

    Data of the same path counts as the training data, even if rows have been added since.
    """
    spec, fingerprint = str(loaded.data["spec"]), str(loaded.data["fingerprint"])
    known = fingerprint.startswith(source.fingerprint) or Path(source.spec).resolve() == Path(spec).resolve()
    return ALL if source.has(ALL) and not known else "test"


def measure(loaded: Loaded, source: Source, split: str, predictions: list[dict[str, Any]]) -> dict[str, Any]:
    """Score predictions and return the content of ``metrics.json``."""
    resamples = 1000 if len(predictions) <= 2000 else 200
    task = loaded.task
    groups = task.groups(predictions)
    unit = "examples" if groups is None else "groups of examples"
    return {
        "task": task.name,
        "split": source.find(split),
        "data": {"spec": source.spec, "fingerprint": source.fingerprint, "cut": source.cuts.get(split, "")},
        "examples": len(predictions),
        "parameters": int(loaded.model.count_params()),
        "decode": task.decode_name(),
        "metrics": bootstrap(task.scorer(predictions), len(predictions), resamples, groups=groups),
        "signatures": dict(task.signatures(predictions)),
        "interval": f"95 %, percentile bootstrap over {unit}, {resamples} resamples, seed 0",
    }


def _compare(
    loaded: Loaded, predictions: list[dict[str, Any]], other: Loaded, source: Source, split: str
) -> dict[str, Any]:
    against = other.run.path
    others = Decoder(prepared(other, source))(encode_split(other.task, source, split))
    if [p["id"] for p in others] != [p["id"] for p in predictions]:
        raise ValueError(f"--against {against}: the two runs cannot use the same examples of {source.spec}")
    scorers = loaded.task.scorer(predictions), other.task.scorer(others)
    differences = paired_bootstrap(*scorers, len(predictions), groups=loaded.task.groups(predictions))
    return {"run": against.name, "decode": other.task.decode_name(), "differences": differences}


def table(record: dict[str, Any]) -> str:
    """Format the scores of ``metrics.json`` as lines of text."""
    head = f"{record['task']}, {record['split']} split of {record['data']['spec']}: {record['examples']} examples, "
    lines = [head + f"{record['parameters']:,} parameters, decode {record['decode']}"]
    lines += [f"  {record['data']['cut']}"] if record["data"]["cut"] else []
    for name, score in record["metrics"].items():
        lines.append(f"  {name:<12} {score['value']:9.4f}   95 % {score['low']:.4f} to {score['high']:.4f}")
    for name, gap in record.get("against", {}).get("differences", {}).items():
        lines.append(
            f"  {name:<12} {gap['difference']:+9.4f}   95 % {gap['low']:+.4f} to {gap['high']:+.4f}, "
            f"p = {gap['p_value']:.3f}, against {record['against']['run']}, {record['against']['decode']}"
        )
    return "\n".join(lines)
