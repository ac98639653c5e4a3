"""The built-in pairs: German by the rules of German, written here apart from the generator, and splits that differ."""

import re

import pytest

from pipelines.tasks.translation.synthetic import _ADJECTIVES, _JOINS, _NOUNS, _TIMES, _VERBS, examples

SPLITS = ("train", "validation", "test")
NOMINATIVE, ACCUSATIVE = 0, 1
PARADIGM = {  # article, and the ending of an adjective behind it, in both cases
    ("the", "m"): (("der", "e"), ("den", "en")),
    ("the", "f"): (("die", "e"), ("die", "e")),
    ("the", "n"): (("das", "e"), ("das", "e")),
    ("the", "plural"): (("die", "en"), ("die", "en")),
    ("a", "m"): (("ein", "er"), ("einen", "en")),
    ("a", "f"): (("eine", "e"), ("eine", "e")),
    ("a", "n"): (("ein", "es"), ("ein", "es")),
}
FORMS = {form: verb for verb in _VERBS for form in verb[:3]}
CLAUSE = re.compile(f"(.+?) ((?:have |has )?)({'|'.join(sorted(FORMS, key=len, reverse=True))}) (.+)")
JOIN = re.compile(f" ({'|'.join(join for join, _ in _JOINS)}) ")
FIRST = {"the", "a", "an", *(time.split()[0] for time, _ in _TIMES)}


def lowered(source: str) -> str:
    """A sentence without full stop and without a capital that is not a name's."""
    text = source.removesuffix(".")
    return text[0].lower() + text[1:] if text.split()[0].lower() in FIRST else text


def clauses(source: str) -> list[str]:
    """The clauses of a sentence, without what joins them."""
    before, _, said = lowered(source).partition(" says that ")
    text = said or before
    for time, _ in _TIMES:
        text = text.removeprefix(f"{time} ")
    return JOIN.split(text)[::2]


def phrase(words: str, case: int) -> tuple[str, bool]:
    """A noun phrase in German, and whether it is in the plural."""
    start, *adjectives, noun = words.split() if " " in words else ("", words)
    if not start:
        return noun, False  # a name
    _, plural, german, german_plural, gender = next(row for row in _NOUNS if noun in row[:2])
    if start.isdecimal():
        article, ending = start, "e"
    else:
        article, ending = PARADIGM[start.replace("an", "a"), "plural" if noun == plural else gender][case]
    stems = [dict(_ADJECTIVES)[adjective] + ending for adjective in adjectives]
    return " ".join([article, *stems, german_plural if noun == plural else german]), noun == plural


def clause(words: str, order: str) -> str:
    """A clause in German whose finite verb is ``second``, before the subject (``first``), or ``last``."""
    subject, perfect, form, object_ = CLAUSE.fullmatch(words).groups()
    (subject, many), (object_, _) = phrase(subject, NOMINATIVE), phrase(object_, ACCUSATIVE)
    *english, one, several, particle, participle = FORMS[form]
    expected = ("have " if many else "has ", english[2]) if perfect else ("", english[0 if many else 1])
    assert (perfect, form) == expected, "the English verb agrees too"
    finite, behind = ("haben" if many else "hat", participle) if perfect else (several if many else one, particle)
    if order == "last":
        return f"{subject} {object_} {behind}{finite}"
    return " ".join([*([finite, subject] if order == "first" else [subject, finite]), object_, behind]).strip()


def translated(source: str) -> str:
    """A whole sentence in German."""
    text = lowered(source)
    time, german = next((pair for pair in _TIMES if text.startswith(f"{pair[0]} ")), ("", ""))
    name, said, _ = text.partition(" says that ")
    main, *subordinate = clauses(source)
    if said:
        german = f"{name} sagt, dass {clause(main, 'last')}"
    elif time:
        german = f"{german} {clause(main, 'first')}"
    else:
        german = clause(main, "second")
    for part in subordinate:
        german += f", {dict(_JOINS)[JOIN.search(text)[1]]} {clause(part, 'last')}"
    return german[0].upper() + german[1:] + "."


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


def combinations(split: str) -> set[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Which noun stands with which verb, as its subject or as its object."""
    nouns = {form: noun for noun in _NOUNS for form in noun[:2]}
    found = set()
    for part in (part for e in examples(split, 5000, 0) for part in clauses(e["source"])):
        subject, _, form, object_ = CLAUSE.fullmatch(part).groups()
        for role, words in (("subject", subject), ("object", object_)):
            if " " in words:
                found.add((role, FORMS[form], nouns[words.split()[-1]]))
    return found


def test_splits_share_no_combination_of_verb_and_noun_but_all_words():
    train, validation, test = (combinations(split) for split in SPLITS)
    assert not (train & validation or train & test or validation & test)
    assert len(train) > 500 and len(test) > 150  # of 936
    assert {part for one in test for part in one} <= {part for one in train for part in one}


def test_the_source_determines_the_target():
    seen = {}
    for e in examples("train", 6000, 0):
        assert seen.setdefault(e["source"], e["target"]) == e["target"]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("The small dog calls a cat.", "Der kleine Hund ruft eine Katze an."),
        ("Today an old woman has invited the young king.", "Heute hat eine alte Frau den jungen König eingeladen."),
        ("Balda says that 3 shy frogs wake a child.", "Balda sagt, dass 3 schüchterne Frösche ein Kind aufwecken."),
        (
            "The quiet horses have seen a big bird when Garno laughs at the witches.",
            "Die stillen Pferde haben einen großen Vogel gesehen, wenn Garno die Hexen auslacht.",
        ),
    ],
)
def test_the_rules_of_this_test_are_those_of_german(source, target):
    assert translated(source) == target


@pytest.mark.parametrize("split", SPLITS)
def test_order_agreement_and_copying_are_in_the_target(split):
    kinds = set()
    for e in examples(split, 1000, 3):
        assert e["target"] == translated(e["source"])
        kinds |= {word for word in e["target"].split() if word in ("weil", "dass", "gesehen.", "den", "einen", "das")}
    assert len(kinds) == 6


def test_wrong_requests_are_named():
    with pytest.raises(ValueError, match="'dev'"):
        next(examples("dev", 1, 0))
    with pytest.raises(ValueError, match="-1"):
        next(examples("train", -1, 0))
