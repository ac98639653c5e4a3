"""Caption scores: hand-worked cases, sacrebleu for BLEU, and the COCO evaluation's own code where it is installed."""

import math

import numpy as np
import pytest
import sacrebleu

from pipelines.metrics.captions import bleu, cider_d, corpus_scores, ngrams, rouge_l, scorer, statistics, tokenise

NOUNS = ["dog", "cat", "child", "man", "ball", "street", "beach", "tree"]
VERBS = ["runs", "sits", "jumps", "plays"]
JOINS = ["on", "near", "with", "beside a small"]


def made_captions(count: int, seed: int) -> tuple[list[str], list[list[str]]]:
    """Captions that share some words with their five references: every n-gram order matches sometimes."""
    random = np.random.default_rng(seed)

    def one(noun: str) -> str:
        pick = [random.choice(group) for group in (["a", "the", "one"], VERBS, JOINS, ["a", "the"], NOUNS)]
        return f"{pick[0]} {noun} {pick[1]} {pick[2]} {pick[3]} {pick[4]}" + " today" * int(random.integers(0, 3))

    subjects = random.choice(NOUNS, count)
    return [one(s) for s in subjects], [[one(s) for _ in range(5)] for s in subjects]


def scores(answers: list[str], references: list[list[str]]) -> dict[str, float]:
    return scorer(answers, references)(np.arange(len(answers)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog 's Ball , isn't it ?", "a dog 's ball is n't it"),
        ("two T-shirts -- (one red); a \"big\" sign: '5'", "two t-shirts one red a big sign 5"),
        ("Mr. Smith cannot see the U.S. flag.", "mr. smith can not see the u.s. flag"),
        ("a 4-wheeler, 1,000 people & #7...", "a 4-wheeler 1,000 people & # 7"),
        ("they’re “here” — ÇOK", "they 're here çok"),
        (" . ", ""),
    ],
)
def test_tokenise(text: str, words: str) -> None:
    assert tokenise(text) == words.split()


def test_tokenise_is_stable() -> None:
    for caption in made_captions(50, 0)[0]:
        assert tokenise(" ".join(tokenise(caption))) == tokenise(caption)


def test_bleu_by_hand() -> None:
    # "the the cat": "the" is clipped to 1, so 2 of 3 words and 1 of 2 bigrams; the nearest reference has 4 words.
    values = statistics([["the", "the", "cat"]], [["the cat sat down".split(), "a cat sat on the mat".split()]])
    result = corpus_scores(values, np.array([0]))
    penalty = math.exp(1 - 4 / 3)
    assert result["bleu1"] == pytest.approx(100 * penalty * 2 / 3)
    assert result["bleu2"] == pytest.approx(100 * penalty * math.sqrt(2 / 3 * 1 / 2))
    assert result["bleu3"] == result["bleu4"] == 0


def test_shorter_of_two_equally_near_references_counts() -> None:
    values = statistics([list("abc")], [[list("abcd"), list("ab")]])
    assert values.lengths.tolist() == [[3, 2]]


def test_bleu_equals_sacrebleu() -> None:
    answers, references = made_captions(60, 1)
    result = scores(answers, references)
    streams = [list(stream) for stream in zip(*references, strict=True)]
    for order in range(1, 5):
        metric = sacrebleu.BLEU(tokenize="none", force=True, smooth_method="none", max_ngram_order=order)
        assert result[f"bleu{order}"] == pytest.approx(metric.corpus_score(answers, streams).score, abs=1e-9)
    assert result["bleu4"] > 1


def test_rouge_by_hand() -> None:
    # common: "police the gunman" with the first (P = 3/4), "the gunman" with the second (R = 1)
    value = rouge_l("police ended the gunman".split(), ["police killed the gunman".split(), "the gunman".split()])
    assert value == pytest.approx((1 + 1.44) * 0.75 * 1 / (1 + 1.44 * 0.75))
    assert rouge_l([], [["a"]]) == 0
    assert rouge_l(["b"], [["a"], []]) == 0


