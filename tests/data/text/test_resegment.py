"""The same text in other pieces: what it says stays, how it is cut changes, by the seed alone."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.text.resegment import Resegmentation, alternatives
from pipelines.data.text.vocabulary import EOS, RESERVED, SubwordVocabulary

LEARNED = ["a", "ab", "abc", "##a", "##b", "##c", "##bc", "##cab", "é", "##é"]
VOCABULARY = SubwordVocabulary([*RESERVED, *LEARNED])
ID = {piece: i for i, piece in enumerate(VOCABULARY.vocabulary)}
WORDS = st.text("abcé", min_size=1, max_size=6)
TEXTS = st.lists(st.lists(WORDS, min_size=1, max_size=5).map(" ".join), min_size=1, max_size=4)


def padded(texts: list[str], end: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """Segment texts into int32 [B, T] and lengths [B], with an EOS if wanted."""
    ids = VOCABULARY.encode(tf.constant(texts))
    if end:
        ids = tf.concat([ids, tf.fill([ids.nrows(), 1], EOS)], axis=1)
    return ids.to_tensor(), tf.cast(ids.row_lengths(), tf.int32)


@pytest.mark.parametrize(
    ("piece", "parts"),
    [
        ("abc", ["ab", "##c"]),  # the longest beginning, then greedily
        ("ab", ["a", "##b"]),
        ("##cab", ["##c", "##a", "##b"]),  # "##ca" is no piece
        ("##bc", ["##b", "##c"]),
        ("a", ["<0x20>", "##a"]),
        ("##a", ["##a"]),  # one byte stays
        ("##é", ["<0xC3>", "<0xA9>"]),
        ("<eos>", ["<eos>"]),
        ("<0x41>", ["<0x41>"]),
    ],
)
def test_a_refused_piece_is_written_in_the_next_longest(piece, parts):
    assert alternatives(VOCABULARY)[ID[piece]].numpy().tolist() == [ID[part] for part in parts]


@settings(max_examples=20, deadline=None)
@given(texts=TEXTS, seed=st.integers(0, 1000))
def test_the_text_stays_the_same(texts, seed):
    ids, lengths = Resegmentation(VOCABULARY, 0.5, 80)(*padded(texts, end=True), tf.constant([seed, 1]))
    assert [text.decode() for text in VOCABULARY.decode(ids).numpy()] == texts
    for row, length in zip(ids.numpy(), lengths.numpy(), strict=True):
        assert row[length - 1] == EOS and not row[length:].any() and row[:length].all()
    assert ids.shape[1] % 8 == 0


def test_as_many_pieces_are_refused_as_asked():
    ids, lengths = padded(["abc " * 50] * 40)
    found, _ = Resegmentation(VOCABULARY, 0.1, 400)(ids, lengths, tf.constant([3, 4]))
    kept = np.count_nonzero(found.numpy() == ID["abc"]) / 2000  # refused in neither of two rounds
    assert kept == pytest.approx(0.9**2, abs=0.03)


def test_the_seed_alone_decides():
    draw, given_ids = Resegmentation(VOCABULARY, 0.3, 80), padded(["abc ab cab"] * 8)
    one, same, other = (draw(*given_ids, tf.constant(seed))[0].numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_what_grows_beyond_the_longest_row_is_cut():
    ids, lengths = Resegmentation(VOCABULARY, 0.9, 8)(*padded(["abc " * 8]), tf.constant([5, 6]))
    assert ids.shape == (1, 8) and lengths.numpy().tolist() == [8]
