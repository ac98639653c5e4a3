"""The search that settings ask for is the one that is carried out, and a drawn answer can be drawn again."""

import json

import numpy as np
import pytest
import tensorflow as tf

from models.decoders import AttentionDecoder, Memory
from pipelines import evaluate
from pipelines.export.saved_model import export
from pipelines.recipes.seq2seq import attention
from pipelines.search.search import Rules, beam, sample, search
from pipelines.search.settings import SearchSettings

SETTINGS = {"beam_width": 3, "length_penalty": 0.5, "sampling_temperature": 0.0, "sampling_top_k": 4}
SETTINGS |= {"sampling_top_p": 0.8, "sampling_seed": 7, "min_tokens": 0, "no_repeat_ngram": 0}
RULES = Rules(1, 2, 6)
TABLE = tf.constant(np.random.default_rng(0).normal(size=(9, 9)).astype(np.float32))


def step(tokens, state, _):
    return tf.gather(TABLE, tokens), state


def found(limits=None, **changes):
    return search(step, tf.zeros([5, 1]), RULES, SearchSettings(**SETTINGS | changes), limits)


def test_settings_choose_the_search():
    limits = tf.constant([2, 6, 3, 6, 6])
    expected = beam(step, tf.zeros([5, 1]), RULES, width=3, length_penalty=0.5, limits=limits)
    for one, two in zip(found(limits), expected, strict=True):
        np.testing.assert_array_equal(one, two)
    options = {"temperature": 0.7, "top_k": 4, "top_p": 0.8, "seed": 7, "limits": limits}
    expected = sample(step, tf.zeros([5, 1]), RULES, **options)
    for one, two in zip(found(limits, sampling_temperature=0.7), expected, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(found(sampling_temperature=2.0)[0], found(sampling_temperature=2.0, sampling_seed=8)[0])


def test_attention_is_that_of_the_whole_buffer_up_to_each_end():
    random = np.random.default_rng(1)
    decoder = AttentionDecoder(9, 4, 8, seed=1)
    keys, cells = tf.constant(random.normal(size=(3, 5, 6)), tf.float32), tf.constant([5, 2, 4])
    tokens, lengths = tf.constant(random.integers(3, 9, (3, 7)), tf.int32), tf.constant([2, 0, 4])
    decoder(tokens, lengths, keys, cells)
    memory = Memory(keys, cells)
    got = attention(decoder, tokens, lengths, memory)
    before = tf.concat([tf.ones([3, 1], tf.int32), tokens[:, :-1]], axis=1)
    whole = decoder.attend(before, tf.fill([3], 7), memory)
    assert got.shape == (3, 7, 5)
    for row, length in enumerate((2, 0, 4)):
        np.testing.assert_allclose(got[row, :length], whole[row, :length], atol=1e-6)
        assert not np.any(got[row, length:])


def test_settings_are_named():
    names = [{}, {"beam_width": 1}, {"sampling_temperature": 0.7}]
    names.append({"sampling_temperature": 1.0, "sampling_top_k": 0, "sampling_top_p": 1.0})
    names.append({"min_tokens": 4, "no_repeat_ngram": 2})
    assert [SearchSettings(**SETTINGS | changes).search_name() for changes in names] == [
        "beam 3, alpha 0.5",
        "greedy",
        "sampling, temperature 0.7, top-k 4, top-p 0.8, seed 7",
        "sampling, temperature 1, seed 7",
        "beam 3, alpha 0.5, at least 4 tokens, no 2-gram twice",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["translation", "captioning"])
def test_drawn_answers_can_be_drawn_again_and_exported(task, small_run, tmp_path):
    drawn = []
    for seed in (1, 1, 2):
        record = evaluate(
            small_run(task), out=tmp_path, sampling_temperature=1.5, sampling_top_k=50, sampling_seed=seed
        )
        assert record["decode"] == f"sampling, temperature 1.5, top-k 50, seed {seed}"
        drawn.append([json.loads(line)["answer"] for line in (tmp_path / "predictions.jsonl").read_text().splitlines()])
    assert drawn[0] == drawn[1] != drawn[2]
    export(small_run(task), tmp_path / "export", samples=3, sampling_temperature=1.0)