def test_cider_by_hand() -> None:
    # Two examples: "a" is in both, so it weighs log 2 - log 2 = 0; everything else weighs log 2.
    captions = [["a", "dog"], ["a", "cat"]]
    references = [[["a", "dog"]], [["a", "bird"]]]
    value = cider_d([ngrams(c) for c in captions], [[ngrams(r) for r in group] for group in references])
    # first: cosine 1 for words and bigrams, 0 for the two longer orders, mean 1/2, times 10; second: nothing in common
    np.testing.assert_allclose(value, [5.0, 0.0])


def test_cider_length_penalty() -> None:
    captions, references = [["x", "y"], ["z"]], [[["x", "y", "q"]], [["w"]]]
    value = cider_d([ngrams(c) for c in captions], [[ngrams(r) for r in group] for group in references])
    words, bigrams = 2 / math.sqrt(2 * 3), 1 / math.sqrt(2)
    assert value[0] == pytest.approx(10 * (words + bigrams) / 4 * math.exp(-1 / 72))


def test_repeated_words_gain_nothing_in_cider() -> None:
    references = [[["red", "ball"]], [["blue", "box"]]]
    honest, greedy = (
        scores([text, "blue box"], [[" ".join(r) for r in g] for g in references])["cider_d"]
        for text in ("red ball", "red red red red ball")
    )
    assert greedy < honest


def test_variety() -> None:
    result = scores(["a dog runs", "a dog runs", "a dog a dog", "the end"], [["x"]] * 4)
    assert result["unique_share"] == 3 / 4
    assert result["vocabulary_used"] == pytest.approx(5)  # a dog runs the end
    assert result["repetition_rate"] == 1 / 8  # "a dog" once more, of 2 + 2 + 3 + 1 bigrams


def test_an_empty_caption_scores_nothing_and_hurts_no_other() -> None:
    assert scores(["", "a dog"], [["a dog"], ["a dog"]])["bleu1"] > 0
    result = scores([""], [["a dog"]])
    assert all(value == 0 for name, value in result.items() if name != "unique_share")


def test_perfect_captions() -> None:
    _, references = made_captions(30, 3)
    result = scores([group[2] for group in references], references)
    assert [result[f"bleu{n}"] for n in range(1, 5)] == pytest.approx([100] * 4)
    assert result["rouge_l"] == pytest.approx(100)


def test_selection_equals_scoring_the_selected() -> None:
    answers, references = made_captions(40, 4)
    score, chosen = scorer(answers, references), np.array([3, 5, 5, 17, 39])
    alone = scores([answers[i] for i in chosen], [references[i] for i in chosen])
    for name in ("bleu1", "bleu4", "rouge_l", "repetition_rate"):
        assert score(chosen)[name] == pytest.approx(alone[name])


def test_wrong_requests() -> None:
    with pytest.raises(ValueError, match="example 1 has no reference"):
        scorer(["a", "b"], [["a"], []])
    with pytest.raises(ValueError, match="as many lists of references"):
        statistics([["a"]], [])
    with pytest.raises(ValueError, match="at least one caption"):
        scorer(["a"], [["a"]])(np.array([], np.int64))
    assert bleu(np.zeros(4), np.zeros(4), 0, 3) == [0, 0, 0, 0]


@pytest.mark.slow
def test_against_the_published_code() -> None:
    """The scorers of pycocoevalcap that need no Java, on generated captions of several sizes."""
    bleu_module = pytest.importorskip("pycocoevalcap.bleu.bleu", reason="pip install pycocoevalcap for this check")
    cider_module = pytest.importorskip("pycocoevalcap.cider.cider")
    rouge_module = pytest.importorskip("pycocoevalcap.rouge.rouge")
    for seed, count in ((5, 200), (6, 1000)):
        answers, references = made_captions(count, seed)
        ours = scores(answers, references)
        theirs = {i: [text] for i, text in enumerate(answers)}, dict(enumerate(references))
        hypotheses, truth = theirs
        values, _ = bleu_module.Bleu(4).compute_score(truth, hypotheses, verbose=0)
        assert [ours[f"bleu{n}"] for n in range(1, 5)] == pytest.approx([100 * v for v in values], rel=1e-6)
        assert ours["rouge_l"] == pytest.approx(100 * rouge_module.Rouge().compute_score(truth, hypotheses)[0])
        assert ours["cider_d"] == pytest.approx(100 * cider_module.Cider().compute_score(truth, hypotheses)[0])
