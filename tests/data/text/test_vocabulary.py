"""Segmentation against a pure-Python reference and the tokenizers library; cleaning; the same answer everywhere."""

import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import models

from pipelines.data.text.vocabulary import (
    EMPTY,
    FIRST_BYTE,
    RESERVED,
    SubwordVocabulary,
    clean,
    ensure_min_length,
    normalise,
)

LEARNED = [
    "film",
    "##.",
    "un",
    "##believ",
    "##able",
    "##a",
    "##b",
    "##c",
    "ab",
    "abc",
    "##bc",
    "##ca",
    "ç",
    "##ok",
    "i",
]
LEARNED += [
    "##i\u0307",
    "при",
    "##вет",
    "##в",
    "电",
    "##影",
    "##好",
    "👍",
    "##\u200d",
    "##e\u0301",
    "#",
    "###",
    "##'t",
    "<",
]
TEXTS = [
    "film. unbelievable film",
    "abcabcab bca",
    "çok i\u0307yi filmdi, değil mi?",
    "Übergrößenträger straße",
    "привет, мир",
    "电影很好看 好",
    "👍👍🏽 👩\u200d👧 cafe\u0301",
    "",
    "   \t\n\u3000\u00a0\u2028 ",
    "## ### #a <pad> <0x41> <eos>",
    "\ufffd\U0010ffff\u200b",
]


@pytest.fixture(scope="module")
def small() -> SubwordVocabulary:
    return SubwordVocabulary([*RESERVED, *LEARNED])


def python_clean(text: str) -> str:
    blank = (" " if unicodedata.category(c) in ("Cc", "Zs", "Zl", "Zp") else c for c in text)
    return " ".join("".join(blank).split(" ")).strip() if text else ""


def reference(text: str, learned: list[str]) -> list[int]:
    """Greedy longest match character by character, with bytes for what is not in the vocabulary."""
    starts = {p: i for i, p in enumerate(learned, len(RESERVED)) if not p.startswith("##")}
    inside = {p[2:]: i for i, p in enumerate(learned, len(RESERVED)) if p.startswith("##")}
    ids = []
    for word in python_clean(text).split():
        position = 0
        for end in range(len(word), 0, -1):
            if word[:end] in starts:
                ids.append(starts[word[:end]])
                position = end
                break
        else:
            ids.append(EMPTY)
        while position < len(word):
            for end in range(len(word), position, -1):
                if word[position:end] in inside:
                    ids.append(inside[word[position:end]])
                    position = end
                    break
            else:
                ids.extend(FIRST_BYTE + byte for byte in word[position].encode())
                position += 1
    return ids


def encode(vocabulary: SubwordVocabulary, texts: list[str] | list[bytes]) -> list[list[int]]:
    return vocabulary.encode(tf.constant(texts)).to_list()


def joined(texts: list[str]) -> list[str]:
    return [" ".join(python_clean(text).split()) for text in texts]


def decoded(vocabulary: SubwordVocabulary, ids: tf.RaggedTensor) -> list[str]:
    return [text.decode() for text in vocabulary.decode(ids).numpy()]


def test_named_pieces(small):
    pieces = small.pieces(small.encode(tf.constant(["unbelievable film. abcab xa"])))
    names = [piece.decode() for piece in pieces.to_list()[0]]
    assert names == ["un", "##believ", "##able", "film", "##.", "abc", "##a", "##b", "<0x20>", "<0x78>", "##a"]


def test_equals_the_reference_and_round_trips(small):
    assert encode(small, TEXTS) == [reference(text, LEARNED) for text in TEXTS]
    assert decoded(small, small.encode(tf.constant(TEXTS))) == joined(TEXTS)


letters = st.sampled_from("abcç电影🏽\u0301#.")
words = st.text(letters, min_size=1, max_size=6)
texts = st.one_of(
    st.text(st.sampled_from("abcç电影👍\u0301#.<  "), max_size=30),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(words, max_size=12), st.lists(words, max_size=12), st.lists(texts, max_size=5))
@example(["###"], ["a"], ["x"])
def test_random_vocabularies(starts, continuations, batch):
    learned = list(dict.fromkeys([*starts, *("##" + piece for piece in continuations)]))
    learned = [p for p in learned if p != "##" and not (p in starts and p.startswith("##"))]
    vocabulary = SubwordVocabulary([*RESERVED, *learned])
    ids = vocabulary.encode(tf.constant(batch, tf.string, [len(batch)]))
    assert ids.to_list() == [reference(text, learned) for text in batch]
    assert decoded(vocabulary, ids) == joined(batch)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.sampled_from("abcfilmunev.ç电影#"), min_size=1, max_size=8), max_size=20))
def test_equals_the_tokenizers_library_where_it_knows_the_word(small, words):
    library = models.WordPiece({piece: i for i, piece in enumerate([*RESERVED, *LEARNED, "[UNK]"])}, unk_token="[UNK]")
    # the library takes `##` at the beginning of a word for a continuation
    words = [word for word in words if not word.startswith("##")]
    for word, ids in zip(words, encode(small, words) if words else [], strict=True):
        theirs = [token.id for token in library.tokenize(word)]
        if theirs != [small.size]:
            assert ids == theirs, word


