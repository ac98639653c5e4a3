"""Pieces of words instead of characters: spelled, timed, fused and exported alike."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from pipelines import Predictor, train
from pipelines.config import from_dict
from pipelines.export.saved_model import export
from pipelines.search.fusion import SymbolFusion, WordFusion, prefix_beam
from pipelines.search.ngram import characters, estimate, words
from pipelines.tasks.speech.config import Config, tiny
from pipelines.tasks.speech.data import Preprocessor, facets
from pipelines.tasks.speech.synthetic import examples
from pipelines.tasks.speech.task import Speech
from pipelines.tasks.speech.text import Alphabet, worded

TEXTS = ["the dog sees the cat", "the cat sees the dog", "don't see the öther dogs", "a cat"]
PIECES = Alphabet(["", " ", " ab", "c", " c", "b", "a", " a"])


def test_pieces_are_learned_with_every_letter_and_give_the_text_back(tmp_path):
    alphabet = Alphabet.learn_pieces(TEXTS * 5, 60)
    assert alphabet.pieces and alphabet.size <= 60 and alphabet.symbols[:2] == ("", " ")
    assert " the" in alphabet.symbols and set("".join(TEXTS)) <= set(alphabet.symbols)
    rows = alphabet.encode_all([*TEXTS, "", "xthe zdog"])
    assert [alphabet.decode(row) for row in rows] == [*TEXTS, "", "the dog"]
    assert all(len(row) < 0.7 * len(text) for row, text in zip(rows, TEXTS, strict=False))
    assert rows[0] == alphabet.encode(TEXTS[0])
    padded = np.array([row + [0] * (30 - len(row)) for row in rows], np.int32)
    assert [text.decode() for text in alphabet.spell(padded).numpy()] == [alphabet.decode(row) for row in rows]
    alphabet.save(tmp_path / "a.json")
    again = Alphabet.load(tmp_path / "a.json")
    assert again.symbols == alphabet.symbols and again.encode_all(TEXTS) == rows[:4]


def test_what_cannot_be_an_alphabet_of_pieces_is_refused():
    for symbols in (["", "ab"], ["", "a", "ab"], ["", " ", "a b"], ["", " ", "ab "], ["", " ", "  a"]):
        with pytest.raises(ValueError, match=r"alphabet|piece"):
            Alphabet(symbols)
    letters = set("".join(TEXTS)) - {" "}
    for size in range(4, 2 * len(letters) + 2):
        with pytest.raises(ValueError, match=rf"--vocabulary-size {size}: has no room for {len(letters)} different"):
            Alphabet.learn_pieces(TEXTS, size)
    assert Alphabet.learn_pieces(TEXTS, 2 * len(letters) + 2).size <= 2 * len(letters) + 2
    with pytest.raises(ValueError, match="no letters"):
        Alphabet.learn_pieces(["", " "], 60)


def test_words_begin_with_pieces_that_begin_with_a_space():
    rows = [[" ab", "c", " c", "b", " ", "a", " a"], ["c", " ab"]]
    numbers = [[PIECES.numbers[piece] for piece in row] for row in rows]
    first = tf.constant([[0, 2, 4, 6, 8, 10, 12]] * 2)
    symbols = {
        "tokens": tf.ragged.constant(numbers, tf.int32).to_tensor(),
        "count": tf.constant([7, 2]),
        "first": first,
        "last": first + 1,
        "probability": tf.fill([2, 7], 0.25),
        "score": tf.ones([2]),
    }
    found = {name: value.numpy() for name, value in worded(symbols, PIECES, 0.1).items()}
    assert found["words"].tolist() == [[b"abc", b"cb", b"a", b"a"], [b"c", b"ab", b"", b""]]
    np.testing.assert_allclose(found["start"], [[0.0, 0.4, 1.0, 1.2], [0.0, 0.2, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(found["end"], [[0.4, 0.8, 1.2, 1.4], [0.2, 0.4, 0, 0]], rtol=1e-6)


def test_a_model_scores_the_words_or_characters_that_pieces_spell():
    values = np.random.default_rng(0).normal(size=(3, PIECES.size))
    values -= np.log(np.exp(values).sum(1, keepdims=True))
    model = estimate([words("abc ab"), words("c abb")], 2)
    spelled = estimate([characters("abc ab"), characters("c ab")], 3)
    for hypothesis in prefix_beam(values, WordFusion(model, PIECES.symbols, 0.7, 0.4), 5000, -math.inf):
        text = PIECES.decode(hypothesis.tokens)
        assert hypothesis.language == pytest.approx(0.7 * model.sentence(words(text)) + 0.4 * len(text.split()))
    checked = 0
    for hypothesis in prefix_beam(values, SymbolFusion(spelled, PIECES.symbols, 0.7, 0.4), 5000, -math.inf):
        if 1 in hypothesis.tokens:
            continue  # a space of its own beside another is scored as it stands
        text, checked = PIECES.decode(hypothesis.tokens), checked + 1
        expected = 0.7 * spelled.sentence(characters(text)) + 0.4 * len(text)
        assert hypothesis.language == pytest.approx(expected)
    assert checked > 100


def test_validation_does_not_count_letters_of_pieces():
    config = from_dict(Config, {}, "test")
    sound = np.random.default_rng(0).normal(size=4800).astype(np.float32) * 0.05
    example = {"id": "0", "where": "x:1", "audio": sound, "text": "far too many letters"}
    assert "the transcript needs" in facets(config, example).unlearned
    assert facets(dataclasses.replace(config, vocabulary="subword"), example).unlearned == ""
    loud = facets(config, example | {"audio": np.clip(sound * 100, -1, 1), "text": "a"})
    assert loud.problem == loud.unlearned == "" and loud.notes == (
        "clipped: more than one sample in a thousand at full scale",
    )


def test_the_export_words_them_as_the_run():
    config = from_dict(Config, tiny() | {"rate": 8000, "vocabulary": "subword"}, "test")
    task = Speech(config, Preprocessor(PIECES, None, config.rate))
    model = task.network()
    random = np.random.default_rng(3)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    sound = np.concatenate([example["audio"] for example in examples("test", 3, rate=8000)])
    head = model.get_layer("recogniser").get_layer("logits")
    x = {"audio": tf.constant(sound[None]), "samples": tf.constant([len(sound)])}
    head.bias.assign(head.bias - tf.reduce_mean(model(x)["logits"], [0, 1]))
    outputs = {name: value[0].numpy() for name, value in task.outputs(model, x).items()}
    answer = task.answer(task.card(), {"id": "0", "audio": "x"}, outputs)
    served = task.serving(model)(waveform=x["audio"], samples=x["samples"], rate=tf.constant([8000]))
    assert served["text"][0].numpy().decode() == answer["answer"]
    assert [word.decode() for word in served["words"][0].numpy()] == [word["word"] for word in answer["words"]]
    assert " ".join(word["word"] for word in answer["words"]) == answer["answer"] and len(answer["words"]) > 3
    for name in ("start", "end", "confidence"):
        np.testing.assert_allclose(served[name][0], [word[name] for word in answer["words"]], atol=1e-3)


def test_the_training_transcripts_give_the_pieces():
    config = from_dict(Config, {"vocabulary": "subword", "vocabulary_size": 60}, "test")
    sound = np.ones(8000, np.float32) * 0.1
    given = [{"id": str(i), "where": str(i), "audio": sound, "text": text.upper()} for i, text in enumerate(TEXTS * 3)]
    preprocessor = Preprocessor.fit(config, given)
    encoded = Speech(config, preprocessor).encode(given[:4])
    assert [preprocessor.alphabet.decode(row) for row in encoded.y["tokens"].to_list()] == TEXTS
    assert encoded.y["count"].numpy().tolist() == [len(row) for row in preprocessor.alphabet.encode_all(TEXTS)]


@pytest.mark.slow
def test_a_run_of_pieces_is_trained_answered_and_exported(tmp_path):
    settings = {"vocabulary": "subword", "vocabulary_size": 80}
    run = train("speech", run=tmp_path / "run", preset="tiny", limit=48, **settings)
    assert Predictor(run).loaded.preprocessor.alphabet.pieces
    Predictor(run, lm="train", lm_weight=0.5)([example["audio"] for example in examples("test", 2)])
    export(run, tmp_path / "export", samples=3)
