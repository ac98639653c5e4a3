"""The training loop, with bit-exact resumption."""

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled  # not public; it lasts as long as the process
from tqdm import tqdm

from pipelines.config import TrainingConfig
from pipelines.data.batching import Encoded, Plan, Transform, batches, epoch_plan, padding_share, token_plan
from pipelines.log import quiet, say
from pipelines.runs.folder import HISTORY, STATE, TENSORBOARD, WEIGHTS, Run
from pipelines.task import Loss, Phase
from pipelines.training.checkpoint import Progress, deferred, load_state, save_history, save_state
from pipelines.training.step import Average, Mixture, dry_run, longest, make_optimizer, make_step, memory_guard, reading

Step = Callable[[Any], tuple[Any, Any, Any]]


class TrainingStopped(RuntimeError):
    """The training was interrupted or its loss is not finite; the run can be resumed."""


@dataclass
class Trainer:
    """One training of a model.

    Attributes:
        model: the built keras.Model.
        loss: (x, y) -> (value float32 [B], weight float32 [B]), see ``Task.loss``.
        validate: decodes and scores the validation split: name -> value. True uses the configured search, False the
            simplest one.
        metric: name of the monitored metric.
        higher: whether a larger value of the metric is better.
        settings: fields shared by every configuration.
        run: the run folder.
        transform: augmentation of training batches, see `batches`.
        last: a final phase of epochs with another loss.
        mean_weight: mean weight of a training example.
        carried: states that the loss carries from batch to batch, reset to zero at the start of an epoch.
        plan: returns the batches of an epoch; None shuffles and buckets according to the settings.
    """

    model: keras.Model
    loss: Loss
    validate: Callable[[bool], dict[str, float]]
    metric: str
    higher: bool
    settings: TrainingConfig
    run: Run
    transform: Transform | None = None
    last: Phase | None = None
    mean_weight: float = 1.0
    carried: Sequence[tf.Variable] = ()
    plan: Callable[[int], Plan | None] = lambda epoch: None

    def fit(self, train: Encoded) -> Progress:
        """Train until the last epoch or until early stopping; the best weights are saved in the run and loaded.

        Raises:
            TrainingStopped: a loss or gradient is not finite, or Ctrl-C; the run can be resumed.
        """
        s = self.settings
        steps = len(self._plan(train, 0))
        self._prepare(steps)
        progress = self._restored()
        try:
            with deferred() as self.interrupted:
                if progress.epoch < s.epochs and not progress.finished:
                    for epoch in sorted({progress.epoch, max(progress.epoch, self.first_epochs)} - {s.epochs}):
                        self._probe(train, epoch)
                if not self.first_epochs and not self.run.has(STATE):
                    self._begin_second(progress)
                while progress.epoch < s.epochs and not progress.finished:
                    self._stop_if_interrupted(progress)
                    self._epoch(train, progress, steps)
                    self._close_epoch(progress, steps)
        finally:
            if self.log:
                self.log.close()
        self.model.load_weights(self.run.verified(WEIGHTS))
        from pipelines.explain import plots  # noqa: PLC0415  # matplotlib is slow to import

        self.run.write("learning_curves.png", lambda path: plots.learning_curves(progress.history, self.metric, path))
        return progress

    def _plan(self, train: Encoded, epoch: int) -> Plan:
        s = self.settings
        if (own := self.plan(epoch)) is not None:
            return own
        if s.batch_tokens:
            return token_plan(train.lengths, s.batch_tokens, s.seed, epoch, s.bucket_growth)
        return epoch_plan(train.lengths, s.batch_size, s.seed, epoch, s.bucket_window)

    def _prepare(self, steps: int) -> None:
        s, last = self.settings, self.last
        self.first_epochs = s.epochs - (last.epochs if last else 0)
        self.mixture = Mixture(self.model.trainable_variables, last.share if last else 1.0)
        self.optimizers = {False: self._optimizer(s.learning_rate, steps * self.first_epochs, s.warmup, s.schedule)}
        if last:  # another loss has gradients of another scale, so the moments of the first optimizer do not apply
            self.optimizers[True] = self._optimizer(s.learning_rate * last.rate, steps * last.epochs, 0.0, "linear")
        self.average = Average(self.model.trainable_variables, s.ema)
        self.steps: dict[bool, Step] = {}
        found = importlib.util.find_spec("tensorboard")  # without an origin it is only a folder of that name
        self.log = tf.summary.create_file_writer(str(self.run.path / TENSORBOARD)) if found and found.origin else None
        self.wait = self.busy = 0.0
        self.step_seconds: list[float] = []

    def _optimizer(self, rate: float, steps: int, warmup: float, schedule: str) -> Any:
        s = self.settings
        optimizer = make_optimizer(
            rate,
            steps,
            warmup=warmup,
            schedule=schedule,
            weight_decay=s.weight_decay,
            clip_norm=s.clip_norm,
            loss_scaling=s.precision == "mixed_float16",
        )
        optimizer.build(self.model.trainable_variables)  # an unbuilt one has no variables to restore
        return optimizer

    def _variables(self) -> list[Any]:
        optimizers = [variable for optimizer in self.optimizers.values() for variable in optimizer.variables]
        return [*self.model.variables, *optimizers, *self.average.shadow, *self.mixture.kept, *self.carried]

    def _restored(self) -> Progress:
        if not self.run.has(STATE):
            return Progress()
        progress = load_state(self.run.verified(STATE), self._variables())
        say(f"resuming after epoch {progress.epoch}, batch {progress.step}")
        return progress

    def save(self, progress: Progress) -> None:
        """Write the resumable state."""
        self.run.write(STATE, lambda path: save_state(path, progress, self._variables()))

    def _stop_if_interrupted(self, progress: Progress) -> None:
        if self.interrupted():
            self.save(progress)
            raise TrainingStopped(
                f"interrupted in epoch {progress.epoch + 1}, batch {progress.step}; the same command with "
                f"--run {self.run.path} resumes"
            )

    def _probe(self, train: Encoded, epoch: int) -> None:
        """Run the largest batch first, so that one that does not fit in memory fails before the training."""
        largest = longest(self._plan(train, 0), train.lengths)
        s = self.settings
        dataset = batches(train, [largest], self._phase(epoch)[1], s.seed, growth=s.bucket_growth)
        with memory_guard(train, largest):
            dry_run(self._compiled(dataset, epoch), iter(dataset), self._variables())

    def _phase(self, epoch: int) -> tuple[Loss, Transform | None, float]:
        """Return the loss, the transform, and the mean weight of an example in an epoch."""
        if self.last and epoch >= self.first_epochs:
            return self.last.loss, self.last.transform, 1.0
        return self.loss, self.transform, self.mean_weight

    def _compiled(self, dataset: tf.data.Dataset, epoch: int) -> Step:
        second = bool(self.last) and epoch >= self.first_epochs
        if second not in self.steps:
            loss, _, mean_weight = self._phase(epoch)
            parts = self.model, loss, self.optimizers[second], self.average
            step = make_step(*parts, signature=dataset.element_spec, mean_weight=mean_weight)
            self.steps[second] = reading(step, is_op_determinism_enabled())
        return self.steps[second]

    def _epoch(self, train: Encoded, progress: Progress, steps: int) -> None:
        s = self.settings
        plan = self._plan(train, progress.epoch)
        if not progress.step:
            for state in self.carried:
                state.assign(tf.zeros_like(state))
        seed = s.seed * 100_003 + progress.epoch
        dataset = batches(train, plan, self._phase(progress.epoch)[1], seed, progress.step, s.bucket_growth)
        step = self._compiled(dataset, progress.epoch)
        data = iter(dataset)
        saved = time.monotonic()
        label = f"epoch {progress.epoch + 1}/{s.epochs}"
        with tqdm(total=steps, initial=progress.step, desc=label, disable=quiet()) as bar:
            for indices in plan[progress.step :]:
                self._batch(step, data, train, indices, progress)
                bar.update()
                bar.set_postfix(loss=f"{progress.loss_sum / progress.step:.4f}", refresh=False)
                self._estimate(progress, steps)
                if time.monotonic() - saved > 60 * s.checkpoint_minutes:
                    self.save(progress)
                    saved = time.monotonic()
                self._stop_if_interrupted(progress)
        self.padding = padding_share(train, plan, s.bucket_growth)

    def _batch(self, step: Step, data: Iterator[Any], train: Encoded, indices: np.ndarray, progress: Progress) -> None:
        begin = time.monotonic()
        with memory_guard(train, indices):
            loss, norm, waited = (float(value) for value in step(data))
        # A scaled loss may overflow; its optimizer then skips the step.
        finite = np.isfinite(norm) or self.settings.precision == "mixed_float16"
        if not (np.isfinite(loss) and finite):
            name, value = ("norm of the gradient", norm) if np.isfinite(loss) else ("loss", loss)
            names = ", ".join(str(train.examples[i]["where"]) for i in indices[:8])
            raise TrainingStopped(
                f"{name} is {value} in epoch {progress.epoch + 1}, batch {progress.step + 1} ({names}, ...); "
                "a smaller --learning-rate or --clip-norm may help, in a new --run"
            )
        seconds = time.monotonic() - begin
        self.wait += waited
        self.busy += seconds
        self.step_seconds.append(seconds)
        progress.seconds += seconds
        progress.step += 1
        progress.loss_sum += loss
        progress.norm_sum += norm if np.isfinite(norm) else 0.0

    def _estimate(self, progress: Progress, steps: int) -> None:
        """Report the remaining time of the phase after the first steps, also of a resumed training."""
        if len(self.step_seconds) == min(20, steps):
            last = self.first_epochs if progress.epoch < self.first_epochs else self.settings.epochs
            count = steps * (last - progress.epoch) - progress.step
            # The median, because the first batch of every width includes its compilation.
            left = float(np.median(self.step_seconds)) * count / 60
            say(f"{self.model.count_params():,} parameters; about {left:.1f} minutes for {count:,} more updates")

    @contextmanager
    def _evaluation_weights(self, progress: Progress) -> Iterator[None]:
        """Give the model its averaged weights, in the last phase interpolated with those before the phase."""
        self.average.swap()
        with self.mixture.applied() if progress.epoch >= self.first_epochs else nullcontext():
            yield
        self.average.swap()

    def _begin_second(self, progress: Progress) -> None:
        """Start the reward phase from the best weights, scored again with the configured search.

        Rewards may improve the configured search at the expense of the simplest one.
        """
        if progress.best is None:
            self.run.write(WEIGHTS, self.model.save_weights)
        self.model.load_weights(self.run.verified(WEIGHTS))
        progress.best = self._timed(progress, True)[self.metric]
        say(
            f"starting the reward phase, validated with the configured search: {self.metric} {progress.best:.6g} so far"
        )
        self.average.restart()
        self.mixture.keep()

    def _timed(self, progress: Progress, thorough: bool) -> dict[str, float]:
        begin = time.monotonic()
        scores = self.validate(thorough)
        progress.seconds += time.monotonic() - begin
        return scores

    def _close_epoch(self, progress: Progress, steps: int) -> None:
        with self._evaluation_weights(progress):
            scores = self._timed(progress, progress.epoch >= self.first_epochs)
            score = scores[self.metric]
            better = progress.best is None or (score > progress.best if self.higher else score < progress.best)
            if better:
                progress.best, progress.best_epoch = score, progress.epoch
                self.run.write(WEIGHTS, self.model.save_weights)
        means = {"loss": progress.loss_sum / steps, "gradient_norm": progress.norm_sum / steps}
        row = {"epoch": progress.epoch + 1} | means
        row |= {"rewarded": float(progress.epoch >= self.first_epochs)} if self.last else {}
        row |= {f"validation_{name}": value for name, value in scores.items()} | {"seconds": progress.seconds}
        progress.history.append(row)
        say("  ".join(f"{name} {value:.6g}" for name, value in row.items()) + ("  best" if better else ""))
        progress.epoch, progress.step, progress.loss_sum, progress.norm_sum = progress.epoch + 1, 0, 0.0, 0.0
        self._change_phase(progress)
        self.run.write(HISTORY, lambda path: save_history(path, progress))
        if self.log:
            with self.log.as_default(step=int(row["epoch"])):
                for name, value in row.items():
                    tf.summary.scalar(name, value)
        self.save(progress)

    def _change_phase(self, progress: Progress) -> None:
        """Start the last phase after the first one, or stop; patience ends either phase early."""
        patience, first = self.settings.patience, self.first_epochs
        since = progress.best_epoch if progress.epoch <= first else max(progress.best_epoch, first - 1)
        exhausted = bool(patience) and progress.epoch - 1 - since >= patience
        if first < self.settings.epochs and (progress.epoch == first or (exhausted and progress.epoch < first)):
            progress.epoch = first
            self._begin_second(progress)
        else:
            progress.finished = exhausted
