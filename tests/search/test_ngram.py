import itertools
import math

import pytest

from pipelines.__main__ import main
from pipelines.search.ngram import BEGIN, END, LN10, SPACE, UNKNOWN, build, characters, estimate, load, save, words

CORPUS = [words(line) for line in ("a b", "a b", "a c")]
TRIGRAMS = [words(line) for line in ("a b a", "b a b", "a b b a", "c a", "a b a c", "c a b")]

ARPA = """\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-99\t<s>\t-0.5
-1.0\t</s>
-0.25\ta\t-0.125
-2\t<unk>

\\2-grams:
-0.5\t<s> a
-0.75 a a

\\end\\
"""


def p(model, token, *context):
    return math.exp(model.log(context, token))


def test_bigrams_equal_a_case_worked_by_hand():
    """Bigrams: D = 2 / (2 + 2 * 2) = 1/3. Continuations a 1, b 1, c 1, </s> 2: D = 3 / (3 + 2) = 3/5, five words."""
    model = estimate(CORPUS, 2)
    single = {"a": 0.4 / 5 + 0.48 / 5, END: 1.4 / 5 + 0.48 / 5, UNKNOWN: 0.48 / 5}
    for token, expected in single.items():
        assert 10 ** model.logs[(token,)] == pytest.approx(expected)
    assert p(model, "b", "a") == pytest.approx(5 / 9 + 2 / 9 * single["a"])
    assert p(model, "c", "a") == pytest.approx(2 / 9 + 2 / 9 * single["a"])
    assert p(model, "a", BEGIN) == pytest.approx(8 / 9 + 1 / 9 * single["a"])
    assert p(model, END, "b") == pytest.approx(5 / 6 + 1 / 6 * single[END])
    assert p(model, "a", "b") == pytest.approx(1 / 6 * single["a"])
    assert p(model, "z", "b") == pytest.approx(1 / 6 * single[UNKNOWN])


def test_unigrams_are_discounted_counts():
    """Order 1: a 3, b 2, c 1, </s> 3; one of each of count 1 and 2 gives D = 1/3."""
    model = estimate(CORPUS, 1)
    assert p(model, "b") == pytest.approx((2 - 1 / 3) / 9 + 4 / 3 / 9 / 5)
    assert p(model, "b", "a", "a") == p(model, "b")


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("corpus", [CORPUS, TRIGRAMS])
def test_probabilities_sum_to_one_after_every_context(order, corpus):
    model = estimate(corpus, order)
    vocabulary = ["a", "b", "c", END, UNKNOWN]
    for length in range(order):
        for context in itertools.product(["a", "b", "c", BEGIN], repeat=length):
            assert sum(p(model, token, *context) for token in vocabulary) == pytest.approx(1)


def kneser_ney(corpus, token, context, highest):
    """p(token | context) by the definition: counts at the highest order, kinds of left neighbours below."""
    size = len(context) + 1
    padded = [(BEGIN, *sentence, END) for sentence in corpus]

    def grams(length):
        return [s[i : i + length] for s in padded for i in range(len(s) - length + 1) if s[i : i + length] != (BEGIN,)]

    def count(gram):
        if len(gram) == highest or gram[0] == BEGIN:
            return grams(len(gram)).count(gram)
        return len({longer[0] for longer in grams(len(gram) + 1) if longer[1:] == gram})

    counts = {gram: count(gram) for gram in set(grams(size))}
    values = list(counts.values())
    once, twice = values.count(1), values.count(2)
    discount = once / (once + 2 * twice) if once and twice else 0.5
    after = {gram: value for gram, value in counts.items() if gram[:-1] == context}
    below = 1 / 5 if size == 1 else kneser_ney(corpus, token, context[1:], highest)
    if not after:
        return below
    own = max(counts.get((*context, token), 0) - discount, 0)
    return (own + discount * len(after) * below) / sum(after.values())


@pytest.mark.parametrize("order", [1, 2, 3])
def test_every_probability_equals_the_definition(order):
    model = estimate(TRIGRAMS, order)
    for context in itertools.product(["a", "b", "c", BEGIN], repeat=order - 1):
        for token in ("a", "b", "c", END, UNKNOWN):
            assert p(model, token, *context) == pytest.approx(kneser_ney(TRIGRAMS, token, context, order))


