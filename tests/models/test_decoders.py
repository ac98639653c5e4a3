import keras
import numpy as np
import pytest
import tensorflow as tf

from models.decoders import AttentionDecoder, Memory

RNG = np.random.default_rng(2)
KEYS = RNG.normal(size=(3, 5, 6)).astype("float32")
KEY_LENGTHS = np.array([5, 3, 1], "int32")
TOKENS = RNG.integers(1, 11, size=(3, 4)).astype("int32")
LENGTHS = np.array([4, 4, 2], "int32")
SUMMARY = RNG.normal(size=(3, 7)).astype("float32")
WORDS = RNG.normal(size=(3, 5, 4)).astype("float32")
MEMORY = Memory(KEYS, KEY_LENGTHS)
VARIANTS = [
    {},
    {"cell": "lstm", "layers": 2, "attention": "general", "context_gate": True},
    {"attention": "scaled_dot", "units": 6, "tied": False},
    {"cell": "lstm", "context_recurrence": True, "context_gate": True},
    {"layers": 2, "context_recurrence": True, "attention": "general"},
    {"context_recurrence": True, "attention": "general", "lexical": True},
]


def memory_of(options):
    return MEMORY._replace(words=WORDS if options.get("lexical") else None)


def make(options, dropout=0.0):
    keras.utils.set_random_seed(5)
    decoder = AttentionDecoder(11, 4, **{"units": 8, "dropout": dropout, **options})
    decoder(TOKENS, LENGTHS, *memory_of(options))
    for weight in decoder.weights:
        if "seed" not in weight.path:  # biases too, so that one left out of a path shows
            weight.assign(RNG.normal(size=weight.shape) * 0.4)
    return decoder


@pytest.mark.parametrize("options", VARIANTS)
def test_steps_equal_the_whole_sequence(options):
    decoder, memory = make(options, dropout=0.5), memory_of(options)
    logits, weights = decoder(TOKENS, LENGTHS, *memory)
    assert logits.shape == (3, 4, 11) and weights.shape == (3, 4, 5)
    state, keys = decoder.start(memory)
    for step in range(4):
        one, state = decoder.step(TOKENS[:, step], state, keys)
        real = step < LENGTHS
        np.testing.assert_allclose(np.array(one)[real], np.array(logits)[real, step], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(decoder.attend(TOKENS, LENGTHS, memory), weights, rtol=1e-6)


def test_words_attended_to_speak_for_themselves():
    decoder = make({"lexical": True})
    for weight in decoder.readout.weights:
        weight.assign(np.zeros(weight.shape))
    logits, weights = decoder(TOKENS, LENGTHS, *memory_of({"lexical": True}))
    words = np.tanh(np.array(weights) @ WORDS)
    lexical = words + np.tanh(words @ np.array(decoder.lexicon.kernel))
    expected = lexical @ np.array(decoder.embedding.embeddings).T + np.array(decoder.bias)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_beams_of_one_example_share_its_memory():
    decoder = make({"attention": "general"})
    state, keys = decoder.start(MEMORY)
    beams = tf.nest.map_structure(lambda x: tf.repeat(x, 2, axis=0), state)
    logits, _ = decoder.step(TOKENS[:, :2].reshape(-1), beams, keys)
    for beam in range(2):
        alone, _ = decoder.step(TOKENS[:, beam], state, keys)
        np.testing.assert_allclose(np.array(logits)[beam::2], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", VARIANTS)
def test_targets_of_one_example_share_its_memory(options):
    decoder = make(options)
    tokens = RNG.integers(1, 11, size=(6, 4)).astype("int32")
    lengths = np.array([4, 2, 3, 4, 1, 4], "int32")
    memory = memory_of(options)
    together = decoder(tokens, lengths, *memory)
    twice = (None if part is None else np.repeat(part, 2, axis=0) for part in memory)
    apart = decoder(tokens, lengths, *twice)
    for ours, theirs in zip(together, apart, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_without_a_summary_the_bridge_starts_from_the_mean_of_the_real_keys():
    decoder = make({})
    means = np.stack([KEYS[row, :length].mean(0) for row, length in enumerate(KEY_LENGTHS)])
    state, _ = decoder.start(MEMORY)
    expected = np.tanh(means @ decoder.bridge.kernel.numpy() + decoder.bridge.bias.numpy())
    np.testing.assert_allclose(state["stack"][0][0], expected, rtol=1e-5, atol=1e-6)


def test_a_summary_of_another_width_reaches_the_first_step():
    decoder = AttentionDecoder(11, 4, 8)
    first, _ = decoder(TOKENS, LENGTHS, KEYS, KEY_LENGTHS, SUMMARY)
    other, _ = decoder(TOKENS, LENGTHS, KEYS, KEY_LENGTHS, SUMMARY + 1)
    assert np.abs(np.array(first - other))[:, 0].max() > 1e-4


def test_context_gate_scales_what_attention_found():
    decoder = make({"context_gate": True})
    before, _ = decoder(TOKENS, LENGTHS, KEYS, KEY_LENGTHS)
    decoder.gate.bias.assign([-1e4])
    shut, _ = decoder(TOKENS, LENGTHS, KEYS, KEY_LENGTHS, None)
    state, keys = decoder.start(MEMORY)
    blind, _ = decoder.step(TOKENS[:, 0], state, keys._replace(keys=KEYS * 0))
    np.testing.assert_allclose(shut[:, 0], blind, rtol=1e-5, atol=1e-6)
    assert np.abs(np.array(before - shut)).max() > 1e-3


def test_tied_output_is_the_embedding_and_untied_is_not():
    shapes = lambda decoder: sorted(tuple(w.shape) for w in decoder.trainable_weights)  # noqa: E731
    assert shapes(make({"tied": False})) == sorted([*shapes(make({})), (4, 11)])
    decoder = make({})
    logits, _ = decoder(TOKENS, LENGTHS, KEYS, KEY_LENGTHS)
    decoder.embedding.embeddings.assign(decoder.embedding.embeddings * tf.one_hot(7, 11, 0.0, 1.0)[:, None])
    silenced, _ = decoder(np.where(TOKENS == 7, 1, TOKENS), LENGTHS, KEYS, KEY_LENGTHS)
    np.testing.assert_allclose(silenced[..., 7], np.full((3, 4), decoder.bias[7]), rtol=1e-5)
    assert np.ptp(np.array(logits)[..., 7]) > 1e-3


def test_a_shared_embedding_is_one_weight():
    shared = keras.layers.Embedding(11, 4)
    decoder = AttentionDecoder(11, 4, 8, embedding=shared)
    decoder(TOKENS, LENGTHS, KEYS, KEY_LENGTHS)
    assert decoder.embedding is shared and sum(w.shape == (11, 4) for w in decoder.weights) == 1


def test_unknown_attention_is_refused_by_name():
    with pytest.raises(ValueError, match="additive, general, scaled_dot, not 'luong'"):
        AttentionDecoder(11, 4, 8, attention="luong")
