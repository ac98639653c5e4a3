"""Scores against values worked by hand or by scikit-learn; intervals that cover what they should."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from pipelines.metrics.bootstrap import bootstrap, paired_bootstrap
from pipelines.metrics.classification import calibration_error, classification, classification_report, macro_f1, roc_auc


def predictions(rows: list[tuple[str, str, float]]) -> list[dict]:
    """(reference, answer, its probability) for two classes."""
    made = []
    for i, (reference, answer, p) in enumerate(rows):
        other = "b" if answer == "a" else "a"
        shares = {answer: p, other: 1 - p}
        made.append(
            {
                "id": str(i),
                "input": "x",
                "references": [reference],
                "answer": answer,
                "score": p,
                "probabilities": shares,
            }
        )
    return made


ROWS = [("a", "a", 0.9), ("a", "b", 0.6), ("b", "b", 0.8), ("b", "b", 0.7), ("b", "a", 0.55)]


def test_classification_by_hand() -> None:
    scores = classification(predictions(ROWS))(np.arange(5))
    assert scores["accuracy"] == pytest.approx(3 / 5)
    # class a: precision 1/2, recall 1/2, F1 1/2; class b: precision 2/3, recall 2/3, F1 2/3
    assert scores["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores["roc_auc"] == pytest.approx(roc_auc_score([0, 0, 1, 1, 1], [0.1, 0.6, 0.8, 0.7, 0.45]))
    # every answer lies in a bin of its own: mean distance between confidence and being right
    assert scores["ece"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.3 + 0.55) / 5)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_fast_scores_are_those_of_scikit_learn(classes: int) -> None:
    random = np.random.default_rng(classes)
    for _ in range(20):
        references = random.integers(0, classes, 60)
        probabilities = random.dirichlet(np.ones(classes), 60).round(1)  # rounded, so that there are ties
        answers = probabilities.argmax(axis=1)
        shares = probabilities[:, 1] if classes == 2 else probabilities
        with np.errstate(all="ignore"):
            expected = (
                roc_auc_score(references, shares, multi_class="ovr")
                if classes == 2
                else np.mean([roc_auc_score(references == c, probabilities[:, c]) for c in range(classes)])
            )
        assert roc_auc(references, probabilities) == pytest.approx(expected)
        assert macro_f1(references, answers, classes) == pytest.approx(f1_score(references, answers, average="macro"))


def test_a_class_that_is_absent_leaves_the_curve_undefined() -> None:
    scores = classification(predictions(ROWS))(np.array([2, 3]))
    assert np.isnan(scores["roc_auc"])
    assert scores["accuracy"] == 1


def test_calibration_of_certainty_is_perfect_and_of_overconfidence_is_not() -> None:
    right = np.array([True] * 50 + [False] * 50)
    assert calibration_error(np.full(100, 0.5), right) == pytest.approx(0)
    assert calibration_error(np.full(100, 1.0), right) == pytest.approx(0.5)


def test_bootstrap_interval_is_that_of_a_proportion() -> None:
    values = (np.arange(400) % 4 != 0).astype(float)  # 0.75
    table = bootstrap(lambda indices: {"share": float(values[indices].mean())}, 400)
    error = np.sqrt(0.75 * 0.25 / 400)
    assert table["share"]["value"] == 0.75
    assert table["share"]["low"] == pytest.approx(0.75 - 1.96 * error, abs=0.01)
    assert table["share"]["high"] == pytest.approx(0.75 + 1.96 * error, abs=0.01)
    assert bootstrap(lambda i: {"share": 1.0}, 1)["share"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_paired_bootstrap_sees_what_intervals_cannot() -> None:
    random = np.random.default_rng(0)
    hard = random.random(300)
    first, second = (lambda i: {"m": float(hard[i].mean()) + 0.01}), (lambda i: {"m": float(hard[i].mean())})
    gap = paired_bootstrap(first, second, 300)["m"]
    assert gap["difference"] == pytest.approx(0.01)
    assert gap["low"] == pytest.approx(0.01)
    assert gap["p_value"] == 0
    assert paired_bootstrap(first, first, 300, 50)["m"]["p_value"] == 1


def test_paired_bootstrap_leaves_out_resamples_in_which_a_score_is_undefined() -> None:
    values = np.array([4, -1, -1, 2, -3, 1, -2, 3]) / 8  # so that sums are exact

    def needs_the_first(indices: np.ndarray) -> dict[str, float]:
        return {"m": float(values[indices].mean()) if 0 in indices else float("nan")}

    gap = paired_bootstrap(needs_the_first, lambda i: {"m": 0.0}, 8, 400)["m"]
    random = np.random.default_rng(0)
    drawn = [random.integers(0, 8, 8) for _ in range(400)]
    sample = np.array([values[indices].mean() for indices in drawn if 0 in indices])
    share = min(np.mean(sample <= 0), np.mean(sample >= 0))
    assert 200 < len(sample) < 300 and 0.1 < share < 0.5
    assert [gap["low"], gap["high"]] == pytest.approx(list(np.percentile(sample, [2.5, 97.5])))
    assert gap["p_value"] == pytest.approx(2 * share)
    nothing = paired_bootstrap(lambda i: {"m": float("nan")}, lambda i: {"m": 1.0}, 5, 9)["m"]
    assert np.isnan(list(nothing.values())).all()


def test_report_counts_and_names_the_worst() -> None:
    report = classification_report(predictions(ROWS))
    lines = report.splitlines()
    assert lines[1].split() == ["a", "1", "1"]
    assert lines[2].split() == ["b", "1", "2"]
    # of a: one of the two right and one of the two given; of b: two of three
    assert [line.split() for line in lines[4:7]] == [
        ["class", "precision", "recall", "F1", "examples"],
        ["a", "0.5000", "0.5000", "0.5000", "2"],
        ["b", "0.6667", "0.6667", "0.6667", "3"],
    ]
    assert [line.split(":")[0].strip() for line in lines[9:]] == ["1", "4"]