def test_an_arpa_file_is_read_as_it_stands(tmp_path):
    (tmp_path / "a.arpa").write_text(ARPA)
    model = load(tmp_path / "a.arpa")
    assert model.order == 2
    assert model.log((BEGIN,), "a") / LN10 == pytest.approx(-0.5)
    assert model.log(("a",), END) / LN10 == pytest.approx(-0.125 - 1.0)
    assert model.log(("b",), "a") / LN10 == pytest.approx(-0.25)
    assert model.log(("a",), "other") / LN10 == pytest.approx(-0.125 - 2)
    assert model.sentence(["a", "a"]) / LN10 == pytest.approx(-0.5 - 0.75 - 1.125)


@pytest.mark.parametrize("name", ["m.arpa", "m.arpa.gz"])
def test_written_and_read_again_it_is_the_same_model(tmp_path, name):
    model = estimate(TRIGRAMS, 3)
    save(model, tmp_path / name)
    again = load(tmp_path / name)
    assert again.order == 3 and again.logs.keys() == model.logs.keys()
    for sentence in TRIGRAMS:
        assert again.sentence(sentence) == pytest.approx(model.sentence(sentence), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("-0.25", "many"), r":8: expected numbers"),
        (lambda text: text.replace("-0.5\t<s> a", "-0.5\t<s> a b c"), r":12: expected a logarithm, 2 tokens"),
        (lambda text: text.replace("ngram 2=2", "ngram 2=3"), r"promises 3 2-grams, 2 were found"),
        (lambda text: text.replace("ngram 2=2", "ngram two"), r":3: expected 'ngram ORDER=COUNT'"),
        (lambda text: text.replace("\\end\\", ""), r"end. is missing"),
    ],
)
def test_a_broken_arpa_file_is_named_with_its_line(tmp_path, change, words):
    path = tmp_path / "broken.arpa"
    path.write_text(change(ARPA))
    with pytest.raises(ValueError, match=words) as error:
        load(path)
    assert str(error.value).startswith(str(path))


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "x.arpa").write_bytes(b"\xff\xfe\x00\x01")
    for name in ("x.arpa", "missing.arpa"):
        with pytest.raises(ValueError, match=name):
            load(tmp_path / name)


@pytest.mark.parametrize(
    ("sentences", "order", "reason"),
    [([], 2, "at least one"), ([["a"]], 0, "order"), ([["a b"]], 2, "'a b'"), ([["a"], [BEGIN]], 2, "sentence 2")],
)
def test_what_cannot_be_estimated_is_refused(sentences, order, reason):
    with pytest.raises(ValueError, match=reason):
        estimate(sentences, order)


def test_characters_are_tokens_too():
    assert characters("ab  c") == ["a", "b", SPACE, "c"]
    model = estimate([characters("ab ab"), characters("ba")], 3)
    assert p(model, "b", SPACE, "a") > p(model, "a", SPACE, "a")


@pytest.mark.parametrize(("spelled", "token"), [(False, "ab"), (True, "a")])
def test_a_model_is_built_from_a_text_file(tmp_path, spelled, token):
    (tmp_path / "text.txt").write_text("ab c\n\n  ab d \n", "utf-8")
    model = load(build(tmp_path / "text.txt", tmp_path / "lm.arpa", 2, spelled))
    assert model.order == 2 and (BEGIN, token) in model.logs
    (tmp_path / "text.txt").write_text("\n")
    for name, reason in [
        ("text.txt", "a language model needs at least one sentence"),
        ("none.txt", "there is no such file"),
    ]:
        with pytest.raises(ValueError, match=rf"{name}: {reason}"):
            build(tmp_path / name, tmp_path / "lm.arpa")
    (tmp_path / "text.txt").write_text("a\n")
    with pytest.raises(RuntimeError, match="cannot be written"):
        build(tmp_path / "text.txt", tmp_path / "none" / "lm.arpa")


def test_the_command(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("one two\n")
    assert main(["lm", str(tmp_path / "text.txt"), "--order", "2", "--out", str(tmp_path / "lm.arpa")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "lm.arpa")
    assert load(tmp_path / "lm.arpa").order == 2
    assert main(["lm", str(tmp_path / "none.txt"), "--out", str(tmp_path / "lm.arpa")]) == 2
    assert "none.txt" in capsys.readouterr().err
