"""The interface of a task: from raw data to a trained network, to answers and to an export.

A task is a class. An instance holds a configuration and what was learned from the training split (``preprocessor``);
class methods need neither. Shared modules are handed a task and call its methods; what a task does not override has a
default here. Most tasks extend a recipe (`pipelines.recipes`), which implements the methods that several tasks share.

Adding a task: ``docs/adding-a-task.md``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines.config import Preset, TrainingConfig, from_dict
from pipelines.data.batching import Encoded, Plan, Transform
from pipelines.data.source import Example, Source
from pipelines.data.validate import View, usual_facets
from pipelines.explain.explanation import Explanation, Sheet
from pipelines.metrics.bootstrap import Scorer
from pipelines.task.types import SCORES as SCORES
from pipelines.task.types import TOLERANCE as TOLERANCE
from pipelines.task.types import Arrays as Arrays
from pipelines.task.types import Card as Card
from pipelines.task.types import DecodingData as DecodingData
from pipelines.task.types import Field as Field
from pipelines.task.types import Loss as Loss
from pipelines.task.types import Modality as Modality
from pipelines.task.types import Mode as Mode
from pipelines.task.types import Numeric as Numeric
from pipelines.task.types import Phase as Phase
from pipelines.task.types import Port as Port
from pipelines.task.types import Prediction as Prediction
from pipelines.task.types import Preprocessor as Preprocessor
from pipelines.task.types import Row as Row


class Serving(tf.Module):
    """The whole way from a raw batch to its outputs as one graph; it is what an export holds."""

    def __init__(self, task: "Task", model: keras.Model) -> None:
        super().__init__()
        self.task, self.model, self.preprocessor = task, model, task.preprocessor

    def __call__(self, **raw: Any) -> dict[str, Any]:
        """Answer a raw batch, tensors named as in ``Task.signature`` that all begin with the axis [B]."""
        x = self.task.inputs(**raw)
        found = self.task.outputs(self.model, x)
        return found | self.task.details(x, found)

    def concrete(self) -> Any:
        """Trace the call with plain operations, see `models.recurrent.kernels.portable`."""
        with portable():
            return tf.function(self.__call__, autograph=False).get_concrete_function(**self.task.signature())


class Task(ABC):
    """One task. Subclasses set the class attributes and override methods.

    Attributes:
        name: of the package in ``pipelines/tasks``.
        modality: the kind of its raw inputs.
        raw: key of the raw input in an example, and name of the export's main input.
        columns: usual names of the columns in a table, by key of an example.
        answer_output: the output that holds the answer, string [B] unless ``answered`` is overridden.
        metric: the main score.
        higher_is_better: whether larger values of ``metric`` are better.
        threshold: of the demonstration, the worst value of ``metric`` that passes.
        margin: of the demonstration, the least lead over the baseline.
        config_class: the class of its settings.
        presets: settings by name.
        preprocessor_class: the class of what is learned from train.
        x_fields: tensors that the network reads, see ``encode``.
        y_fields: tensors that the loss compares with.
        head: names of layers that a warm start leaves out unless ``same_head``.
        most_steps: padded steps that are decoded together at most, where one example can be very long; 0: no limit.
        part: training examples that are encoded together at most.
    """

    name: ClassVar[str]
    modality: ClassVar[Modality]
    raw: ClassVar[str]
    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    answer_output: ClassVar[str]
    metric: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    threshold: ClassVar[float]
    margin: ClassVar[float]
    config_class: ClassVar[type[TrainingConfig]]
    presets: ClassVar[Mapping[str, Preset]]
    preprocessor_class: ClassVar[type[Preprocessor]]
    x_fields: ClassVar[Mapping[str, Field]]
    y_fields: ClassVar[Mapping[str, Field]]
    head: ClassVar[tuple[str, ...]] = ()
    most_steps: ClassVar[int] = 0
    part: ClassVar[int] = 1024

    config: TrainingConfig
    preprocessor: Preprocessor

    def __init__(self, config: TrainingConfig, preprocessor: Preprocessor) -> None:
        self.config, self.preprocessor = config, preprocessor

    # -------------------------------------------------------------------------------- data, before anything is learned

    @classmethod
    @abstractmethod
    def open_source(cls, spec: str, config: Any) -> Source:
        """Open ``synthetic``, ``tfds:NAME`` or a path; missing splits are cut from train."""

    @classmethod
    def builtin_source(cls) -> Source:
        """Open the built-in data."""
        return cls.open_source("synthetic", from_dict(cls.config_class, {}, "defaults"))

    @classmethod
    def parse(cls, inputs: Sequence[Any]) -> list[Example]:
        """Turn the inputs of ``predict`` into raw examples without references; ids count from 0.

        Raises:
            ValueError: an input is of another kind.
        """
        return [{"id": str(i), "where": f"input {i + 1}", cls.raw: one} for i, one in enumerate(inputs)]

    @classmethod
    def view(cls, config: Any, source: Source) -> View:
        """Return how ``pipelines validate`` looks at an example; it may read the beginning of ``source`` first."""
        return usual_facets

    @classmethod
    def refused(cls, example: Example) -> str:
        """Say why training leaves out an example that can be scored nevertheless; empty when it does not."""
        return ""

    @classmethod
    def sentence(cls, config: Any, example: Example) -> str:
        """Return the text of an example that a language model is estimated from.

        Raises:
            ValueError: the task has no use for language models.
        """
        raise ValueError(f"is a {cls.name} run; language models are made for speech")

    @classmethod
    def hard_cases(cls) -> list[Example]:
        """Return raw examples at the edge of what may come: empty, foreign, broken, very long."""
        return []

    # ------------------------------------------------------------------------------------------------------- learning

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, examples: Iterable[Example]) -> Preprocessor:
        """Learn vocabulary or statistics from the training examples."""

    @classmethod
    @abstractmethod
    def load(cls, config: Any, folder: Path) -> Preprocessor:
        """Read back what ``Preprocessor.save`` wrote.

        Raises:
            ValueError: a file holds something else; names it.
        """

    @classmethod
    def adopt(cls, config: Any, other: "Task", folder: Path, examples: Iterable[Example]) -> Preprocessor:
        """Take over the preprocessor of another run for a warm start; learn from ``examples`` what is new."""
        return cls.load(config, folder)

    @abstractmethod
    def encode(self, examples: Iterable[Example], mode: Mode = "score") -> Encoded:
        """Preprocess examples once; drop what cannot be used and say so.

        For training, the result's ``examples`` hold ``id`` and ``where`` alone, so that memory is spent on tensors.
        """

    def augmentation(self) -> Transform | None:
        """Return the in-graph random change of a training batch, or None."""
        return None

    @abstractmethod
    def network(self) -> keras.Model:
        """Build the untrained network."""

    def initialise(self, model: keras.Model, training: Encoded) -> None:  # noqa: B027  # usually nothing
        """Set first weights that depend on the training examples."""

    def mean_weight(self, training: Encoded) -> float:
        """Return the mean weight of a training example, see ``loss``."""
        return 1.0

    @abstractmethod
    def loss(self, model: keras.Model, x: Mapping[str, Any], y: Mapping[str, Any]) -> tuple[Any, Any]:
        """Training loss of a batch: (value float32 [B], weight float32 [B]).

        ``value`` is the sum of an example's losses, ``weight`` how many there are: target tokens, or 1. The step
        minimises the mean of value over the mean weight of all training examples, so that a token counts the same in
        every batch, and reports the sum of values over the sum of weights.
        """

    def last_phase(self, model: keras.Model, training: Encoded) -> Phase | None:
        """Return epochs at the end of the training that have another loss, or None."""
        return None

    def carried(self, model: keras.Model, batch_size: int) -> list[tf.Variable]:
        """Return states that the loss reads and assigns from batch to batch (truncated backpropagation through time).

        They are zero at the beginning of an epoch and part of the resumable state. A task with such states plans its
        epochs with `pipelines.data.batching.contiguous_plan`, by overriding ``plan``.
        """
        return []

    def plan(self, training: Encoded, epoch: int) -> Plan | None:
        """Return the batches of an epoch as example numbers; None shuffles and buckets as the settings say."""
        return None

    def same_head(self, other: "Task") -> bool:
        """Say whether the outputs of both networks mean the same, so that a warm start takes over the ``head`` too."""
        return True

    # ------------------------------------------------------------------------------------------------------ answering

    def prepared(self, model: keras.Model, data: DecodingData) -> "Task":
        """Return the task with what decoding needs beyond the run, such as a language model.

        Raises:
            ValueError: it cannot be loaded.
        """
        return self

    @abstractmethod
    def outputs(self, model: keras.Model, x: Mapping[str, Any]) -> dict[str, Any]:
        """Decode in graph: the answers and what belongs to them, tensors that all begin with the axis [B].

        Among them ``answer_output`` and ``score`` float32 [B]. Run and export both answer with it.
        """

    def finish(self, row: Row) -> Row:
        """Complete the outputs of one example outside of the graph, such as by a search with a language model."""
        return row

    def references(self, example: Example) -> list[Any]:
        """Return the references of an example as they are scored; none without."""
        return []

    @classmethod
    def answer(cls, card: Card, example: Example, row: Row, references: Sequence[Any] = ()) -> Prediction:
        """Word the outputs of one example as a prediction, those of a run and those of an export alike."""
        found: Prediction = {"id": example["id"], "input": example[cls.raw], "references": list(references)}
        found |= {"answer": cls.answered(row), "score": round(float(row["score"]), 6)}
        found |= cls.more(card, example, row)
        return found | ({"error": example["error"]} if "error" in example else {})

    @classmethod
    def answered(cls, row: Row) -> Any:
        """Return the answer in a row of outputs, as a JSON type."""
        return row[cls.answer_output].decode("utf-8")  # type: ignore[attr-defined]  # an item of a string tensor: bytes

    @classmethod
    def more(cls, card: Card, example: Example, row: Row) -> Prediction:
        """Word what the task adds to a prediction."""
        return {}

    @abstractmethod
    def decode_name(self) -> str:
        """Say in a few words how answers are decoded, for ``metrics.json``."""

    def explain(self, model: keras.Model, raw: Any) -> Explanation:
        """Answer one raw input and say where the answer comes from.

        Raises:
            ValueError: the input cannot be used, or the task has no explanation.
        """
        raise ValueError(f"is a {self.name} run, whose answers cannot be explained yet")

    def sheet(self, model: keras.Model, examples: Iterable[Example]) -> Sheet:
        """Draw several examples with their answers on one picture.

        Raises:
            ValueError: the task has no such picture.
        """
        raise ValueError(f"is a {self.name} run; sheets are drawn of captions")

    # -------------------------------------------------------------------------------------------------------- scoring

    @classmethod
    @abstractmethod
    def scorer(cls, predictions: list[Prediction]) -> Scorer:
        """Prepare the corpus scores of ``predictions``."""

    @classmethod
    @abstractmethod
    def signatures(cls, predictions: list[Prediction]) -> Mapping[str, str]:
        """Say of each score what computes it."""

    @classmethod
    def groups(cls, predictions: list[Prediction]) -> list[str] | None:
        """Name the group of each prediction where examples depend on each other: the bootstrap draws whole groups."""
        return None

    @classmethod
    def report(cls, predictions: list[Prediction]) -> str:
        """Return what a table of numbers does not show: confusion matrix, worst examples."""
        return ""

    @classmethod
    @abstractmethod
    def baseline(cls, train: list[Example], test: list[Example]) -> tuple[str, float]:
        """Name and score (in ``metric``) a method without recurrence on the same data."""

    # --------------------------------------------------------------------------------------------------------- export

    def card(self) -> dict[str, Any]:
        """Return what a client of the export may want to know, as JSON types."""
        return {}

    def signature(self) -> dict[str, tf.TensorSpec]:
        """Describe the raw inputs of the export by name."""
        return {self.raw: tf.TensorSpec([None], tf.string, name=self.raw)}

    @abstractmethod
    def inputs(self, **raw: Any) -> dict[str, Any]:
        """In graph: a raw batch as in ``signature`` -> what the network reads, as ``encode`` makes it."""

    def details(self, x: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """In graph: outputs that only an export gives, such as the text of each piece."""
        return {}

    def serving(self, model: keras.Model) -> Serving:
        """Return the module to export.

        Raises:
            ValueError: the settings ask for something that no graph holds.
        """
        return Serving(self, model)

    def further_signatures(self, model: keras.Model) -> dict[str, Any]:
        """Return more concrete functions of the export by name, such as one for streams."""
        return {}

    @classmethod
    def serving_inputs(cls, examples: list[Example], card: Card) -> dict[str, Any]:
        """Return the arguments of the export for raw examples, named as in ``signature``."""
        return {cls.raw: tf.constant([str(example[cls.raw]) for example in examples], tf.string)}

    def tolerance(self) -> float:
        """Return how far floats of run and export may differ, see ``TOLERANCE``."""
        return TOLERANCE

    def numeric(self, model: keras.Model) -> Numeric | None:
        """Return the network between numbers, for ONNX and LiteRT; None where it is of no use alone."""
        return None