def test_invalid_bytes_become_replacement_characters(small):
    broken = [b"film\xff.", b"\xed\xa0\x80", b"\xe4\xb8", b"a\x00b"]
    ids = small.encode(tf.constant(broken))
    assert decoded(small, ids) == ["film\ufffd.", "\ufffd\ufffd\ufffd", "\ufffd", "a b"]
    assert ids.to_list() == [reference(text.decode(errors="replace"), LEARNED) for text in broken]


def test_decode_survives_any_ids_and_padding(small):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, small.size, (20, 30)).astype(np.int32)
    for text in small.decode(tf.constant(ids)).numpy():
        assert "\n" not in text.decode("utf-8")
    padded = small.encode(tf.constant(TEXTS)).to_tensor(0)
    assert decoded(small, tf.concat([tf.fill([len(TEXTS), 1], 1), padded], 1)) == joined(TEXTS)


def test_batches_do_not_matter(small):
    assert encode(small, TEXTS) == [encode(small, [text])[0] for text in TEXTS]
    assert small.encode(tf.constant([], tf.string)).to_list() == []


@pytest.mark.parametrize("word", ["a" * 100_000, "é" * 50_000, "👩" * 25_000, "film" * 25, "x" * 101, "x" * 202])
def test_endless_words_are_exact(small, word):
    ids = small.encode(tf.constant([word, f"film {word} ab"]))
    assert decoded(small, ids) == [word, f"film {word} ab"]
    assert max(np.diff(ids.row_splits)) <= len(word.encode()) + 6


def test_many_words(small):
    text = "film. " * 2000
    assert encode(small, [text]) == [reference(text, LEARNED)]


def test_eager_graph_and_data_agree(small):
    expected = encode(small, TEXTS)
    traced = tf.function(small.encode, input_signature=[tf.TensorSpec([None], tf.string)])
    assert traced(tf.constant(TEXTS)).to_list() == expected
    data = tf.data.Dataset.from_tensor_slices(TEXTS).batch(4).map(small.encode)
    assert [row for batch in data for row in batch.to_list()] == expected


@pytest.mark.slow  # by default the export of translation is asked so
def test_saved_model_needs_only_tensorflow(small, tmp_path):
    module = tf.Module()
    module.vocabulary = small

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = ensure_min_length(small.encode(normalise(text, True, True)))
        return {"ids": ids.to_tensor(), "text": small.decode(ids)}

    module.serve = serve
    tf.saved_model.save(module, str(tmp_path / "export"), signatures=serve)
    (tmp_path / "check.py").write_text(
        "import sys, numpy as np, tensorflow as tf\n"
        "loaded = tf.saved_model.load(sys.argv[1])\n"
        "texts = open('texts', 'rb').read().split(b'\\x00')\n"
        "out = loaded.signatures['serving_default'](text=tf.constant(texts))\n"
        "np.save('ids.npy', out['ids'].numpy())\n"
        "open('decoded', 'wb').write(b'\\x00'.join(out['text'].numpy()))\n"
        "assert not {'tokenizers', 'tensorflow_text', 'pipelines'} & set(sys.modules)\n"
    )
    (tmp_path / "texts").write_bytes("\x00".join(TEXTS).encode())
    subprocess.run([sys.executable, "-P", "check.py", "export"], cwd=tmp_path, check=True)
    here = serve(tf.constant(TEXTS))
    np.testing.assert_array_equal(np.load(tmp_path / "ids.npy"), here["ids"].numpy())
    assert (tmp_path / "decoded").read_bytes().split(b"\x00") == list(here["text"].numpy())


def test_file_round_trip(small, tmp_path):
    small.save(tmp_path / "vocabulary.txt")
    assert SubwordVocabulary.load(tmp_path / "vocabulary.txt").vocabulary == small.vocabulary
    lines = (tmp_path / "vocabulary.txt").read_text("utf-8").split("\n")
    assert lines[:4] == ["<pad>", "<bos>", "<eos>", "<0x00>"] and lines[-1] == ""


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (["film"], "must begin with the 259 reserved"),
        ([*RESERVED, "film", "film"], "line 261: 'film' is there twice"),
        ([*RESERVED, "<eos>"], "twice"),
        ([*RESERVED, "a b"], "line 260: 'a b' is empty or holds white space"),
        ([*RESERVED, "##"], "empty"),
        ([*RESERVED, "a\x85"], "white space"),
        ([*RESERVED, ""], "empty"),
    ],
)
def test_refuses_broken_vocabularies(pieces, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        SubwordVocabulary(pieces)
    (tmp_path / "v.txt").write_text("\n".join(pieces) + "\n", "utf-8")
    with pytest.raises(ValueError, match=r"v\.txt: not a vocabulary"):
        SubwordVocabulary.load(tmp_path / "v.txt")


def test_refuses_a_file_that_is_not_text(tmp_path):
    (tmp_path / "v.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"v\.txt: not a vocabulary"):
        SubwordVocabulary.load(tmp_path / "v.txt")


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=40))
def test_clean_is_idempotent_and_valid(raw):
    once = clean(tf.constant([raw]))
    assert clean(once).numpy()[0] == once.numpy()[0]
    assert once.numpy()[0].decode("utf-8") == " ".join(joined([raw.decode("utf-8", "replace")]))


def test_minimum_length(small):
    ids = ensure_min_length(small.encode(tf.constant(["", "film", " "])))
    assert ids.to_list() == [[EMPTY], [len(RESERVED)], [EMPTY]]
    assert decoded(small, ids) == ["", "film", ""]
