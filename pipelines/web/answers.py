"""What the page answers: a raw input in, HTML out. Nothing here knows Gradio, so a test can ask as the page does."""

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.data.audio.files import extent
from pipelines.data.images.files import inspect
from pipelines.data.text.vocabulary import CONTINUES
from pipelines.explain.explanation import Explanation
from pipelines.predictor import Predictor
from pipelines.runs.load import Loaded
from pipelines.task import Task
from pipelines.training.evaluate import METRICS
from pipelines.web import drawing
from pipelines.web.limits import MOST_PIXELS, Worker, file_within, sound_within, text_within

EXAMPLES = 4


@dataclass(frozen=True)
class Page:
    """One run, ready to answer.

    Attributes:
        run: its folder.
        predictor: it, loaded.
        worker: in whose thread it answers.
    """

    run: Path
    predictor: Predictor
    worker: Worker

    @property
    def task(self) -> Task:
        """The task."""
        return self.loaded.task

    @property
    def loaded(self) -> Loaded:
        """The run as `load_run` gives it."""
        assert self.predictor.loaded, "the page answers from runs, not from exports"
        return self.predictor.loaded

    def summary(self) -> str:
        """Say in one line what answers here, and how well it did on its test data when that was measured."""
        line = f"{self.run.name}: {self.loaded.model.count_params():,} parameters"
        if not self.loaded.run.has(METRICS):
            return line
        record = self.loaded.run.read_json(METRICS)
        score = record["metrics"][self.task.metric]
        interval = f"{score['low']:.4g} to {score['high']:.4g}"
        data = Path(record["data"]["spec"]).name
        return (
            f"{line}, {self.task.metric} {score['value']:.4g} ({interval}) on {record['examples']:,} examples, "
            f"{record['split']} split of {data}"
        )

    def ask(self, raw: Any) -> tuple[dict[str, Any], Explanation | None, str]:
        """Answer one raw input and explain the answer, where the task can.

        Returns:
            The prediction; its explanation; and HTML that says why there is none, else empty.

        Raises:
            ValueError: the input cannot be used.
            RuntimeError: there was no answer in time.
        """
        return self.worker(self._ask, raw)

    def _ask(self, raw: Any) -> tuple[dict[str, Any], Explanation | None, str]:
        prediction = self.predictor([raw])[0]
        if "error" in prediction:
            raise ValueError(prediction["error"])
        try:
            return prediction, self.loaded.task.explain(self.loaded.model, raw), ""
        except RuntimeError as error:  # the explanation failed its own check; the answer stands
            return prediction, None, drawing.problem(f"Why cannot be shown: {error}.")

    def warm(self) -> None:
        """Answer one example, so that the first visitor need not wait for functions to be traced."""
        for example in self.examples()[:1]:
            raw = example[self.task.raw]
            with contextlib.suppress(Exception):  # whoever asks next is told
                self._ask(np.asarray(raw) if hasattr(raw, "__array__") else raw)

    def examples(self) -> list[dict[str, Any]]:
        """Draw the first built-in test examples of the task; none where it has no built-in data."""
        try:
            source = self.task.open_source("synthetic", self.loaded.config)
            return list(itertools.islice(source.read("test", lambda problem: None), EXAMPLES))
        except ValueError:
            return []


def warm(pages: Sequence[Page]) -> None:
    """Warm the pages, each after the requests that have come meanwhile; called in the worker's thread."""
    if pages:
        pages[0].warm()
        pages[0].worker.pool.submit(warm, pages[1:])


def plain(page: Page, text: Any) -> str:
    """Answer a text of a task that the page knows no better."""
    prediction, _, _ = page.ask(text_within(text))
    return drawing.headline(str(prediction["answer"]), f"score {prediction['score']:.4f}")


