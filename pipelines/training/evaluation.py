"""Free decoding of a split, corpus scores with their bootstrap interval, and the files that record them."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from models.kernels import portable
from models.search import shrinking
from pipelines.data.inputs import Encoded, batches, sorted_plan
from pipelines.data.sources.source import ALL, Example, Problem, Source
from pipelines.training.fit import quiet, say
from pipelines.training.loading import Loaded, load_run
from pipelines.training.metrics import bootstrap, paired_bootstrap
from pipelines.training.runs import Run, need_writable

METRICS, PREDICTIONS = "metrics.json", "predictions.jsonl"
MAX_BAD = 0.05
"""Largest share of unusable examples that is skipped; beyond it the data is refused."""
EVALUATION_BATCH = 64
COMPILED_FROM = 100
"""Batches to decode from which on it pays to compile the recurrent layers for every padded width."""
PART = 1024
"""Training examples that are encoded together, which bounds the memory that takes; a task may have its own."""


def encode_split(loaded: Loaded, source: Source, split: str, *, training: bool = False) -> Encoded:
    """Read and encode a split at once, see `encode_parts`."""
    (encoded,) = encode_parts(loaded, source, split, training=training, size=None)
    return encoded


def encode_parts(
    loaded: Loaded, source: Source, split: str, *, training: bool = True, size: int | None = PART
) -> Iterator[Encoded]:
    """Read and encode a split, ``size`` examples at a time; bad rows are skipped, named, and stand in ``dropped``.

    What a task only refuses to learn from (``Task.refused``) is skipped in training, and named but scored otherwise: a
    score is that of the whole split. For training, examples keep their ``id`` and ``where`` only.

    Raises:
        ValueError: more than ``MAX_BAD`` of the examples are unusable, or none is left; names the first ones.
    """
    size = size and min(size, getattr(loaded.task, "PART", size))
    problems: list[str] = []
    odd: list[str] = []
    count = told = 0

    def note(problem: Problem) -> None:
        problems.append(f"{problem.where}: {problem.reason}")

    examples: Iterable[Example] = source.read(split, note)
    if hasattr(loaded.task, "refused"):
        examples = _sifted(examples, loaded.task.refused, problems if training else odd, training)
    examples = iter(tqdm(examples, desc=f"encoding {split}", unit=" examples", disable=quiet(), leave=False))
    held = None  # until it is known whether it is the last one, which names what was skipped behind it too
    while chunk := list(islice(examples, size)):
        encoded = loaded.task.encode(loaded.preprocessor, loaded.config, chunk, keep_raw=not training)
        problems += encoded.dropped
        count += len(encoded)
        if len(encoded):
            if held:
                yield held
            held, told = dataclasses.replace(encoded, dropped=problems[told:]), len(problems)
    if held:
        yield dataclasses.replace(held, dropped=held.dropped + problems[told:])
    judge(source, split, count, problems, odd)


def judge(source: Source, split: str, count: int, problems: Sequence[str], odd: Sequence[str] = ()) -> None:
    """Say what was skipped, or refuse a split of which too much was.

    Args:
        source: what the split is of.
        split: its name.
        count: usable examples.
        problems: sentences about the others.
        odd: sentences about examples that training would skip, and that are used.

    Raises:
        ValueError: more than ``MAX_BAD`` of the examples are unusable, or none is left; names the first ones.
    """
    total = count + len(problems)
    first = _first(problems)
    if not count:
        raise ValueError(f"{source.spec}: no usable example in split {split}{': ' + first if first else ''}")
    if len(problems) > MAX_BAD * total:
        raise ValueError(
            f"{source.spec}: {len(problems)} of {total} examples in split {split} cannot be used, more than "
            f"{MAX_BAD:.0%}: {first}"
        )
    if problems:
        say(f"{split}: {len(problems)} of {total} examples skipped: {first}")
    if odd:
        say(f"{split}: {len(odd)} of {total} examples are scored although training would skip them: {_first(odd)}")


def _sifted(
    examples: Iterable[Example], refused: Callable[[Example], str], found: list[str], drop: bool
) -> Iterator[Example]:
    """Name the examples that are refused, and pass on the others, or all unless ``drop``."""
    for example in examples:
        reason = refused(example)
        found += [f"{example['where']}: {reason}"] if reason else []
        if not (reason and drop):
            yield example


def _first(problems: Sequence[str]) -> str:
    return "; ".join(problems[:3]) + ("; ..." if len(problems) > 3 else "")


def settled(loaded: Loaded, source: Source | None = None) -> Loaded:
    """Bring what decoding needs beyond the run, such as a language model; ``source`` is the data to be decoded.

    Raises:
        ValueError: it cannot be brought.
    """
    return loaded.task.settle(loaded, source) if hasattr(loaded.task, "settle") else loaded


class Decoder:
    """The task's free decoding as one traced function of a model; keeps its trace between epochs.

    Args:
        loaded: the run.
        passes: how often about as many examples as in the first call will be decoded.
    """

    def __init__(self, loaded: Loaded, passes: int = 1) -> None:
        self.loaded, self.passes = loaded, passes
        task, model, config = loaded.task, loaded.model, loaded.config
        self.function = tf.function(lambda x: task.decode(model, config, x), reduce_retracing=True, autograph=False)

    def __call__(self, encoded: Encoded) -> list[dict[str, Any]]:
        """Decode every example, batched by length; predictions come in the order of ``encoded``."""
        plan = sorted_plan(encoded.lengths, EVALUATION_BATCH, getattr(self.loaded.task, "MOST_STEPS", 0))
        task, preprocessor, config = self.loaded.task, self.loaded.preprocessor, self.loaded.config
        predictions: list[dict[str, Any]] = [{}] * len(encoded)
        dataset = batches(encoded, plan, growth=config.width_growth)
        with shrinking(), nullcontext() if self._compiled(len(plan)) else portable():
            self.function.get_concrete_function(dataset.element_spec[0])  # batch and time open: one trace serves all
        data = zip(plan, dataset, strict=True)
        for indices, (x, _) in tqdm(data, total=len(plan), desc="decoding", disable=quiet(), leave=False):
            outputs = tf.nest.map_structure(lambda tensor: tensor.numpy(), self.function(x))
            for row, index in enumerate(indices):
                one = {name: values[row] for name, values in outputs.items()}
                predictions[index] = task.answer(preprocessor, config, encoded.examples[index], one)
        return predictions

    def _compiled(self, count: int) -> bool:
        """Tell whether ``count`` batches a pass are enough; a GPU takes neither compiled nor plain layers."""
        return count * self.passes >= COMPILED_FROM or bool(tf.config.list_logical_devices("GPU"))


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
        data: a data specification; the run's own when left out.
        split: which split; the test split when left out, and of other data that has no splits all of it.
        out: folder for ``metrics.json`` and ``predictions.jsonl``; the run itself when left out.
        against: a second run, compared on the same examples by paired bootstrap.
        **decoding: settings out of ``config.DECODING`` that replace the run's own, and those of ``against``, e.g.
            ``beam_width=1``.

    Returns:
        The content of ``metrics.json``.

    Raises:
        ValueError: the run, the data or the split cannot be used.
        RuntimeError: the results cannot be written.
    """
    loaded = load_run(run, **decoding)
    other = load_run(against, **decoding) if against is not None else None
    if other and other.task.NAME != loaded.task.NAME:
        raise ValueError(f"--against {against}: is a {other.task.NAME} run, the first is {loaded.task.NAME}")
    folder = Run(Path(out).expanduser() if out is not None else loaded.run.path)
    need_writable(folder.path)
    source = loaded.open_source(data)
    split = split or _usual_split(loaded, source)
    loaded = settled(loaded, source)
    encoded = encode_split(loaded, source, split)
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
    """Choose what is scored where nobody says: of what the run was trained on never more than the test split.

    Data of the same name is taken for the same, though rows may have been added since.
    """
    spec, fingerprint = str(loaded.data["spec"]), str(loaded.data["fingerprint"])
    known = fingerprint.startswith(source.fingerprint) or Path(source.spec).resolve() == Path(spec).resolve()
    return ALL if source.has(ALL) and not known else "test"


