"""Decoding of encoded examples in batches."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import tensorflow as tf
from tqdm import tqdm

from models.recurrent.kernels import portable
from pipelines.data.batching import Encoded, batches, sorted_plan
from pipelines.data.source import Source
from pipelines.log import quiet
from pipelines.runs.load import Loaded
from pipelines.search.search import shrinking
from pipelines.task import DecodingData, Prediction
from pipelines.training.encode import encode_split

EVALUATION_BATCH = 64
COMPILED_FROM = 100
"""Batches to decode from which on it pays to compile the recurrent layers for every padded width."""


def prepared(loaded: Loaded, source: Source | None = None) -> Loaded:
    """Load what decoding needs beyond the run, such as a language model; ``source`` is the data to be decoded.

    Raises:
        ValueError: it cannot be loaded.
    """

    def trained_on() -> Source:
        if source is not None and str(loaded.data["fingerprint"]).startswith(source.fingerprint):
            return source
        return loaded.open_source(loaded.data["spec"])

    data = DecodingData(source, trained_on, partial(encode_split, loaded.task))
    return replace(loaded, task=loaded.task.prepared(loaded.model, data))


class Decoder:
    """The task's free decoding as one traced function of a model; keeps its trace between epochs.

    Args:
        loaded: the run.
        passes: how often about as many examples as in the first call will be decoded.
    """

    def __init__(self, loaded: Loaded, passes: int = 1) -> None:
        self.loaded, self.passes = loaded, passes
        task, model = loaded.task, loaded.model
        self.function = tf.function(lambda x: task.outputs(model, x), reduce_retracing=True, autograph=False)

    def __call__(self, encoded: Encoded) -> list[Prediction]:
        """Decode every example, batched by length; predictions come in the order of ``encoded``."""
        plan = sorted_plan(encoded.lengths, EVALUATION_BATCH, self.loaded.task.most_steps)
        task, config = self.loaded.task, self.loaded.config
        card = task.card()
        predictions: list[Prediction] = [{}] * len(encoded)
        dataset = batches(encoded, plan, growth=config.bucket_growth)
        with shrinking(), nullcontext() if self._compiled(len(plan)) else portable():
            self.function.get_concrete_function(dataset.element_spec[0])  # batch and time open: one trace serves all
        data = zip(plan, dataset, strict=True)
        for indices, (x, _) in tqdm(data, total=len(plan), desc="decoding", disable=quiet(), leave=False):
            outputs = tf.nest.map_structure(lambda tensor: tensor.numpy(), self.function(x))
            for row, index in enumerate(indices):
                one = task.finish({name: values[row] for name, values in outputs.items()})
                example = encoded.examples[index]
                predictions[index] = task.answer(card, example, one, task.references(example))
        return predictions

    def _compiled(self, count: int) -> bool:
        """Tell whether ``count`` batches a pass are enough; a GPU takes neither compiled nor plain layers."""
        return count * self.passes >= COMPILED_FROM or bool(tf.config.list_logical_devices("GPU"))
