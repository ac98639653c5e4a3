import itertools
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from pipelines.search.search import Rules, beam, greedy, sample, shrinking

PAD, START, END, V, L = 0, 1, 2, 6, 4
RNG = np.random.default_rng(7)
INNER = RNG.normal(size=(5, 5)).astype("float32")
EMBEDDING = RNG.normal(size=(V, 5)).astype("float32")
OUTPUT = RNG.normal(size=(5, V)).astype("float32")
STATES = RNG.normal(size=(3, 5)).astype("float32")
RULES = Rules(START, END, L)


def step(tokens, state, _):
    """A small recurrent network; its state is nested to show that any structure will do."""
    hidden = tf.tanh(state["h"][0] @ INNER + tf.gather(EMBEDDING, tokens))
    return hidden @ OUTPUT, {"h": (hidden,)}


def initial(states=STATES):
    return {"h": (tf.constant(states),)}


def log_probability(state, tokens):
    """The definition, in float64: one product per token."""
    hidden, last, total = state.astype("float64"), START, 0.0
    for token in tokens:
        hidden = np.tanh(hidden @ INNER + EMBEDDING[last])
        logits = hidden @ OUTPUT
        total += logits[token] - np.log(np.exp(logits).sum())
        last = token
    return total


def every_answer(min_length=0, limit=L, vocabulary=(3, 4, 5)):
    for length in range(limit + 1):
        for body in itertools.product(vocabulary, repeat=length):
            if length < limit and length >= min_length:
                yield (*body, END)
            if length == limit:
                yield body


def ranked(state, alpha, answers):
    score = {a: log_probability(state, a) / ((5 + len(a)) / 6) ** alpha for a in answers}
    return sorted(score.items(), key=lambda item: -item[1])


def found(hypotheses, row, k=0):
    return tuple(np.array(hypotheses.tokens)[row, k, : int(hypotheses.lengths[row, k])])


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("min_length", [0, 2])
def test_a_wide_beam_is_exhaustive_search(alpha, min_length):
    rules = Rules(START, END, L, min_length=min_length)
    width = 130  # more than there are answers
    got = beam(step, initial(), rules, width=width, length_penalty=alpha)
    for row, state in enumerate(STATES):
        expected = ranked(state, alpha, every_answer(min_length))
        assert width > len(expected)
        for k, (answer, score) in enumerate(expected):
            assert found(got, row, k) == answer
            np.testing.assert_allclose(got.scores[row, k], score, rtol=1e-4)
            np.testing.assert_allclose(got.log_probabilities[row, k], log_probability(state, answer), rtol=1e-4)
        assert np.all(np.isneginf(got.scores[row, len(expected) :]))
        assert not np.any(got.lengths[row, len(expected) :]) and not np.any(got.tokens[row, len(expected) :])


def reference_beam(state, width, alpha):
    """Beam search written with lists, one hypothesis at a time."""
    paths = [()]
    for _ in range(L):
        longer = [p for p in paths if p and p[-1] == END]
        longer += [(*p, token) for p in paths if not p or p[-1] != END for token in (2, 3, 4, 5)]
        paths = [answer for answer, _ in ranked(state, alpha, longer)[:width]]
    return paths


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_beam_equals_a_beam_of_lists(width):
    got = beam(step, initial(), RULES, width=width, length_penalty=0.9)
    for row, state in enumerate(STATES):
        assert [found(got, row, k) for k in range(width)] == reference_beam(state, width, 0.9)


def test_width_one_is_greedy_and_greedy_takes_the_most_probable_token():
    got, narrow = greedy(step, initial(), RULES), beam(step, initial(), RULES, width=1)
    np.testing.assert_array_equal(got.tokens, narrow.tokens)
    np.testing.assert_allclose(got.scores, narrow.log_probabilities, rtol=1e-5)
    for row, state in enumerate(STATES):
        answer = found(got, row)
        for t in range(len(answer)):
            rivals = [log_probability(state, (*answer[:t], token)) for token in (2, 3, 4, 5)]
            assert answer[t] == 2 + int(np.argmax(rivals))


def all_searches(state, rules=RULES, limits=None):
    yield greedy(step, state, rules, limits=limits)
    yield beam(step, state, rules, width=3, limits=limits)
    for seed in range(5):
        yield sample(step, state, rules, temperature=2.0, seed=seed, limits=limits)


