import numpy as np
import pytest
import tensorflow as tf

from pipelines.metrics.speech import error_rate, report, scorer
from pipelines.tasks.speech.text import Alphabet, frames_needed, normalise, worded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Don’t  PANIC!\n", "don't panic"),
        ("well-known: C++", "well known c"),
        ("Cafe\u0301 Ÿ", "café ÿ"),
        ("«Привет», мир — ура", "привет мир ура"),
        ("...", ""),
        ("\x00a\x1fb", "a b"),
        ("W\u00f6r\u00adter", "wörter"),
        ("\ufeffyes\u200e, \u202bno\u202c\u2060!", "yes no"),
        ("e\u00ad\u0301", "é"),
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3 \u200d", "\u0dc1\u0dca\u200d\u0dbb\u0dd3"),  # Sinhala: with a joiner
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645\u200c\u060c",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("\u200c \u200d\u200c a\u200c.\u200cb", "a b"),
        (
            "\u1781\u17d2\u1789\u17bb\u17c6\u200b\u1791\u17c5",
            "\u1781\u17d2\u1789\u17bb\u17c6 \u1791\u17c5",
        ),  # Khmer: two words
    ],
)
def test_transcripts_have_one_form(text, expected):
    assert normalise(text) == expected
    assert normalise(expected) == expected


def test_case_and_punctuation_can_stay():
    assert normalise("Oh, No!", lowercase=False, punctuation=True) == "Oh, No!"


def test_invisible_characters_go_also_where_punctuation_stays():
    assert normalise("\ufeffOh,\u00ad No\u200b!", lowercase=False, punctuation=True) == "Oh, No !"


@pytest.mark.parametrize("pieces", [False, True])
def test_words_with_joiners_are_spelled_whole(pieces):
    text = normalise("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0dc1\u0dca\u200d\u0dbb\u0dd3")
    alphabet = Alphabet.learn_pieces([text], 60) if pieces else Alphabet.learn([text])
    numbers = alphabet.encode(text)
    assert alphabet.decode(numbers) == text and len(text.split()) == 2
    assert alphabet.spell(np.array([numbers], np.int32)).numpy()[0].decode() == text


def test_an_alphabet_spells_what_it_was_learned_from(tmp_path):
    alphabet = Alphabet.learn(["ab c", "b'é"])
    assert alphabet.symbols == ("", " ", "'", "a", "b", "c", "é")
    numbers = alphabet.encode("cab é")
    assert alphabet.decode(numbers) == "cab é"
    assert alphabet.encode("xay") == alphabet.encode("a")
    alphabet.save(tmp_path / "a.json")
    assert Alphabet.load(tmp_path / "a.json").symbols == alphabet.symbols
    rows = [alphabet.encode(text) for text in (" a  b", "é ", "")]
    padded = np.array([row + [0] * (6 - len(row)) for row in rows], np.int32)
    written = [text.decode() for text in alphabet.spell(padded).numpy()]
    assert written == [alphabet.decode(row) for row in rows] == ["a b", "é", ""]


def test_a_broken_alphabet_is_named(tmp_path):
    for content in ("nothing", '["a", "b"]', '["", "a", "a"]', '["", "ab"]', "[]", "3"):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(ValueError, match=r"bad\.json"):
            Alphabet.load(tmp_path / "bad.json")
    with pytest.raises(ValueError, match="no letters"):
        Alphabet.learn(["", ""])


def test_steps_that_a_transcript_needs():
    assert [frames_needed(tokens) for tokens in ([], [1], [1, 2], [1, 1], [1, 1, 1, 2])] == [0, 1, 2, 3, 6]


def predictions(*pairs, speakers=None):
    rows = [{"id": str(i), "references": [r], "answer": a} for i, (r, a) in enumerate(pairs)]
    return [row | {"speaker": s} for row, s in zip(rows, speakers, strict=True)] if speakers else rows


def test_error_rates_are_those_of_the_corpus():
    """Three references of 3, 1 and 2 words; 1 substitution, 1 insertion, 2 deletions: not a mean over recordings."""
    score = scorer(predictions(("a b c", "a x c"), ("d", "d e"), ("f g", "")))
    assert score(np.arange(3))["wer"] == pytest.approx(4 / 6)
    assert score(np.array([0, 0]))["wer"] == pytest.approx(2 / 6)
    assert score(np.arange(1))["cer"] == pytest.approx(1 / 5)


def test_silence_is_scored_without_dividing_by_nothing():
    score = scorer(predictions(("", ""), ("", "a b"), ("c", "c")))
    assert score(np.array([0]))["wer"] == 0.0
    assert score(np.array([1]))["wer"] == np.inf
    assert score(np.arange(3))["wer"] == pytest.approx(2.0)
    assert error_rate(np.zeros((0, 4), np.int64)) == 0.0


def test_the_report_names_speakers_confusions_and_the_worst():
    pairs = [("a b", "a c"), ("a b", "a c"), ("d", "d"), ("", "x")]
    text = report(predictions(*pairs, speakers=["ann", "ann", "bob", "bob"]))
    assert "hits 3, substitutions 2, deletions 0, insertions 1" in text
    assert "b -> c (2)" in text
    assert [line.split()[0] for line in text.splitlines() if line.endswith(("0.500", "1.000"))] == ["bob", "ann"]
    assert "REF: a b" in text and "no mistakes" in report(predictions(("a", "a")))


def test_words_have_the_times_of_their_symbols():
    alphabet = Alphabet(["", " ", "a", "b", "c"])
    symbols = {
        "tokens": tf.constant([[1, 2, 3, 1, 4], [0] * 5]),  # " ab c", and nothing
        "count": tf.constant([5, 0]),
        "first": tf.constant([[0, 2, 5, 6, 9], [0] * 5]),
        "last": tf.constant([[1, 3, 5, 7, 9], [0] * 5]),
        "probability": tf.constant([[1, 0.5, 0.125, 1, 0.9], [0.0] * 5]),
        "score": tf.constant([0.5, 0.0]),
    }
    found = {name: value.numpy() for name, value in worded(symbols, alphabet, 0.04).items()}
    assert found["text"].tolist() == [b"ab c", b""]
    assert found["words"].tolist() == [[b"ab", b"c"], [b"", b""]]
    np.testing.assert_allclose(found["start"], [[0.08, 0.36], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(found["end"], [[0.24, 0.4], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(found["confidence"], [[0.25, 0.9], [0, 0]], rtol=1e-6)
