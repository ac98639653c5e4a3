"""What a task is: a module with these names. No base class; the shared rooms are handed a task and call it.

Adding a task: ``pipelines/NAME_config.py`` (``Config``, ``FORMATS``, ``PRESETS`` with ``tiny`` and ``small``),
``pipelines/NAME.py`` (the rest), built-in data in ``pipelines/data/sources/synthetic/NAME.py``, and a line in
``pipelines.TASKS``; ``docs/adding-a-task.md`` has a whole one.

Beside the protocol a task may have:

- ``initialise(model, config, preprocessor, training)``: first weights that depend on the training examples;
- ``complete(training)``: adds to the training examples what is known only once all of them are encoded;
- ``adopt(config, preprocessor, examples)`` and ``HEAD`` (names of layers): warm start from another run;
- ``reward(training)``, ``reward_loss(model, config, reward, x, y)``, settings ``reward_...``: whole answers train the
  last epochs, see `pipelines.recipes.reward`;
- ``explain(model, preprocessor, config, input)``: where an answer comes from, for ``pipelines explain``;
- ``sheet(model, preprocessor, config, examples)``: several explained on one picture, for ``explain --sheet``;
- ``facets(config, example)``: what ``pipelines validate`` counts; ``viewer(config, source)`` where that takes a look at
  all of the data first;
- ``refused(example)``: why training leaves out an example that can be scored nevertheless;
- ``settle(loaded, source)``: what decoding needs beyond the run, such as a language model;
- ``served(card, row)``: what one row of the export's outputs says beside answer and score, as ``answer`` words it;
- ``tolerance(config)``: how far floats of run and export may differ, where more is rounded than float32 does;
- ``sentence(config, example)``: the text that ``pipelines lm RUN`` reads in an example;
- ``MOST_STEPS``: padded steps that are decoded together at most, where one example can be very long;
- ``PART``: training examples that are encoded together at most, where each is large;
- a module ``pipelines/NAME_numeric.py``, where its network alone is of use: see ``pipelines.export.numeric``.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from pipelines.config import Preset
from pipelines.data.batching import Encoded, Transform
from pipelines.data.source import Example, Source

Prediction = dict[str, Any]
"""One line of predictions.jsonl: ``id``, ``input``, ``references``, ``answer``, ``score``, and what a task adds."""

Scorer = Callable[[np.ndarray], dict[str, float]]
"""Corpus scores of the predictions with these numbers, int64 [N] (repeats allowed: the bootstrap draws so)."""


class Preprocessor(Protocol):
    """Learned from the training split only, kept in the run, and the same object in training and export."""

    FILES: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write the files named in ``FILES`` into ``folder``."""


class Task(Protocol):
    """The eight arrows from raw data to a server, for one task.

    ``SIGNATURES`` says of each score what computes it; a task for which that depends on what is scored has a function
    ``signatures(predictions)`` instead.
    """

    NAME: str
    METRIC: str
    BETTER: Literal["higher", "lower"]
    RAW: str
    ANSWER: str
    SIGNATURES: Mapping[str, str]
    MARGIN: float
    THRESHOLD: float
    Config: type
    PRESETS: Mapping[str, Preset]
    Preprocessor: type

    def open_source(self, spec: str, config: Any) -> Source:
        """Open ``synthetic``, ``tfds:NAME`` or a path, with missing splits cut."""

    def fit_preprocessor(self, config: Any, examples: Iterable[Example]) -> Any:
        """Learn vocabulary or statistics from the training examples."""

    def load_preprocessor(self, config: Any, folder: Path) -> Any:
        """Read back what ``save`` wrote."""

    def encode(
        self,
        preprocessor: Any,
        config: Any,
        examples: Iterable[Example],
        labelled: bool = True,
        keep_raw: bool = True,
    ) -> Encoded:
        """Preprocess examples once; drop what cannot be used and say so.

        Without ``keep_raw`` the result's ``examples`` hold ``id`` and ``where`` only, so that memory is spent on
        tensors alone.
        """

    def augmentation(self, config: Any, preprocessor: Any) -> Transform | None:
        """Return the in-graph random change of a training batch, or None."""

    def build(self, config: Any, preprocessor: Any) -> Any:
        """Return the untrained keras.Model."""

    def loss(self, model: Any, config: Any, x: Mapping[str, Any], y: Mapping[str, Any]) -> Any:
        """Training loss of each example, float32 [B]."""

    def decode(self, model: Any, config: Any, x: Mapping[str, Any]) -> dict[str, Any]:
        """Free decoding in graph: tensors that all begin with the axis B."""

    def decode_name(self, config: Any) -> str:
        """Say in a few words how answers are decoded, for ``metrics.json``."""

    def answer(self, preprocessor: Any, config: Any, example: Example, outputs: Mapping[str, np.ndarray]) -> Prediction:
        """Turn one example's row of ``decode`` into a prediction."""

    def scorer(self, predictions: list[Prediction]) -> Scorer:
        """Prepare the corpus scores of ``predictions``."""

    def report(self, predictions: list[Prediction]) -> str:
        """Return what a table of numbers does not show: confusion matrix, worst examples."""

    def raw(self, inputs: list[Any]) -> list[Example]:
        """Turn what a user hands to ``predict`` into raw examples without references."""

    def serving_inputs(self, examples: list[Example], card: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the export's signature for raw examples; ``card`` is what ``describe`` returned."""

    def hard_cases(self) -> list[Example]:
        """Return raw examples at the edge of what may come: empty, foreign, broken, very long."""

    def describe(self, preprocessor: Any) -> dict[str, Any]:
        """Return what a client of the export may want to know, as JSON types."""

    def serving(self, model: Any, preprocessor: Any, config: Any) -> Any:
        """Return the tf.Module whose ``__call__`` takes the raw batch; it is exported as it is."""

    def baseline(self, train: list[Example], test: list[Example]) -> tuple[str, float]:
        """Name and score (in ``METRIC``) a method without recurrence on the same data."""
