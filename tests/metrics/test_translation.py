import numpy as np
import pytest
import sacrebleu

from pipelines.metrics.translation import report, scorer, signatures, tokeniser

ANSWERS = ["Der Hund sieht die Katze.", "Ein Mann läuft , schnell .", "ganz anders", "", "a b a b a b"]
REFERENCES = ["Der Hund sieht die Katze.", "ein Mann läuft sehr schnell.", "Das ist es nicht", "Nichts.", "a b c d e f"]


def test_scores_are_those_of_sacrebleu():
    scores = scorer(ANSWERS, REFERENCES)(np.arange(5))
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(ANSWERS, [REFERENCES], force=True).score)
    lower = sacrebleu.corpus_bleu(ANSWERS, [REFERENCES], lowercase=True, force=True)
    assert scores["bleu_lc"] == pytest.approx(lower.score)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(ANSWERS, [REFERENCES]).score)
    assert scores["length_ratio"] == pytest.approx(lower.sys_len / lower.ref_len)
    assert scores["exact_match"] == 20.0


def test_a_resample_is_scored_as_its_own_corpus():
    drawn = np.array([0, 0, 4, 1, 2, 0])
    scores = scorer(ANSWERS, REFERENCES)(drawn)
    answers, references = [ANSWERS[i] for i in drawn], [REFERENCES[i] for i in drawn]
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(answers, [references], force=True).score)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(answers, [references]).score)


def test_repetition_counts_word_pairs_that_were_there_before():
    # a b, b a, a b, b a, a b: three of five stood before
    assert scorer(["a b a b a b"], ["x"])(np.array([0]))["repetition_rate"] == pytest.approx(3 / 5)
    assert scorer(["", "one"], ["x", "y"])(np.arange(2))["repetition_rate"] == 0.0


def test_signatures_name_tokeniser_case_and_version():
    named = signatures(REFERENCES)
    assert "case:mixed" in named["bleu"] and "tok:13a" in named["bleu"] and list(named) == list(scored(REFERENCES))
    assert "case:lc" in named["bleu_lc"] and sacrebleu.__version__ in named["chrf"]


def scored(references):
    return scorer(references, references)(np.arange(len(references)))


@pytest.mark.parametrize(
    ("way", "references", "answers"),
    [
        (
            "13a",
            ["Der Hund bellt laut.", "Собака громко лает.", "개가 크게 짖는다"],
            ["Der Hund", "Собака громко", "개가"],
        ),
        ("zh", ["一只狗在草地上奔跑。", "两个 NBA 球员在打球。"], ["一只狗在草地上跑。", "两个球员在打 NBA 球。"]),
        ("char", ["犬が草の上を走っている。", "二人の男の子"], ["犬が草の上を走る。", "二人の子"]),
        ("char", ["สุนัขวิ่งบนหญ้า"], ["สุนัขวิ่งบนหญ้าสด"]),
    ],
)
def test_text_without_spaces_is_cut_by_its_script(way, references, answers):
    assert tokeniser(references) == way
    assert f"tok:{way}" in signatures(references)["bleu"]
    scores = scorer(answers, references)(np.arange(len(references)))
    expected = sacrebleu.corpus_bleu(answers, [references], tokenize=way, force=True)
    assert scores["bleu"] == pytest.approx(expected.score)
    assert way == "13a" or scores["bleu"] > 5, "a sentence is no word"
    assert scores["length_ratio"] == pytest.approx(expected.sys_len / expected.ref_len)


def test_report_begins_with_the_worst():
    rows = zip(ANSWERS, REFERENCES, strict=True)
    predictions = [
        {"id": str(i), "input": "x", "answer": a, "references": [r], "cut": i == 1} for i, (a, r) in enumerate(rows)
    ]
    lines = report(predictions, 2).splitlines()
    assert lines[0] == "1 empty answers, 1 sources cut at the longest length"
    assert lines[3].startswith("  3, chrF 0.0")
