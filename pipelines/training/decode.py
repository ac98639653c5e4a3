"""Batched decoding of encoded examples."""

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
"""Number of batches above which compiling the recurrent layers for every padded width pays off."""


def prepared(loaded: Loaded, source: Source | None = None) -> Loaded:
    """Load decode-time resources of the task, such as a language model; ``source`` is the data to decode.

    Raises:
        ValueError: a resource cannot be loaded.
    """

    def trained_on() -> Source:
        if source is not None and str(loaded.data["fingerprint"]).startswith(source.fingerprint):
            return source
        return loaded.open_source(loaded.data["spec"])

    data = DecodingData(source, trained_on, partial(encode_split, loaded.task))
    return replace(loaded, task=loaded.task.prepared(loaded.model, data))


class Decoder:
    """The task's inference decoding as one traced function of a model; the trace is reused between epochs.

    Args:
        loaded: the run.
        passes: expected number of calls with about as many examples as the first.
    """

    def __init__(self, loaded: Loaded, passes: int = 1) -> None:
        self.loaded, self.passes = loaded, passes
        task, model = loaded.task, loaded.model
        self.function = tf.function(lambda x: task.outputs(model, x), reduce_retracing=True, autograph=False)

    def __call__(self, encoded: Encoded) -> list[Prediction]:
        """Decode every example, batched by length; predictions are in the order of ``encoded``."""
        plan = sorted_plan(encoded.lengths, EVALUATION_BATCH, self.loaded.task.most_steps)
        task, config = self.loaded.task, self.loaded.config
        model_card = task.card()
        predictions: list[Prediction] = [{}] * len(encoded)
        dataset = batches(encoded, plan, growth=config.bucket_growth)
        # On a GPU neither compiled nor plain layers are used.
        compiled = len(plan) * self.passes >= COMPILED_FROM or bool(tf.config.list_logical_devices("GPU"))
        with shrinking(), nullcontext() if compiled else portable():
            self.function.get_concrete_function(dataset.element_spec[0])  # batch and time open: one trace for all
        data = zip(plan, dataset, strict=True)
        for indices, (x, _) in tqdm(data, total=len(plan), desc="decoding", disable=quiet(), leave=False):
            outputs = tf.nest.map_structure(lambda tensor: tensor.numpy(), self.function(x))
            for row, index in enumerate(indices):
                one = task.finish({name: values[row] for name, values in outputs.items()})
                example = encoded.examples[index]
                predictions[index] = task.answer(model_card, example, one, task.references(example))
        return predictions