def measure(loaded: Loaded, source: Source, split: str, predictions: list[dict[str, Any]]) -> dict[str, Any]:
    """Score predictions; the result is the content of ``metrics.json``."""
    resamples = 1000 if len(predictions) <= 2000 else 200
    signatures = getattr(loaded.task, "signatures", None)  # where they depend on what is scored
    return {
        "task": loaded.task.NAME,
        "split": source.find(split),
        "data": {"spec": source.spec, "fingerprint": source.fingerprint, "cut": source.cuts.get(split, "")},
        "examples": len(predictions),
        "parameters": int(loaded.model.count_params()),
        "decode": loaded.task.decode_name(loaded.config),
        "metrics": bootstrap(loaded.task.scorer(predictions), len(predictions), resamples),
        "signatures": signatures(predictions) if signatures else dict(loaded.task.SIGNATURES),
        "interval": f"95 %, percentile bootstrap over examples, {resamples} resamples, seed 0",
    }


def _compare(
    loaded: Loaded, predictions: list[dict[str, Any]], other: Loaded, source: Source, split: str
) -> dict[str, Any]:
    against = other.run.path
    others = Decoder(settled(other, source))(encode_split(other, source, split))
    if [p["id"] for p in others] != [p["id"] for p in predictions]:
        raise ValueError(f"--against {against}: the two runs cannot use the same examples of {source.spec}")
    scorers = loaded.task.scorer(predictions), other.task.scorer(others)
    differences = paired_bootstrap(*scorers, len(predictions))
    return {"run": against.name, "decode": other.task.decode_name(other.config), "differences": differences}


def table(record: dict[str, Any]) -> str:
    """Lay out the scores of ``metrics.json`` as lines of text."""
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


def indices(count: int) -> np.ndarray:
    """Return all example numbers, int64 [N], for a scorer over the whole set."""
    return np.arange(count)