def opinion(page: Page, text: Any) -> str:
    """Classify a text; its pieces are coloured by what each did to the answer, and by its share in the pooling."""
    text = text_within(text)
    prediction, explanation, why_not = page.ask(text)
    parts = [
        drawing.headline(prediction["answer"], f"probability {prediction['score']:.4f}"),
        drawing.bars(prediction["probabilities"]),
        why_not,
    ]
    if explanation is not None:
        rows = explanation.numbers["rows"]
        names = [row["piece"] for row in rows]
        parts += [
            f'<p class="note">red speaks for “{escape(prediction["answer"])}”, blue against it (integrated '
            "gradients)</p>",
            drawing.pieces(names, [row["attribution"] for row in rows], CONTINUES, signed=True),
            "<details><summary>attention: the share of each piece in the pooling</summary>",
            drawing.pieces(names, [row["share"] for row in rows], CONTINUES, signed=False) + "</details>",
        ]
        if prediction.get("cut"):
            parts.append(f'<p class="note">{len(names)} pieces of the text are read, the rest is left out.</p>')
    return "".join(parts)


def translation(page: Page, text: Any) -> str:
    """Translate a sentence: the best answer, the n best with their scores, and the alignment."""
    text = text_within(text)
    prediction, explanation, why_not = page.ask(text)
    parts = [
        drawing.headline(
            prediction["answer"], "the best answers, with their log-probability over a power of their length"
        ),
        drawing.ranking(prediction["alternatives"]),
        why_not,
    ]
    if prediction["cut"]:
        parts.append('<p class="note">The text is longer than the model reads: only its beginning is translated.</p>')
    if explanation is not None:
        numbers = explanation.numbers
        parts += [
            '<p class="note">alignment: which pieces of the source (above) each piece of the answer looked at</p>',
            drawing.alignment(_read(numbers["source_pieces"]), _read(numbers["target_pieces"]), numbers["attention"]),
        ]
    return "".join(parts)


def _read(pieces: list[str]) -> list[str]:
    return ["(end)" if piece == "<eos>" else piece.removeprefix(CONTINUES) for piece in pieces]


def transcript(page: Page, path: Any) -> str:
    """Write down a recording: the transcript, and its words in time over the spectrogram."""
    content = sound_within(file_within(path, "recording"))
    prediction, explanation, why_not = page.ask(content)
    parts = [
        drawing.headline(
            prediction["answer"], f"geometric mean of the steps' probabilities: {prediction['score']:.4f}"
        ),
        why_not,
    ]
    if explanation is not None:
        frames, _, rate = extent(content)
        parts.append(drawing.timeline(explanation.arrays["features"], frames / rate, prediction["words"]))
    return "".join(parts)


@dataclass(frozen=True)
class Looks:
    """A captioned picture to step through.

    Attributes:
        picture: the value of an ``src``.
        words: of the caption, W.
        shades: W panes to lay over the picture, each the value of an ``src``.
    """

    picture: str = ""
    words: list[str] = field(default_factory=list)
    shades: list[str] = field(default_factory=list)

    def at(self, number: Any) -> str:
        """Show what word ``number`` looked at, from 1; 0 shows the bare picture."""
        number = min(max(int(number or 0), 0), len(self.words))
        return drawing.look(self.picture, self.words, self.shades, number) if self.picture else ""


def caption(page: Page, path: Any) -> tuple[str, Looks]:
    """Describe a picture: the caption with its runners-up, and what to step through."""
    content = file_within(path, "picture")
    finding = inspect(content, whole=False, max_pixels=MOST_PIXELS)
    if finding.problem:
        raise ValueError(f"The picture {finding.problem}.")
    prediction, explanation, why_not = page.ask(content)
    shown = drawing.headline(
        prediction["answer"], "the best captions, with their log-probability over a power of their length"
    )
    shown += drawing.ranking(prediction["alternatives"])
    if explanation is None:
        return shown + why_not, Looks()
    words = [str(row["word"]) for row in explanation.numbers["rows"]]
    shades = [drawing.shade(share) for share in explanation.arrays["attention"]]
    return shown, Looks(drawing.shown_picture(content), words, shades)
