"""Learning a vocabulary: what it may hold, and that it depends on nothing but the texts."""

import random
import subprocess
import sys

import pytest
import tensorflow as tf

from pipelines.data.text.learning import learn_vocabulary
from pipelines.data.text.vocabulary import RESERVED, SubwordVocabulary, normalise

WORDS = "film films movie wonderful wonderfully don't isn't (good) \"great\" 1999".split()
WORDS += "çok güzel 电影 很好看 привет cafe\u0301".split()


def corpus(seed: int = 0) -> list[str]:
    chooser = random.Random(seed)
    return [
        " ".join(chooser.choice(WORDS) + chooser.choice(["", ".", ",", "!!"]) for _ in range(12)) for _ in range(300)
    ]


def test_pieces_do_not_cross_into_punctuation():
    vocabulary = learn_vocabulary(corpus(), 400)
    learned = vocabulary[len(RESERVED) :]
    assert {"film", "movie", "wonderful", "don", "##'t", "##.", "##!!", "1999"} <= set(learned)
    for piece in learned:
        assert len({c.isalpha() or c == "\u0301" for c in piece.removeprefix("##").lstrip("'")}) <= 1, piece


def test_the_result_fits_and_round_trips():
    texts = corpus()
    for size in (260, 270, 300, 1000):
        pieces = learn_vocabulary(texts, size)
        assert len(pieces) <= size
        vocabulary = SubwordVocabulary(pieces)
        back = vocabulary.decode(vocabulary.encode(normalise(tf.constant(texts))))
        assert (back.numpy() == normalise(tf.constant(texts)).numpy()).all()


def test_order_does_not_matter():
    texts = corpus()
    assert learn_vocabulary(iter(texts[::-1]), 330) == learn_vocabulary(texts, 330)


@pytest.mark.slow  # starts TensorFlow anew
def test_the_process_does_not_matter(tmp_path):
    texts = corpus()
    expected = learn_vocabulary(texts, 330)
    (tmp_path / "texts").write_text("\n".join(texts), "utf-8")
    program = (
        "from pipelines.data.text.learning import learn_vocabulary\n"
        f"lines = open({str(tmp_path / 'texts')!r}, encoding='utf-8').read().split('\\n')\n"
        f"open({str(tmp_path / 'out')!r}, 'w', encoding='utf-8').write('\\n'.join(learn_vocabulary(lines, 330)))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "out").read_text("utf-8").split("\n") == expected


def test_rare_characters_and_merges_get_no_piece():
    vocabulary = learn_vocabulary(["aa aa aa bq"], 400, min_frequency=2)
    assert vocabulary[len(RESERVED) :] == ["##a", "a", "aa"]
    assert "##q" in learn_vocabulary(["aa aa aa bq"], 400, min_frequency=1)


def test_an_alphabet_larger_than_the_room():
    texts = [chr(0x4E00 + i) * 3 for i in range(2000)] + ["电影电影"] * 50
    vocabulary = learn_vocabulary(texts, 300)
    assert len(vocabulary) <= 300 and "##电" in vocabulary


def test_case_and_markup_follow_the_options():
    texts = ["Great<br />Great"] * 3
    assert "great" in learn_vocabulary(texts, 300, markup=True)
    cased = learn_vocabulary(texts, 300, lowercase=False)
    assert "Great" in cased and "##br" in cased


def test_nothing_to_learn():
    assert learn_vocabulary([], 300) == list(RESERVED)
    assert learn_vocabulary(["", "  "], 300) == list(RESERVED)


@pytest.mark.parametrize(("size", "frequency", "message"), [(259, 2, "above 259"), (300, 0, "min_frequency")])
def test_refuses(size, frequency, message):
    with pytest.raises(ValueError, match=message):
        learn_vocabulary(["a"], size, min_frequency=frequency)


def test_a_word_vocabulary_keeps_frequent_words_whole_and_spells_the_rest() -> None:
    texts = ["good film, good plot"] * 3 + ["bad film"] * 2 + ["rarely"]
    vocabulary = SubwordVocabulary(learn_vocabulary(texts, 300, kind="word"))
    pieces = vocabulary.pieces(vocabulary.encode(tf.constant(["good film, bad", "goodly"])))
    assert [[piece.decode() for piece in row] for row in pieces.to_list()] == [
        ["good", "film", "##,", "bad"],
        ["good", "##l", "<0x79>"],
    ]
    assert vocabulary.decode(vocabulary.encode(tf.constant(["goodly rare"]))).numpy()[0] == b"goodly rare"
    with pytest.raises(ValueError, match="kind must be subword or word"):
        learn_vocabulary(texts, 300, kind="letters")
