"""The built-in reviews: balanced, mirrored, disjoint between splits, and beyond models that count words."""

import re
from collections import Counter

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from pipelines.tasks.sentiment import synthetic as sentiment


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def accuracy(longest: int) -> float:
    train, test = (list(sentiment.examples(split, count, 0)) for split, count in (("train", 4000), ("test", 1000)))
    counter = CountVectorizer(ngram_range=(1, longest), token_pattern=r"\w+|[^\w\s]")
    features = counter.fit_transform([row["text"] for row in train])
    model = LogisticRegression(C=0.1, max_iter=300).fit(features, [row["label"] for row in train])
    return model.score(counter.transform([row["text"] for row in test]), [row["label"] for row in test])


def test_deterministic_and_unique_ids():
    first, again = (list(sentiment.examples("train", 51, 3)) for _ in range(2))
    assert first == again and len(first) == 51 and len({row["id"] for row in first}) == 51
    assert first != list(sentiment.examples("train", 51, 4))
    assert list(sentiment.examples("train", 20, 3)) == first[:20]
    assert all(set(row) == {"id", "text", "label"} for row in first)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_pairs_mirror_each_other(split):
    rows = list(sentiment.examples(split, 600, 1))
    assert Counter(row["label"] for row in rows) == {"negative": 300, "positive": 300}
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        assert one["label"] != other["label"] and one["text"] != other["text"]
        assert Counter(words(one["text"])) == Counter(words(other["text"]))


def combinations(split: str) -> set[tuple[str, str]]:
    found = set()
    adjectives = {*sentiment._GOOD, *sentiment._BAD}
    for row in sentiment.examples(split, 6000, 5):
        topic = ""
        for word in words(row["text"]):
            topic = word if word in sentiment._TOPICS else topic
            if word in adjectives:
                found.add((topic, word))
    return found


def test_combinations_of_topic_and_adjective_are_disjoint():
    train, validation, test = (combinations(split) for split in ("train", "validation", "test"))
    assert not (train & validation or train & test or validation & test)
    assert len(train) > 2000 and len(test) > 500
    assert {word for pair in test for word in pair} <= {word for pair in train for word in pair}


def test_word_lists_do_not_overlap():
    lists = (sentiment._GOOD, sentiment._BAD, sentiment._TOPICS)
    everything = [word for several in lists for word in several]
    assert len(set(everything)) == len(everything)
    assert len({word for row in sentiment.examples("train", 4000, 0) for word in words(row["text"])}) > 400


@pytest.mark.parametrize(
    ("first", "second", "frame", "label"),
    [
        ("wonderful", "dull", "although {0}, {1}.", "negative"),
        ("dull", "wonderful", "although {0}, {1}.", "positive"),
        ("dull", "wonderful", "{0}, although {1}.", "negative"),
        ("wonderful", "dull", "I never believed that {0} and never doubted that {1}.", "negative"),
        ("wonderful", "dull", "I never doubted that {0} and never believed that {1}.", "positive"),
    ],
)
def test_labels_say_what_the_frame_means(monkeypatch, first, second, frame, label):
    monkeypatch.setattr(sentiment, "_FRAMES", [pair for pair in sentiment._FRAMES if pair[0] == frame])
    for row in sentiment.examples("train", 40, 0):
        order = [word in sentiment._GOOD for word in words(row["text"]) if word in sentiment._GOOD + sentiment._BAD]
        if order == [word in sentiment._GOOD for word in (first, second)]:
            assert row["label"] == label, row["text"]


@pytest.mark.parametrize(("longest", "limit"), [(1, 0.53), (2, 0.60)])
def test_counting_words_or_neighbours_does_not_help(longest, limit):
    assert accuracy(longest) < limit


def test_refuses():
    with pytest.raises(ValueError, match="train, validation, test; got 'dev'"):
        list(sentiment.examples("dev", 1, 0))
    with pytest.raises(ValueError, match="must not be negative"):
        list(sentiment.examples("test", -1, 0))
    assert list(sentiment.examples("test", 0, 0)) == []
