"""Training: from a data specification to a finished run."""

import dataclasses
import os
import platform
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines import config as configuration
from pipelines.config import TrainingConfig
from pipelines.data.batching import Encoded
from pipelines.data.cache import cached, key, stamp
from pipelines.data.catalogue import located
from pipelines.data.source import Source, limited, told
from pipelines.log import say
from pipelines.runs.folder import (
    CONFIG,
    ENVIRONMENT,
    STATE,
    WEIGHTS,
    Run,
    alone,
    create,
    need_same,
    need_trainable,
    other_settings,
    sha256,
)
from pipelines.runs.load import Loaded, load_run
from pipelines.task import Preprocessor
from pipelines.tasks import load_settings, load_task
from pipelines.training.decode import Decoder
from pipelines.training.encode import PART, encode_parts, encode_split, judge
from pipelines.training.loop import Trainer
from pipelines.training.warm_start import settings_of, take_weights

MANY = 10_000
"""Validation examples above which scores hardly become more precise."""
FEW = 200
"""Updates below which a network hardly learns."""


def train(
    task: str,
    data: str = "synthetic",
    run: str | Path | None = None,
    preset: str = "default",
    config: str | Path | None = None,
    limit: int = 0,
    init: str | Path | None = None,
    **settings: Any,
) -> Path:
    """Train a task, or resume an existing run.

    Args:
        task: name in ``pipelines.TASKS``.
        data: ``synthetic``, ``tfds:NAME`` or a path.
        run: the run folder; ``runs/TASK-TIME`` when omitted.
        preset: named settings of the task, or ``default``.
        config: JSON file of settings.
        limit: largest number of examples of each split; 0 uses all.
        init: run that provides the initial settings, vocabulary and weights.
        **settings: single settings, which override preset and file.

    Returns:
        The run folder.

    Raises:
        ValueError: a wrong setting, unusable data, or a run that was started differently.
        TrainingStopped: interrupted, or the loss was not finite; the run can be resumed.
    """
    module = load_settings(task)
    base = settings_of(init, task) if init else None
    file = Path(config) if config else None
    chosen = configuration.resolve(module.Config, module.PRESETS, preset, file, settings, base)
    folder = Path(run).expanduser() if run else Path("runs") / f"{task}-{time.strftime('%Y%m%d-%H%M%S')}"
    if init and settings.get("embeddings"):
        raise ValueError("--embeddings: the embedding begins as that of --init; leave one of the two out")
    other = load_run(init) if init else None
    need_trainable(folder)
    keras.utils.set_random_seed(chosen.seed)
    keras.config.set_dtype_policy(chosen.precision)
    if chosen.deterministic:
        tf.config.experimental.enable_op_determinism()
    with alone(folder):
        _fit(*_prepare(task, chosen, data, folder, limit, other), other)
    return folder


def _fit(loaded: Loaded, source: Source, other: Loaded | None) -> None:
    chosen = loaded.config
    training = _training_examples(loaded, source)
    validation = encode_split(loaded.task, source, "validation")
    counts = f"{len(training)} training and {len(validation)} validation examples; run {loaded.run.path}"
    for line in (*told(source.cuts), counts, *advice(chosen, source, len(training), len(validation))):
        say(line)
    if not loaded.run.has(STATE):
        _begin(loaded, training, other)
    last = loaded.task.last_phase(loaded.model, training)
    second = last.epochs if last else 0
    decoders = {False: Decoder(_simplest(loaded), chosen.epochs - second), True: Decoder(loaded, second + 1)}

    def validate(thorough: bool) -> dict[str, float]:
        predictions = decoders[thorough](validation)
        return dict(loaded.task.scorer(predictions)(np.arange(len(predictions))))

    metric = chosen.monitored(loaded.task.metric)
    trainer = Trainer(
        loaded.model,
        partial(loaded.task.loss, loaded.model),
        validate,
        metric,
        loaded.task.higher_is_better,
        chosen,
        loaded.run,
        loaded.task.augmentation(),
        last,
        loaded.task.mean_weight(training),
        loaded.task.carried(loaded.model, chosen.batch_size),
        partial(loaded.task.plan, training),
    )
    progress = trainer.fit(training)
    loaded.run.write_json(ENVIRONMENT, environment() | {"training_seconds": round(progress.seconds, 1)})
    if trainer.busy:
        share = trainer.wait / trainer.busy
        say(f"padding {trainer.padding:.1%} of the steps, waiting for input {share:.1%} of the time")
    best = f"best epoch {progress.best_epoch + 1}" if progress.best_epoch >= 0 else "no epoch improved the beginning"
    say(f"{best}: validation {metric} {progress.best:.4f}")


