"""The stack: steps equal the sequence, padding changes nothing, exports hold plain operations only."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from models.recurrent import CELLS, RecurrentStack, portable

FULL = {"layers": 3, "dropout": 0.3, "residual": True, "layer_norm": True, "seed": 1}


def inputs(batch=3, time=5, width=4):
    return np.random.default_rng(0).normal(size=(batch, time, width)).astype("float32")


@pytest.mark.parametrize("cell", list(CELLS))
def test_steps_equal_the_sequence(cell):
    stack, x = RecurrentStack(cell, 4, **FULL), inputs()
    outputs, states = stack(x, np.array([5, 5, 5]))
    step_states = stack.zero_state(3)
    for t in range(5):
        y, step_states = stack.step(x[:, t], step_states)
        np.testing.assert_allclose(y, outputs[:, t], atol=1e-5)
    for a, b in zip(tf.nest.flatten(states), tf.nest.flatten(step_states), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def normalised(y, norm):
    """Layer normalisation by the definition (Ba et al. 2016), with the epsilon that Keras documents."""
    centred = y - y.mean(-1, keepdims=True)
    return centred / np.sqrt(y.var(-1, keepdims=True) + 1e-3) * norm.gamma.numpy() + norm.beta.numpy()


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_a_layer_is_normalised_first_and_then_what_it_read_is_added(residual, layer_norm):
    stack, x = RecurrentStack("gru", 4, 2, residual=residual, layer_norm=layer_norm), inputs(width=3)
    stack.build(x.shape)
    random = np.random.default_rng(3)
    for weight in stack.trainable_weights:
        weight.assign(random.normal(size=weight.shape))
    expected = x
    with portable():  # not worth compiling
        outputs, _ = stack(x, np.array([5, 5, 5]))
        for n, rnn in enumerate(stack.rnns):
            y = np.array(rnn(expected)[0])
            y = normalised(y, stack.norms[n]) if layer_norm else y
            expected = expected + y if residual and n else y  # the first layer reads 3 numbers and returns 4
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("cell", "bidirectional"), [("gru", False), ("gru", True), ("minlstm", False), ("rglru", True)]
)
def test_padding_and_neighbours_change_nothing(cell, bidirectional):
    stack, x = RecurrentStack(cell, 4, bidirectional=bidirectional, **FULL), inputs()
    lengths = np.array([5, 2, 0])
    outputs, states = stack(x, lengths)
    assert outputs.shape == (3, 5, stack.output_size)
    assert not np.any(outputs[1, 2:]) and not np.any(outputs[2])
    wide = np.concatenate([x, np.full((3, 4, 4), 7, "float32")], axis=1)
    more, same = stack(wide, lengths)
    np.testing.assert_allclose(more[:, :5], outputs, atol=1e-6)
    alone, _ = stack(x[1:2, :2], np.array([2]))
    np.testing.assert_allclose(alone[0], outputs[1, :2], atol=1e-6)
    for a, b in zip(tf.nest.flatten(states), tf.nest.flatten(same), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "simple", "rglru"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_loops_without_a_mask_give_the_same(cell, bidirectional):
    stack, x = RecurrentStack(cell, 4, bidirectional=bidirectional, **FULL), inputs()
    x[1, 2:], lengths = 7.0, np.array([5, 2, 0])
    outputs, _ = stack(x, lengths)
    with portable(unmasked=True):
        unmasked, states = stack(x, lengths)
    np.testing.assert_allclose(unmasked, outputs, atol=1e-5)
    assert states == [()] * 3, "states that are not those of the last real step must not be handed out"


@pytest.mark.parametrize("cell", ["lstm", "minlstm"])
def test_state_can_be_handed_over(cell):
    stack, x = RecurrentStack(cell, 4, layers=2), inputs()
    whole, _ = stack(x, np.array([5, 5, 5]))
    _, states = stack(x[:, :3], np.array([3, 3, 3]))
    rest, _ = stack(x[:, 3:], np.array([2, 2, 2]), initial_state=states)
    np.testing.assert_allclose(rest, whole[:, 3:], atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "rglru"])
def test_same_seed_gives_the_same_weights_and_config_survives(cell):
    one = RecurrentStack(cell, 4, bidirectional=True, **FULL)
    two = RecurrentStack.from_config(one.get_config())
    for stack in (one, two):
        stack(inputs(), np.array([5, 5, 5]))
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [w for w in one.get_weights() if w.ndim == 2]
    for n, a in enumerate(kernels):
        assert all(a.shape != b.shape or not np.array_equal(a, b) for b in kernels[n + 1 :])


@pytest.mark.parametrize(
    ("arguments", "message"), [(("lsmt", 4), "lsmt"), (("lstm", 0), "units=0"), (("lstm", 4, 0), "layers=0")]
)
def test_wrong_arguments_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        RecurrentStack(*arguments)


def test_bidirectional_has_no_step():
    with pytest.raises(ValueError, match="bidirectional"):
        RecurrentStack("gru", 4, bidirectional=True).step(inputs()[:, 0], [])


def operations(path):
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((path / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    return {n.op for n in graph.node} | {n.op for f in graph.library.function for n in f.node_def}, str(graph)


@pytest.mark.parametrize("cell", ["lstm", "rglru"])
def test_export_holds_plain_operations(cell, tmp_path):
    stack, x = RecurrentStack(cell, 4, layers=2, bidirectional=True), inputs()
    expected, _ = stack(x, np.array([5, 3, 0]))
    module = tf.Module()
    module.weights = [v.value for v in stack.variables]
    specs = [tf.TensorSpec([None, None, 4]), tf.TensorSpec([None], tf.int32)]
    with portable():
        module.serve = tf.function(lambda x, n: stack(x, n)[0], input_signature=specs)
        tf.saved_model.save(module, tmp_path, signatures=module.serve)
    names, text = operations(tmp_path)
    assert not [n for n in names if n.startswith(("Xla", "Cudnn", "PyFunc", "EagerPyFunc"))]
    assert "_XlaMustCompile" not in text
    loaded = tf.saved_model.load(tmp_path)
    np.testing.assert_allclose(loaded.serve(x, tf.constant([5, 3, 0])), expected, atol=1e-5)


@pytest.mark.slow
def test_training_twice_gives_the_same_bits():
    def train():
        keras.utils.set_random_seed(0)
        stack = RecurrentStack("lstm", 96, layers=2, dropout=0.2, seed=5)
        head, optimizer = keras.layers.Dense(1), keras.optimizers.Adam(1e-2)
        stack.build((None, None, 4))
        head.build((None, None, 96))
        weights = stack.trainable_weights + head.trainable_weights
        optimizer.build(weights)

        @tf.function(input_signature=[tf.TensorSpec([None, None, 4]), tf.TensorSpec([None], tf.int32)])
        def step(x, lengths):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(head(stack(x, lengths, training=True)[0]) ** 2)
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

        for _ in range(2):
            step(inputs(3, 5), np.array([5, 2, 1], "int32"))
        return [w.numpy() for w in weights]

    for a, b in zip(train(), train(), strict=True):
        np.testing.assert_array_equal(a, b)