def test_a_row_does_not_depend_on_its_batch():
    for row in range(3):
        for whole, alone in zip(all_searches(initial()), all_searches(initial(STATES[row : row + 1])), strict=True):
            np.testing.assert_array_equal(whole.tokens[row], alone.tokens[0])
            np.testing.assert_allclose(whole.scores[row], alone.scores[0], rtol=1e-4)


def test_limits_cut_each_row_on_its_own():
    rules, limits = Rules(START, END, L, min_length=3), np.array([1, 4, 2], "int32")
    for got in all_searches(initial(), rules, limits):
        np.testing.assert_array_equal(got.lengths[:, 0], limits)
    got = beam(step, initial(), RULES, width=60, length_penalty=1.0, limits=limits)
    for row, state in enumerate(STATES):
        assert found(got, row) == ranked(state, 1.0, every_answer(limit=int(limits[row])))[0][0]


def test_finished_answers_are_frozen():
    ending = tf.constant([[0, 0, 9.0, 0, 0, 0], [0, 0, -9.0, 3.0, 0, 0]])

    def scripted(tokens, state, _):
        return tf.gather(ending, state["row"]), state

    for search in (greedy, beam):
        got = search(scripted, {"row": tf.constant([0, 1])}, Rules(START, END, 6))
        assert found(got, 0) == (END,) and int(got.lengths[1, 0]) == 6
        alone = search(scripted, {"row": tf.constant([0])}, Rules(START, END, 6))
        np.testing.assert_allclose(got.log_probabilities[0], alone.log_probabilities[0], rtol=1e-6)


@pytest.mark.parametrize(("search", "steps"), [(greedy, 1), (sample, 1), (partial(beam, width=3), 2)])
def test_the_loop_ends_when_all_are_done(search, steps):
    calls = []

    def counted(tokens, state, _):
        calls.append(1)
        return tf.one_hot(tokens * 0 + END, V) * 50, state

    search(counted, initial(), Rules(START, END, 50))
    assert len(calls) == steps  # all but the best of a beam end in the second


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_ngram_comes_twice(n):
    favourite = tf.constant([0, 0, -4.0, 3.0, 2.0, 1.0])
    repeat = lambda tokens, state, _: (tf.ones_like(state["h"][0][:, :1]) * favourite, state)  # noqa: E731
    rules = Rules(START, END, 9, no_repeat_ngram=n, min_length={1: 3, 2: 5, 3: 8}[n])
    for got in (greedy(repeat, initial(), rules), beam(repeat, initial(), rules, width=4)):
        answer = found(got, 0)
        runs = [answer[i : i + n] for i in range(len(answer) - n + 1)]
        assert len(runs) == len(set(runs)) and len(answer) >= 4
    free = found(greedy(repeat, initial(), Rules(START, END, 9, min_length=8)), 0)
    assert free == (3,) * 9 or free == (*(3,) * 8, END)


def test_no_repeat_ngram_is_exact_against_enumeration():
    rules = Rules(START, END, L, no_repeat_ngram=2)
    got = beam(step, initial(), rules, width=130, length_penalty=1.0)
    allowed = [a for a in every_answer() if len({a[i : i + 2] for i in range(len(a) - 1)}) == max(len(a) - 1, 0)]
    for row, state in enumerate(STATES):
        expected = [answer for answer, _ in ranked(state, 1.0, allowed)]
        assert [found(got, row, k) for k in range(len(expected))] == expected
        assert np.isneginf(got.scores[row, len(expected)])


def test_forbidden_tokens_never_come_and_scores_stay_the_models():
    rules = Rules(START, END, L, forbidden=(3, 4))
    got = beam(step, initial(), rules, width=20)
    for row, state in enumerate(STATES):
        (answer, score), *_ = ranked(state, 1.0, every_answer(vocabulary=(5,)))
        assert found(got, row) == answer
        np.testing.assert_allclose(got.scores[row, 0], score, rtol=1e-4)


def first_token_shares(seed=0, **options):
    many = {"h": (tf.repeat(tf.constant(STATES[:1]), 4000, axis=0),)}
    noise = np.random.default_rng(seed).random((4000, 2), dtype="float32")
    got = sample(step, many, Rules(START, END, 2, min_length=1), noise=noise, **options)
    return np.bincount(np.array(got.tokens)[:, 0, 0], minlength=V) / 4000


