"""Cleaning of texts in many scripts, and cutting them to length."""

import pytest
import tensorflow as tf

from pipelines.data.text.vocabulary import normalise, truncate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ÇOK İyi", "çok i\u0307yi"),
        ("GROẞE ÄPFEL", "große äpfel"),
        ("ПРИВЕТ Ёлка", "привет ёлка"),
        ("电影 ABC", "电影 abc"),
        ("A\u00a0B\u3000C\tD\r\nE", "a b c d e"),
        ("good<br /><br />film", "good film"),
        ("<i>Really</i> AT&amp;T &lt;3 &quot;x&#39;s&quot;&nbsp;y", 'really at&t <3 "x\'s" y'),
        ("2 < 3 > 1, i <3 u <- no", "2 < 3 > 1, i <3 u <- no"),
        ("&amp;lt;", "&lt;"),
    ],
)
def test_normalise(text, expected):
    assert normalise(tf.constant([text]), True, True).numpy()[0].decode() == expected


def test_normalise_options():
    text = tf.constant([["A<b>B</b>"]])
    assert normalise(text, False, False).numpy().tolist() == [[b"A<b>B</b>"]]
    assert normalise(text, False, True).numpy().tolist() == [[b"A B"]]


def test_truncate():
    ids = tf.ragged.constant([[1, 2, 3, 4, 5], [], [6, 7, 8], [9]])
    assert truncate(ids, 3).to_list() == [[1, 2, 3], [], [6, 7, 8], [9]]
    assert truncate(ids, 3, "tail").to_list() == [[3, 4, 5], [], [6, 7, 8], [9]]
    assert truncate(ids, 3, "both").to_list() == [[1, 2, 5], [], [6, 7, 8], [9]]
    assert truncate(ids, 1, "both").to_list() == [[1], [], [6], [9]]
    with pytest.raises(ValueError, match="head, tail or both"):
        truncate(ids, 3, "middle")
    with pytest.raises(ValueError, match="at least 1"):
        truncate(ids, 0)
