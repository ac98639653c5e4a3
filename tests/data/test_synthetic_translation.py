import pytest

from pipelines.data.sources.synthetic.translation import _NOUNS, _VERBS, examples


def test_equal_arguments_give_equal_pairs_and_seeds_differ():
    first, again, other = (list(examples("train", 50, seed)) for seed in (0, 0, 1))
    assert first == again != other
    assert len({e["id"] for e in first}) == 50


def test_splits_share_no_sentence_and_no_name():
    train, test = ({e["source"] for e in examples(split, 3000, 0)} for split in ("train", "test"))
    assert not train & test
    known = {word for noun in _NOUNS for word in noun} | {
        word for verb in _VERBS for part in verb for word in part.split()
    }

    def names(sentences):
        starts = {s.split()[0] for s in sentences if " says that " in s}
        return {name for name in starts if name.lower() not in known}

    assert len(names(train)) > 50 and not names(train) & names(test)


def test_the_source_determines_the_target():
    seen = {}
    for e in examples("train", 6000, 0):
        assert seen.setdefault(e["source"], e["target"]) == e["target"]


def test_order_agreement_and_copying_are_in_the_target():
    pairs = list(examples("train", 2000, 3))
    perfect = [
        e["target"] for e in pairs if " has " in e["source"] and " see" in e["source"] and " that " not in e["source"]
    ]
    assert perfect and all(t.endswith("gesehen.") for t in perfect if "gesehen" in t)
    clauses = [e["target"] for e in pairs if " because " in e["source"]]
    assert clauses and all(", weil " in t for t in clauses)
    for e in pairs:
        numbers = [word for word in e["source"].split() if word.isdecimal()]
        assert all(number in e["target"].split() for number in numbers)
    assert any(" den " in e["target"] for e in pairs) and any(" der " in e["target"] for e in pairs)


def test_wrong_requests_are_named():
    with pytest.raises(ValueError, match="'dev'"):
        next(examples("dev", 1, 0))
    with pytest.raises(ValueError, match="-1"):
        next(examples("train", -1, 0))