def test_samples_follow_the_tempered_truncated_distribution():
    logits = np.array(step(tf.constant([START]), initial(STATES[:1]), ())[0])[0].astype("float64")
    logits[[PAD, START, END]] = -np.inf

    def expected(temperature, kept):
        shares = np.exp(logits / temperature)
        shares[np.argsort(-shares)[kept:]] = 0
        return shares / shares.sum()

    full = expected(1.0, V)
    np.testing.assert_allclose(first_token_shares(seed=1), full, atol=0.03)
    np.testing.assert_allclose(first_token_shares(temperature=3.0), expected(3.0, V), atol=0.03)
    np.testing.assert_allclose(first_token_shares(top_k=2), expected(1.0, 2), atol=0.03)
    just_over_the_first = np.sort(full)[-1] + 1e-3
    np.testing.assert_allclose(first_token_shares(top_p=just_over_the_first), expected(1.0, 2), atol=0.03)
    np.testing.assert_allclose(first_token_shares(top_p=1e-3), expected(1.0, 1))


def test_seeds_repeat_and_differ():
    one, same, other = (sample(step, initial(), Rules(START, END, L, 3), seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(one.tokens, same.tokens)
    assert not np.array_equal(one.tokens, other.tokens)


def test_traced_with_unknown_batch_and_compiled_equal_eager(tmp_path):
    signature = [tf.TensorSpec((None, 5), "float32")]
    search = lambda s: tuple(beam(step, {"h": (s,)}, Rules(START, END, L, 1, 2), width=3))  # noqa: E731
    eager = search(STATES)
    for options in ({"input_signature": signature}, {"input_signature": signature, "jit_compile": True}):
        for expected, got in zip(eager, tf.function(search, **options)(STATES), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4)
    for expected, got in zip(
        greedy(step, initial(), RULES),
        tf.function(lambda s: tuple(greedy(step, {"h": (s,)}, RULES)), input_signature=signature)(STATES),
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-4)


ROWS = RNG.normal(size=(40, 5)).astype("float32")
BIASES = RNG.normal(size=(40, V)).astype("float32") * 2


def biased(tokens, state, memory):
    """`step` with a memory: logits that each example has of its own, shared by its paths."""
    logits, state = step(tokens, state, ())
    return tf.reshape(tf.reshape(logits, [tf.shape(memory)[0], -1, V]) + memory[:, None], [-1, V]), state


@pytest.mark.parametrize("search", [greedy, sample, beam])
def test_examples_that_leave_the_loop_change_no_answer(search):
    rules, limits = Rules(START, END, 12, no_repeat_ngram=3), np.arange(40, dtype="int32") % 12 + 1
    sizes = []

    def seen(tokens, state, memory):
        tf.py_function(lambda rows: sizes.append(int(rows)), [tf.shape(memory)[0]], [])
        return biased(tokens, state, memory)

    @tf.function(input_signature=[tf.TensorSpec((None, 5)), tf.TensorSpec((None, V)), tf.TensorSpec([None], "int32")])
    def smaller(states, memory, limits):
        with shrinking():
            return tuple(search(seen, {"h": (states,)}, rules, limits=limits, memory=memory))

    expected = search(biased, {"h": (tf.constant(ROWS),)}, rules, limits=limits, memory=tf.constant(BIASES))
    for one, two in zip(expected, smaller(ROWS, BIASES, limits), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4)
    assert sizes[0] == 40 and sizes == sorted(sizes, reverse=True) and sizes[-1] <= 4
    assert sum(sizes) < 0.75 * 40 * len(sizes)


@pytest.mark.slow  # by default the export of translation is asked so
def test_exported_search_answers_in_a_process_without_this_project(tmp_path):
    module = tf.Module()
    names = ("tokens", "lengths", "scores", "log_probabilities")
    module.serve = tf.function(
        lambda s: dict(zip(names, beam(step, {"h": (s,)}, RULES, width=3), strict=True)),
        input_signature=[tf.TensorSpec((None, 5), "float32")],
    )
    tf.saved_model.save(module, tmp_path / "m", signatures=module.serve)
    np.save(tmp_path / "x.npy", STATES)
    code = """
        import numpy as np, tensorflow as tf
        loaded = tf.saved_model.load("m")
        np.save("y.npy", loaded.serve(tf.constant(np.load("x.npy")))["tokens"])
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), beam(step, initial(), RULES, width=3).tokens)


def test_wrong_requests_are_named():
    with pytest.raises(ValueError, match="min_length=4"):
        Rules(START, END, 4, min_length=4)
    with pytest.raises(ValueError, match="not 0"):
        beam(step, initial(), RULES, width=0)
    with pytest.raises(ValueError, match="temperature=0"):
        sample(step, initial(), RULES, temperature=0)
