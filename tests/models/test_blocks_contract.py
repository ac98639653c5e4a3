"""One contract for every block of ``models/``: what is promised for one is tested for all."""

import importlib
import inspect
import pkgutil
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from tests.models.blocks import BLOCKS, DROPPED, REAL, Block, cut, draw
from tests.models.references import REFERENCES

every = pytest.mark.parametrize("name", list(BLOCKS))
ROWS = range(len(REAL["T"]))
made: dict[str, tuple[Any, list[Any]]] = {}


def answer(block: Block, layer: Any, inputs: list[Any], **how: Any) -> list[Any]:
    outputs = tf.nest.flatten(block.call(layer, *inputs, **how))
    assert len(outputs) == len(block.outputs)
    return outputs


def ready(name: str) -> tuple[Any, list[Any]]:
    """A built layer, biases and all other weights drawn at random so that one left out shows, and its outputs."""
    if name not in made:
        block, random = BLOCKS[name], np.random.default_rng(2)
        layer = block.make()
        inputs = [draw(axes) for axes in block.inputs]
        answer(block, layer, inputs)
        for weight in layer.trainable_weights:
            weight.assign(random.normal(size=weight.shape) * 0.4)
        made[name] = layer, answer(block, layer, inputs)
    return made[name]


def close(ours: list[Any], theirs: list[Any], block: Block, tolerance: float = 1e-5) -> None:
    """Compare the real steps of every row."""
    for axes, one, other in zip(block.outputs, ours, theirs, strict=True):
        for row in ROWS:
            np.testing.assert_allclose(cut(one, axes, row), cut(other, axes, row), rtol=10 * tolerance, atol=tolerance)


def model_of(block: Block, layer: Any) -> keras.Model:
    inputs = [keras.Input(open_shape(axes)[1:], dtype=draw(axes).dtype.name) for axes in block.inputs]
    return keras.Model(inputs, tf.nest.flatten(block.call(layer, *inputs)))


def open_shape(axes: str) -> list[int | None]:
    letters = axes.rpartition(" ")[2]
    return [size if letter == "." else None for letter, size in zip(letters, draw(axes).shape, strict=True)]


def test_no_block_is_left_out() -> None:
    found = set()
    for module in pkgutil.iter_modules(models.__path__):
        for _, value in inspect.getmembers(importlib.import_module(f"models.{module.name}"), inspect.isclass):
            if issubclass(value, keras.layers.Layer) and value.__module__.startswith("models."):
                found.add(value)
    assert found == {block.layer for block in BLOCKS.values()}


@every
def test_open_shapes_give_what_known_shapes_give(name: str) -> None:
    block, (layer, outputs) = BLOCKS[name], ready(name)
    inputs = [draw(axes) for axes in block.inputs]
    signature = [tf.TensorSpec(open_shape(axes), array.dtype) for axes, array in zip(block.inputs, inputs, strict=True)]
    traced = tf.function(lambda *given: answer(block, layer, list(given)), input_signature=signature)
    close(traced(*inputs), outputs, block, 1e-6)
    for symbolic, output in zip(model_of(block, layer).outputs, outputs, strict=True):
        assert len(symbolic.shape) == len(output.shape)
        assert all(size in (None, real) for size, real in zip(symbolic.shape, output.shape, strict=True))


@pytest.mark.parametrize(("kind", "tolerance"), [("bfloat16", 0.06), ("float16", 0.008)])  # 8 and 11 bits of mantissa
@every
def test_half_precision_is_asked_for_by_the_policy_alone(name: str, kind: str, tolerance: float) -> None:
    block, (layer, outputs) = BLOCKS[name], ready(name)
    half = block.make(dtype=f"mixed_{kind}")
    inputs = [draw(axes) for axes in block.inputs]
    answer(block, half, inputs)
    half.set_weights(layer.get_weights())
    given = answer(block, half, inputs)
    assert {weight.dtype for weight in half.trainable_weights} <= {"float32"}
    assert given[0].dtype == kind and outputs[0].dtype == "float32"
    assert {output.dtype.name for output in given} <= {kind, "float32", "int32"}
    axes, first = block.outputs[0], tf.cast(given[0], "float32")
    for row in ROWS:
        np.testing.assert_allclose(cut(first, axes, row), cut(outputs[0], axes, row), rtol=tolerance, atol=tolerance)