def advice(chosen: TrainingConfig, source: Source, training: int, validation: int) -> Iterator[str]:
    """Yield advice about the numbers of examples; none for built-in data, whose presets are adjusted to it."""
    updates = chosen.epochs * -(-training // chosen.batch_size)
    if source.spec != "synthetic" and updates < FEW and not chosen.batch_tokens:
        yield f"{updates} updates in all are few: more --epochs or a smaller --batch-size learn more from the same"
    if "validation" in source.cuts and validation > MANY:
        yield f"validation is {validation} examples, answered after each epoch: a smaller --validation-share takes less"


def _training_examples(loaded: Loaded, source: Source) -> Encoded:
    made: list[bool] = []

    def parts(size: int | None = PART) -> Iterator[Encoded]:
        made.append(True)
        return encode_parts(loaded.task, source, "train", size=size)

    def complete() -> Encoded:
        (encoded,) = parts(None)  # to its end, where skipped examples are reported
        return encoded

    found = cached(_cache_key(loaded, source), parts, complete)
    if not made:  # read from the cache, with its list of skipped examples
        judge(source, "train", len(found), found.dropped)
    return found


def _simplest(loaded: Loaded) -> Loaded:
    """Use the simplest decoding during training: a wide beam can cost as much as an epoch."""
    task = loaded.task
    return dataclasses.replace(loaded, task=type(task)(task.config.simplest(), task.preprocessor))


def _cache_key(loaded: Loaded, source: Source) -> str:
    stage = configuration.stages(type(loaded.config))
    settings = {n: v for n, v in configuration.to_dict(loaded.config).items() if stage[n] == "encoding"}
    files = [sha256(loaded.run.path / name) for name in loaded.task.preprocessor_class.FILES]
    data = [source.fingerprint, stamp(source.files())]
    return key(data=data, task=loaded.task.name, split="train", settings=settings, files=files)


def _begin(loaded: Loaded, training: Encoded, other: Loaded | None) -> None:
    if other is not None:
        left = take_weights(loaded.model, other, loaded.task)
        say(f"beginning with the weights of {other.run.path}{': without ' + ', '.join(left) if left else ''}")
    else:
        loaded.task.initialise(loaded.model, training)


def _prepare(
    task: str, config: TrainingConfig, data: str, folder: Path, limit: int, other: Loaded | None
) -> tuple[Loaded, Source]:
    task_class = load_task(task)
    source = task_class.open_source(located(data), config)
    source = limited(source, limit) if limit else source
    record = {"spec": data, "fingerprint": source.fingerprint, "limit": limit}
    record |= {"init": sha256(other.run.path / WEIGHTS)} if other else {}  # a resumed run must find the same weights
    exists = (folder / CONFIG).exists()
    run = _same(folder, task, config, record) if exists else create(folder, task, config, record)
    files = task_class.preprocessor_class.FILES
    if all(run.has(name) for name in files):
        for name in files:
            run.verified(name)
        preprocessor = task_class.load(config, run.path)
    else:
        say("learning the preprocessing from the training split")
        examples = source.read("train", lambda problem: None)
        preprocessor = (task_class.adopt(config, other.task, other.run.path, examples) if other
                        else task_class.fit(config, examples))  # fmt: skip
        _keep(run, preprocessor)
    ready = task_class(config, preprocessor)
    return Loaded(ready, ready.network(), run, record), source


def _keep(run: Run, preprocessor: Preprocessor) -> None:
    staging = run.path / f".{os.getpid()}.preprocessor"  # a name that marks unfinished files of the run
    try:
        staging.mkdir(exist_ok=True)
        preprocessor.save(staging)
        for name in preprocessor.FILES:
            run.write(name, (staging / name).replace)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _same(folder: Path, task: str, config: TrainingConfig, data: dict[str, Any]) -> Run:
    run, record, changed = need_same(folder, task, config)
    old, new = dict(record["data"]), dict(data)
    old.pop("spec"), new.pop("spec")  # the data may have moved
    changed = "; ".join(part for part in (changed, configuration.difference(old, new)) if part)
    if changed and run.has(STATE):
        raise other_settings(folder, changed)
    if changed:  # nothing was trained yet: a corrected command may reuse the name
        run.discard()
        return create(folder, task, config, data)
    return run


def environment() -> dict[str, Any]:
    """Return the versions, processor and devices used by the training."""
    return {
        "pipelines": configuration.VERSION,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "devices": [device.device_type for device in tf.config.list_physical_devices()],
    }
