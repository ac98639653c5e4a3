"""MinGRU, MinLSTM and RG-LRU against their equations in double precision: outputs, states, every gradient."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import recurrent
from models.decoders import AttentionDecoder, Memory
from models.recurrent import kernels
from models.recurrent.kernels import scan
from tests.models.parallel import (
    BATCH,
    LAYERS,
    LENGTHS,
    TIME,
    UNITS,
    WIDTH,
    close,
    coefficients,
    every,
    made,
    reference,
    results,
    sigmoid,
)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@every
def test_outputs_are_those_of_the_equations(kind, masked, backwards):
    layer, x, initial = made(kind, go_backwards=backwards)
    mask = np.arange(TIME)[None] < LENGTHS[:, None] if masked else None
    states, final = reference(kind, layer.get_weights(), x, initial, mask, backwards)
    states = states[:, ::-1] if backwards else states
    outputs, last = layer(x, mask=mask, initial_state=initial)
    assert kernels.describe(layer) == "fast"
    close([last], [final])
    real = np.ones((BATCH, TIME), bool) if mask is None else mask[:, ::-1] if backwards else mask
    close([np.asarray(outputs)[real]], [states[real]])


def test_rglru_reads_its_input_itself_where_the_value_weights_are_the_identity():
    """Equations 1 to 4 as they stand: the input as wide as the state, and no map before it."""
    layer = recurrent.RGLRU(WIDTH, return_sequences=True)
    layer.build((None, None, WIDTH))
    kernel, bias, decay = layer.get_weights()
    kernel[:, 2 * WIDTH :] = np.eye(WIDTH)
    layer.set_weights([kernel, bias, decay])
    x = np.random.default_rng(0).normal(size=(2, 5, WIDTH)).astype("float32")
    share, h, expected = 1 / (1 + np.exp(-decay)), np.zeros((2, WIDTH)), []
    for t in range(5):
        r, i = (1 / (1 + np.exp(-x[:, t] @ kernel[:, n * WIDTH : (n + 1) * WIDTH])) for n in range(2))
        a = share ** (8 * r)
        h = a * h + np.sqrt(1 - a**2) * (i * x[:, t])
        expected.append(h)
    np.testing.assert_allclose(layer(x), np.stack(expected, 1), atol=1e-5)


@pytest.mark.parametrize("backwards", [False, True])
@every
def test_fast_and_portable_give_the_same_gradients(kind, backwards):
    holes = np.random.default_rng(4).random((BATCH, TIME)) < 0.6
    for mask, zero in ((None, False), (np.arange(TIME)[None] < LENGTHS[:, None], True), (holes, False)):
        layer, x, initial = made(kind, go_backwards=backwards, zero_output_for_mask=zero)
        fast = results(layer, x, initial, mask)
        with recurrent.portable():
            assert "export" in kernels.describe(layer)
            close(fast, results(layer, x, initial, mask), 2e-5)


@every
def test_gradients_are_those_of_finite_differences_in_double_precision(kind):
    layer, x, initial = made(kind)
    draw = np.random.default_rng(9)
    scales = [draw.normal(size=(BATCH, TIME, UNITS)), 2 * draw.normal(size=(BATCH, UNITS))]
    points = [np.asarray(p, "float64") for p in (x, initial, *layer.get_weights())]

    def loss():
        found = reference(kind, points[2:], points[0], points[1])
        return sum(np.sum(f * s) for f, s in zip(found, scales, strict=True))

    for point, gradient in zip(points, results(layer, x, initial)[2:], strict=True):
        expected = np.zeros(point.shape)
        for index in np.ndindex(point.shape):
            kept, sides = point[index], []
            for shift in (1e-6, -1e-6):
                point[index] = kept + shift
                sides.append(loss())
            point[index], expected[index] = kept, (sides[0] - sides[1]) / 2e-6
        close([gradient], [expected], 2e-5)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("time", [1, 2, 7, 8])
def test_doubling_gives_what_the_loop_gives(time, backwards):
    """What a GPU would compute, on this processor."""
    draw = np.random.default_rng(0)
    masks = [tf.constant(np.arange(time)[None] < np.array([[time], [0], [1]]))]
    tensors = [tf.constant(draw.normal(size=s), tf.float32) for s in ((3, time, 2), (2, 12), (12,), (4,), (3, 4))]
    found = []
    for doubling in (False, True):
        plan = scan.Plan("rglru", 4, 1, backwards, True, False, doubling)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            x, kernel, bias, decay, initial = tensors
            outputs, final = scan.scan(plan, x, kernel, bias, [decay], initial, masks)
            loss = tf.reduce_sum(outputs**2) + tf.reduce_sum(tf.sin(final))
        found.append([outputs, final, *tape.gradient(loss, tensors)])
    close(*found)


@every
def test_windows_that_hand_over_their_state_equal_the_whole(kind):
    layer, x, initial = made(kind)
    whole, last = layer(x, initial_state=initial)
    with tf.GradientTape() as tape:
        tape.watch(initial)
        first, state = layer(x[:, :2], initial_state=initial)
        second, final = layer(x[:, 2:], initial_state=state)
    close([first, second, final], [whole[:, :2], whole[:, 2:], last])
    assert np.all(np.abs(tape.gradient(final, initial)) > 0), "no gradient passes from window to window"
    stateful = LAYERS[kind](UNITS, return_sequences=True, stateful=True)
    stateful.build((BATCH, None, WIDTH))
    stateful.set_weights(layer.get_weights())
    parts = [stateful(x[:, :2]), stateful(x[:, 2:])]
    close([tf.concat(parts, 1)], [layer(x)[0]])


@every
def test_both_directions_equal_two_layers(kind):
    _, x, _ = made(kind)
    both = recurrent.Bidirectional(LAYERS[kind](UNITS, return_sequences=True, return_state=True))
    both.build((BATCH, None, WIDTH))
    draw = np.random.default_rng(5)
    both.set_weights([draw.normal(size=w.shape) for w in both.get_weights()])
    mask = np.arange(TIME)[None] < LENGTHS[:, None]
    outputs, *states = both(x, mask=mask)
    half = len(both.get_weights()) // 2
    parts = []
    for weights, backwards in ((both.get_weights()[:half], False), (both.get_weights()[half:], True)):
        all_states, last = reference(kind, weights, x, np.zeros((BATCH, UNITS)), mask, backwards)
        parts.append((all_states * mask[:, :, None], last))
    close([outputs, *states], [np.concatenate([p[0] for p in parts], -1), *(p[1] for p in parts)])
    with recurrent.portable():
        close([outputs, *states], both(x, mask=mask))


@every
def test_steps_of_half_precision_hand_on_states_in_single(kind):
    """A search loops over steps: states must leave a step as they entered it."""
    stack = recurrent.RecurrentStack(kind, 4, 2, dtype="mixed_bfloat16")
    stack.build((None, None, WIDTH))
    states = stack.zero_state(2)
    output, after = stack.step(tf.ones([2, WIDTH], "bfloat16"), states)
    assert output.dtype == "bfloat16"
    assert {s.dtype.name for s in tf.nest.flatten([states, after])} == {"float32"}
    decoder = AttentionDecoder(7, 4, 4, cell=kind, context_recurrence=True, dtype="mixed_bfloat16")
    keys, tokens, lengths = tf.ones([2, 3, 5], "bfloat16"), tf.ones([2, 2], tf.int32), tf.constant([2, 2])
    decoder(tokens, lengths, keys, lengths)
    state, ready = decoder.start(Memory(keys, lengths))
    _, after = decoder.step(tokens[:, 0], state, ready)
    assert {s.dtype.name for s in tf.nest.flatten([state, after])} == {"float32"}


def test_dropout_of_inputs_is_shared_by_all_steps_and_paths():
    layer = recurrent.MinGRU(4, dropout=0.5, return_sequences=True, seed=1)
    x = tf.ones([2, 6, WIDTH])
    plain = layer(x)
    assert np.abs(layer(x, training=True) - plain).max() > 1e-3
    layer.cell.get_dropout_mask = lambda step: tf.constant([[2.0, 0.0, 2.0], [0.0, 2.0, 2.0]])
    dropped = x * layer.cell.get_dropout_mask(None)[:, None]
    for context in (kernels.portable, contextlib.nullcontext):
        with context():
            np.testing.assert_allclose(layer(x, training=True), layer(dropped), atol=1e-6)
            np.testing.assert_allclose(layer(x, training=False), plain, atol=1e-6)


@every
def test_calls_from_several_threads_give_the_same_bits(kind):
    layer, x, initial = made(kind)
    once = [np.asarray(r) for r in results(layer, x, initial)]

    def again(_):
        return all(np.array_equal(a, b) for a, b in zip(results(layer, x, initial), once, strict=True))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(again, range(20)))


@every
def test_a_whole_step_compiles(kind):
    layer, x, initial = made(kind)
    close(tf.function(lambda: results(layer, x, initial), jit_compile=True)(), results(layer, x, initial))


def test_second_derivatives_are_refused():
    layer, x, initial = made("mingru")
    with tf.GradientTape() as outer:
        outer.watch(x)
        gradient = results(layer, x, initial)[2]
    with pytest.raises(NotImplementedError, match="portable"):
        outer.gradient(gradient, x)


@every
def test_initial_gates_keep_more_than_they_take(kind):
    layer = LAYERS[kind](500)
    layer.build((None, None, WIDTH))
    a, _ = coefficients(kind, layer.get_weights(), np.zeros((1, WIDTH)))
    assert a.mean() > 0.55
    if kind == "rglru":
        share = sigmoid(layer.cell.decay.numpy().astype("float64")) ** 8
        assert 0.9 <= share.min() < 0.91 and 0.99 < share.max() <= 0.9991
        assert abs(share.mean() - 0.9495) < 0.01


@pytest.mark.parametrize(
    ("options", "message"), [({"units": 0}, "units=0"), ({"units": 1, "dropout": 1.0}, "dropout=1")]
)
@every
def test_wrong_arguments_raise(kind, options, message):
    with pytest.raises(ValueError, match=message):
        LAYERS[kind](**options)
    with pytest.raises(ValueError, match="low=0"):
        recurrent.parallel.DecayInitializer(low=0.0)


@every
def test_double_precision_takes_the_portable_path(kind):
    layer, x, initial = made(kind, dtype="float64")
    assert "float64" in kernels.describe(layer)
    outputs, _ = layer(tf.cast(x, "float64"), initial_state=tf.cast(initial, "float64"))
    states, _ = reference(kind, layer.get_weights(), x, initial)
    np.testing.assert_allclose(outputs, states, rtol=1e-12)


@every
def test_a_model_comes_back_from_its_file(kind, tmp_path):
    inputs = keras.Input((None, WIDTH))
    layer = recurrent.Bidirectional(LAYERS[kind](UNITS, return_sequences=True, dropout=0.2, use_bias=kind != "mingru"))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(BATCH, TIME, WIDTH)).astype("float32")
    np.testing.assert_allclose(again(x), model(x), atol=1e-6)
    assert again.layers[-1].forward_layer.get_config() == model.layers[-1].forward_layer.get_config()