@every
def test_every_weight_and_every_feature_gets_a_finite_gradient(name: str) -> None:
    block, (layer, _) = BLOCKS[name], ready(name)
    random = np.random.default_rng(3)
    inputs = [tf.constant(draw(axes)) for axes in block.inputs]
    features = {axes: x for axes, x in zip(block.inputs, inputs, strict=True) if x.dtype.is_floating}
    with tf.GradientTape() as tape:
        tape.watch(list(features.values()))
        outputs = answer(block, layer, inputs, training=True)
        floats = [output for output in outputs if output.dtype.is_floating]
        loss = sum(tf.reduce_sum(output * random.normal(size=output.shape)) for output in floats)
    sources = {weight.path: weight.value for weight in layer.trainable_weights} | features
    for path, gradient in tape.gradient(loss, sources).items():
        values = np.array(tf.convert_to_tensor(gradient))
        assert np.all(np.isfinite(values)) and np.any(values != 0), path


@pytest.mark.parametrize("name", list(DROPPED))
def test_units_are_dropped_in_training_alone_and_drawn_anew_each_time(name: str, monkeypatch: Any) -> None:
    block, (layer, outputs) = BLOCKS[name], ready(name)
    inputs, honest = [draw(axes) for axes in block.inputs], keras.layers.Dropout.call
    dropped: list[bool] = []

    def watched(self: Any, x: Any, training: bool = False) -> Any:
        dropped.append(training)
        return honest(self, x, training=training)

    monkeypatch.setattr(keras.layers.Dropout, "call", watched)
    one, two, plain = (np.array(answer(block, layer, inputs, training=how)[0]) for how in (True, True, False))
    assert dropped == [True] * 2 * DROPPED[name] + [False] * DROPPED[name]
    assert not np.allclose(one, two) and not np.allclose(one, plain)
    np.testing.assert_array_equal(plain, outputs[0])


def test_dropout_is_looked_at_wherever_a_block_has_it() -> None:
    assert set(DROPPED) == {name for name, block in BLOCKS.items() if block.options.get("dropout")}


@every
def test_configuration_and_weights_bring_it_back(name: str, tmp_path: Any) -> None:
    block, (layer, outputs) = BLOCKS[name], ready(name)
    model_of(block, layer).save_weights(tmp_path / "block.weights.h5")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    twin = model_of(block, again)
    twin.load_weights(tmp_path / "block.weights.h5")
    close(tf.nest.flatten(twin([draw(axes) for axes in block.inputs])), outputs, block, 1e-6)


@every
def test_what_lies_in_the_padding_changes_nothing(name: str) -> None:
    block, (layer, outputs) = BLOCKS[name], ready(name)
    close(answer(block, layer, [draw(axes, junk=1) for axes in block.inputs]), outputs, block, 1e-6)


@every
def test_a_row_alone_and_unpadded_is_that_row_of_the_batch(name: str) -> None:
    block, (layer, outputs) = BLOCKS[name], ready(name)
    alone = answer(block, layer, [cut(draw(axes), axes, 1) for axes in block.inputs])
    for axes, one, many in zip(block.outputs, alone, outputs, strict=True):
        np.testing.assert_allclose(one, cut(many, axes, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list(REFERENCES))
def test_attention_and_pooling_equal_numpy_row_by_row(name: str) -> None:
    block, (layer, outputs) = BLOCKS[name], ready(name)
    for row in ROWS:
        *inputs, _ = (cut(draw(axes), axes, row)[0] for axes in block.inputs)
        expected = REFERENCES[name](layer, *inputs)
        for axes, output, value in zip(block.outputs, outputs, expected, strict=True):
            np.testing.assert_allclose(cut(output, axes, row)[0], value, rtol=1e-4, atol=1e-6)
    steps = np.array(outputs[1])
    assert np.all(steps[1, ..., REAL["T"][1] :] == 0), "weights on padding"
