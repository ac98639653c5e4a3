"""Our layers against the stock layers of Keras: outputs, states and every gradient."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models import recurrent
from models.recurrent import kernels
from models.recurrent.kernels.run import SPLIT_FROM_UNITS

BATCH, TIME, WIDTH = 4, 5, 3
KINDS = [("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False}), ("SimpleRNN", {})]
LAYERS: dict[str, tuple] = {}


def pair(kind, options, bidirectional, units):
    """Our layer and the stock one; made once, as compilation is what these tests would spend their time on."""
    key = repr((kind, sorted(options.items()), bidirectional, units))
    if key not in LAYERS:
        layers = []
        for module in (recurrent, keras.layers):
            layer = getattr(module, kind)(units, return_state=True, **options)
            layer = module.Bidirectional(layer) if bidirectional else layer
            layer.build((None, None, WIDTH))
            layers.append(layer)
        LAYERS[key] = tuple(layers)
    return LAYERS[key]


def run(layer, x, mask, states, training, scales):
    watched = [x, *(states or [])]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        results = layer(x, mask=mask, initial_state=states, training=training)
        # Each result weighs differently, so that a gradient sent to the wrong place shows.
        loss = sum(tf.reduce_sum(r * s) for r, s in zip(results, scales, strict=False))
    return [*results, *tape.gradient(loss, watched + layer.trainable_weights)]


def close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        assert np.abs(a - b).max(initial=0) <= 1e-5 * max(np.abs(b).max(initial=0), 1e-2)


def compare(ours, stock, seed, mask, with_state, training=True):
    draw = np.random.default_rng(seed)
    weights = [draw.normal(size=w.shape) * 0.5 for w in stock.get_weights()]
    stock.set_weights(weights)
    ours.set_weights(weights)
    x = tf.constant(draw.normal(size=(BATCH, TIME, WIDTH)), tf.float32)
    count, units = len(ours.compute_output_shape(x.shape)) - 1, weights[1].shape[0]
    states = [tf.constant(draw.normal(size=(BATCH, units)), tf.float32) for _ in range(count)]
    scales = [tf.constant(draw.normal(size=(1, 1)), tf.float32) for _ in range(count + 1)]
    given = (x, mask, states if with_state else None)
    close(run(ours, *given, training, scales), run(stock, *given, True, scales))


def masks():
    """Right-padded masks, a row that is all padding included, and masks with holes."""
    lengths = st.lists(st.integers(0, TIME), min_size=BATCH, max_size=BATCH)
    padded = lengths.map(lambda ns: np.arange(TIME)[None] < np.array(ns)[:, None])
    row = st.lists(st.booleans(), min_size=TIME, max_size=TIME)
    return st.none() | padded | st.lists(row, min_size=BATCH, max_size=BATCH).map(np.array)


OPTIONS = ("go_backwards", "zero_output_for_mask", "return_sequences")
any_call = given(
    mask=masks(),
    drawn=st.fixed_dictionaries({k: st.booleans() for k in OPTIONS}),
    seed=st.integers(0, 1000),
    with_state=st.booleans(),
)


@pytest.mark.parametrize(("kind", "options"), KINDS)
@settings(max_examples=4, deadline=None)
@any_call
def test_equals_stock(kind, options, mask, drawn, seed, with_state):
    ours, stock = pair(kind, {**options, **drawn}, False, 4)
    assert kernels.describe(ours) == "fast"
    compare(ours, stock, seed, None if mask is None else tf.constant(mask), with_state)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), KINDS)
@settings(max_examples=60, deadline=None)
@any_call
def test_equals_stock_in_many_calls(kind, options, mask, drawn, seed, with_state):
    mask = None if mask is None else tf.constant(mask)
    compare(*pair(kind, {**options, **drawn}, False, 4), seed, mask, with_state)
    both = {**options, "return_sequences": drawn["return_sequences"]}
    compare(*pair(kind, both, True, 4), seed, mask, with_state)


@pytest.mark.parametrize(("kind", "options"), KINDS[:2])  # the others in the slow test above: directions know no kind
@settings(max_examples=3, deadline=None)
@given(mask=masks(), sequences=st.booleans(), seed=st.integers(0, 1000), with_state=st.booleans())
def test_bidirectional_equals_stock(kind, options, mask, sequences, seed, with_state):
    ours, stock = pair(kind, {**options, "return_sequences": sequences}, True, 4)
    compare(ours, stock, seed, None if mask is None else tf.constant(mask), with_state)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_batch_in_two_chains_equals_stock(kind, options):
    ours, stock = pair(kind, {**options, "return_sequences": True}, False, SPLIT_FROM_UNITS)
    mask = tf.constant(np.arange(TIME)[None] < np.array([5, 0, 2, 3])[:, None])
    compare(ours, stock, 1, mask, True)


@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul", None])
def test_merge_modes(merge):
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 3, WIDTH)), tf.float32)
    ours = recurrent.Bidirectional(recurrent.LSTM(4, return_sequences=True), merge_mode=merge)
    stock = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True), merge_mode=merge)
    ours(x), stock(x)
    ours.set_weights(stock.get_weights())
    close(tf.nest.flatten(ours(x)), tf.nest.flatten(stock(x)))


def test_inference_differentiates_too():
    ours, stock = pair("LSTM", {"return_sequences": True}, False, 4)
    compare(ours, stock, 3, None, True, training=False)


@pytest.mark.parametrize(("batch", "time"), [(1, 1), (1, 4), (3, 1)])
@pytest.mark.parametrize("units", [4, SPLIT_FROM_UNITS])
def test_open_shapes(batch, time, units):
    layer = recurrent.LSTM(units, return_sequences=True)
    layer.build((None, None, WIDTH))
    traced = tf.function(layer, input_signature=[tf.TensorSpec([None, None, WIDTH])])
    x = tf.random.normal([batch, time, WIDTH])
    fast = traced(x)
    with recurrent.portable():
        np.testing.assert_allclose(fast, layer(x), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_accumulates_in_single(policy):
    x = np.random.default_rng(0).normal(size=(2, 6, WIDTH)).astype("float32")
    half = recurrent.GRU(8, return_sequences=True, dtype=policy)
    single = recurrent.GRU(8, return_sequences=True)
    half(x), single(x)
    single.set_weights(half.get_weights())
    assert half(x).dtype == half.compute_dtype
    np.testing.assert_allclose(np.asarray(tf.cast(half(x), "float32")), single(x), atol=0.02)


def test_dropout_of_inputs_is_shared_by_all_steps():
    layer = recurrent.LSTM(4, dropout=0.5, return_sequences=True, seed=1)
    x = tf.ones([2, 6, WIDTH])
    layer(x)
    assert np.abs(layer(x, training=True) - layer(x, training=False)).max() > 1e-3
    seen = []
    layer.cell.get_dropout_mask = lambda step: seen.append(step.shape) or tf.ones_like(step)
    np.testing.assert_allclose(layer(x, training=True), layer(x, training=False), atol=1e-6)
    assert (2, WIDTH) in {tuple(s) for s in seen}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"activation": "relu"}, "activation"),
        ({"recurrent_activation": "relu"}, "recurrent activation"),
        ({"recurrent_dropout": 0.1}, "recurrent dropout"),
        ({"unroll": True}, "unrolled"),
        ({"dtype": "float64"}, "float64"),
    ],
)
def test_unusual_layers_take_the_portable_path(options, reason):
    layer = recurrent.LSTM(4, **options)
    layer.build((2, 3, WIDTH))
    assert reason in kernels.describe(layer)
    stock = keras.layers.LSTM(4, **options)
    stock.build((2, 3, WIDTH))
    layer.set_weights(stock.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 3, WIDTH))
    np.testing.assert_array_equal(layer(x), stock(x))


def test_second_derivatives_are_refused():
    layer, x = recurrent.LSTM(4), tf.ones([1, 2, WIDTH])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_sum(layer(x))
        gradient = inner.gradient(loss, x)
    with pytest.raises(NotImplementedError, match="portable"):
        outer.gradient(gradient, x)


def test_serialisation_and_names_are_those_of_keras():
    for module_layer in (recurrent.Bidirectional(recurrent.GRU(4)), recurrent.LSTM(4), recurrent.SimpleRNN(4)):
        module_layer.build((None, None, WIDTH))
        config = keras.saving.serialize_keras_object(module_layer)
        again = keras.saving.deserialize_keras_object(config)
        again.build((None, None, WIDTH))
        assert type(again) is type(module_layer)
        assert again.get_config() == module_layer.get_config()
        stock = getattr(keras.layers, type(module_layer).__name__)
        assert isinstance(module_layer, stock)


@pytest.mark.parametrize(("kind", "bidirectional"), list(itertools.product(["LSTM", "GRU"], [False, True])))
def test_whole_step_compiles(kind, bidirectional):
    layer, _ = pair(kind, {"return_sequences": False}, bidirectional, 4)
    x = tf.random.normal([2, 3, WIDTH])

    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True)[0] ** 2)
        return tape.gradient(loss, layer.trainable_weights)

    close(tf.function(step, jit_compile=True)(x), step(x))


def test_stateful_carries_its_state():
    ours, stock = (m.LSTM(4, stateful=True) for m in (recurrent, keras.layers))
    x = tf.random.normal([2, 3, WIDTH])
    ours(x), stock(x)
    ours.set_weights(stock.get_weights())
    for layer in (ours, stock):
        layer.reset_state()
        layer(x)
    np.testing.assert_allclose(ours(x), stock(x), atol=1e-6)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_portable_never_asks_for_cudnn(kind, monkeypatch):
    """On a GPU Keras's own layer would put cuDNN into an exported graph."""

    def asked(*_args, **_options):
        raise AssertionError("cuDNN was asked for")

    monkeypatch.setattr(f"keras.src.backend.{kind.lower()}", asked)
    x = np.ones((BATCH, TIME, WIDTH), "float32")
    with pytest.raises(AssertionError, match="cuDNN"):
        getattr(keras.layers, kind)(2)(x)
    with recurrent.portable():
        getattr(recurrent, kind)(2)(x)
