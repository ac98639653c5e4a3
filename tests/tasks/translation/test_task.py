"""What is special about translation: both languages, the length rules of the search, alignment, bad sentences."""

import dataclasses
import functools
import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from models.decoders import Memory
from pipelines import train
from pipelines.cli import explain as explanation
from pipelines.data.batching import batches
from pipelines.data.text.vocabulary import BOS, EMPTY, EOS, RESERVED, SubwordVocabulary
from pipelines.runs.load import load_run
from pipelines.tasks.translation.task import Config, Preprocessor, Translation

VOCABULARY = SubwordVocabulary([*RESERVED, "the", "dog", "cat", "der", "die", "Hund", "Katze", "sieht", "sees", "##."])
CONFIG = Config(units=6, decoder_units=10, embedding_size=8, max_tokens=12, beam_width=3, dropout=0.0)
SPLITS = ("train", "validation", "test")
PAIRS = [("the dog sees the cat.", "der Hund sieht die Katze."), ("the cat.", "die Katze."), ("dog", "Hund")]


def made(pairs=PAIRS):
    return [{"id": str(i), "where": f"x:{i}", "source": s, "target": t} for i, (s, t) in enumerate(pairs)]


@pytest.fixture(scope="module")
def small():
    task = Translation(CONFIG, Preprocessor(VOCABULARY, VOCABULARY, CONFIG))
    model = task.network()
    random = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(random.normal(size=weight.shape) * 0.5)
    return task, model


def test_targets_end_with_eos_and_long_ones_do_not_teach_to_stop(small):
    ids = small[0].preprocessor.target_ids(tf.constant(["die Katze.", "die " * 12, "die " * 11])).to_list()
    assert ids[0][-1] == EOS and len(ids[0]) == 4
    assert len(ids[1]) == len(ids[2]) == 12
    assert EOS not in ids[1] and ids[2][-1] == EOS


def test_long_sources_are_cut_and_say_so(small):
    ids, cut = small[0].preprocessor.source_ids(tf.constant(["dog " * 12, "dog " * 13, ""]))
    assert ids.row_lengths().numpy().tolist() == [12, 12, 1] and cut.numpy().tolist() == [False, True, False]
    assert ids.to_list()[2] == [EMPTY]


def test_vocabularies_are_joint_or_separate_and_round_trip():
    text = [s for pair in PAIRS * 3 for s in pair]
    joint = Preprocessor.fit(Config(vocabulary_size=300), made(PAIRS * 3))
    assert joint.source.vocabulary == joint.target.vocabulary
    assert [t.decode() for t in joint.target.decode(joint.target.encode(tf.constant(text))).numpy()] == text
    apart = Preprocessor.fit(Config(vocabulary_size=300, vocabulary="separate"), made(PAIRS * 3))
    learned = [set(v.vocabulary[len(RESERVED) :]) for v in (apart.source, apart.target)]
    assert "Hund" in learned[1] - learned[0] and "dog" in learned[0] - learned[1]


def test_pairs_without_text_are_dropped_by_name_and_empty_texts_are_not(small):
    encoded = small[0].encode(made([*PAIRS, (None, "x"), ("", "x"), ("x", " "), ("dog", 3)]))
    assert [e["id"] for e in encoded.examples] == ["0", "1", "2", "4", "5"]
    assert encoded.dropped == ["x:3: the source is no text (None)", "x:6: the target is no text (3)"]
    assert encoded.x["source"][3].numpy().tolist() == [EMPTY] and encoded.y["target"][4].numpy().tolist() == [EOS]


def test_loss_is_the_mean_over_pieces_of_the_step_by_step_probabilities(small):
    preprocessor, model = small[0].preprocessor, small[1]
    task = Translation(dataclasses.replace(CONFIG, label_smoothing=0.0), preprocessor)
    encoded = task.encode(made(), "train")
    (x, y), *_ = batches(encoded, [np.arange(3)])
    decoder, total, count = model.get_layer("decoder"), 0.0, 0
    for row, ids in enumerate(encoded.y["target"].to_list()):
        source = encoded.x["source"][row : row + 1].to_tensor()
        length = encoded.x["source_lengths"][row : row + 1]
        states, summary, _ = model.get_layer("encoder")(source, length)
        state, keys = decoder.start(Memory(states, length, summary))
        last = BOS
        for token in ids:
            logits, state = decoder.step(tf.constant([last]), state, keys)
            total -= float(tf.nn.log_softmax(logits)[0, token])
            last, count = token, count + 1
    values, weights = task.loss(model, x, y)
    assert float(tf.reduce_sum(values)) == pytest.approx(total, rel=1e-4)
    assert (
        weights.numpy().tolist() == encoded.y["target_lengths"].numpy().tolist()
        and float(tf.reduce_sum(weights)) == count
    )
    assert float(tf.reduce_mean(values)) / task.mean_weight(encoded) == pytest.approx(total / count, rel=1e-4)


def test_the_search_obeys_the_length_rules(small):
    task, model = small
    encoded = task.encode(made([("dog", "x"), ("the dog sees the cat.", "x"), ("", "x")]), "predict")

    def searched(config):
        return Translation(config, task.preprocessor).search(model, x)

    x = {**encoded.x, "source": encoded.x["source"].to_tensor()}
    model.get_layer("decoder").bias.assign(tf.one_hot(EOS, VOCABULARY.size) * -50.0)
    try:
        config = dataclasses.replace(CONFIG, length_ratio=1.0, max_tokens=30)
        found = searched(config)
        assert found.lengths[:, 0].numpy().tolist() == [11, 16, 0]  # one piece and 6 pieces, each plus 10
        assert found.scores[2, 0] == 0 and not np.any(found.tokens[2])
        shares = tf.reduce_sum(found.attention, axis=2).numpy()
        np.testing.assert_allclose(shares, np.arange(30) < found.lengths[:, :1].numpy(), atol=1e-5)
        least = searched(dataclasses.replace(config, min_tokens=20))
        assert least.lengths[:, 0].numpy().tolist() == [21, 21, 0], "the rule for all is above that of a source"
        endless = searched(dataclasses.replace(config, length_ratio=1e9))
        assert endless.lengths[:, 0].numpy().tolist() == [30, 30, 0]
    finally:
        model.get_layer("decoder").bias.assign(tf.zeros([VOCABULARY.size]))


def test_an_answer_lists_its_alternatives_best_first(small):
    task, model = small
    encoded = task.encode(made(PAIRS[:1]))
    found = task.outputs(model, {**encoded.x, "source": encoded.x["source"].to_tensor()})
    (example,) = encoded.examples
    row = {name: value.numpy()[0] for name, value in found.items()}
    prediction = task.answer(task.card(), example, row, task.references(example))
    scores = [score for _, score in prediction["alternatives"]]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    assert prediction["alternatives"][0] == [prediction["answer"], prediction["score"]]
    assert prediction["references"] == [PAIRS[0][1]] and not prediction["cut"]


def test_word_for_word_knows_words_but_no_order():
    pairs = [("the dog", "der Hund"), ("a dog", "ein Hund"), ("the man", "der Mann"), ("a man sees", "ein Mann sieht")]
    name, score = Translation.baseline(made(pairs * 3), made([("the man sees a dog", "der Mann sieht ein Hund")]))
    assert name == "word for word" and score == pytest.approx(100)
    assert Translation.baseline(made(pairs * 3), made([("the man sees a dog", "ein Hund der Mann sieht")]))[1] < 50
    unknown = made([("the Zork sees a dog", "der Zork sieht ein Hund")])
    assert Translation.baseline(made(pairs * 3), unknown)[1] == pytest.approx(100)


def test_every_kind_of_data_opens(tmp_path):
    (tmp_path / "train.en").write_text("a\nb\n")
    (tmp_path / "train.de").write_text("x\ny\n")
    source = Translation.open_source(str(tmp_path), Config(source="en", target="de", validation_share=0.5))
    assert {e["source"] for split in ("train", "validation") for e in source.read(split)} == {"a", "b"}
    table = tmp_path / "pairs.tsv"
    table.write_text("en\tde\na\tx\n")
    config = Config(source="de", target="en", validation_share=0.01)
    (example,) = Translation.open_source(str(table), config).read("train")
    assert (example["source"], example["target"]) == ("x", "a")
    (tmp_path / "j.jsonl").write_text(json.dumps({"source": "a", "target": "x", "split": "test"}) + "\n")
    (example,) = Translation.open_source(str(tmp_path / "j.jsonl"), Config()).read("test")
    assert example["target"] == "x"


@pytest.mark.parametrize(
    ("name", "source", "target", "splits"),
    [
        ("ted_hrlr_translate/pt_to_en", "pt", "en", SPLITS),
        ("para_crawl/ende", "en", "de", ("train",)),
        ("wmt14_translate/de-en", "en", "de", SPLITS),
    ],
)
def test_named_pairs_open_offline_in_either_direction(name, source, target, splits, monkeypatch):
    with tfds.testing.mock_data(num_examples=9):
        monkeypatch.setattr(tfds.core.DatasetBuilder, "is_prepared", lambda self: True)
        known = {split: tfds.core.SplitInfo(name=split, shard_lengths=[9], num_bytes=9) for split in splits}
        monkeypatch.setattr(tfds.core.DatasetInfo, "splits", tfds.core.SplitDict(known.values()))
        there = Translation.open_source(f"tfds:{name}", Config(source=source, target=target, validation_share=0.4))
        back = Translation.open_source(f"tfds:{name}", Config(source=target, target=source, validation_share=0.4))
        pairs = [[list(one.read(split)) for split in ("train", "validation")] for one in (there, back)]
        with pytest.raises(
            ValueError, match=rf"no feature for source \(one of: xx, .*there are: {min(source, target)}, "
        ):
            Translation.open_source(f"tfds:{name}", Config(source="xx", target=target))
    first = pairs[0][0][0]
    assert all(isinstance(first[side], str) and first[side] for side in ("source", "target"))
    assert sum(len(part) for part in pairs[0]) == (9 if splits == ("train",) else 18) and pairs[0][1]
    swapped = {(e["target"], e["source"]) for part in pairs[1] for e in part}
    assert {(e["source"], e["target"]) for part in pairs[0] for e in part} == swapped
    assert set(there.cuts) == ({"validation"} if splits == ("train",) else set())


@pytest.fixture
def predictor(small_predictor):
    return small_predictor("translation")


def explained(predictor, sentence):
    """What `pipelines explain` finds of a run that is loaded already."""
    loaded = predictor.loaded
    return loaded.task.explain(loaded.model, sentence)


def test_explain_gives_the_alignment(predictor):
    found = explained(predictor, "The old dog has seen 37 quiet queens.")
    (prediction,) = predictor("The old dog has seen 37 quiet queens.")
    assert found.answer == prediction["answer"]
    weights = found.arrays["attention"]
    assert weights.shape == (len(found.numbers["target_pieces"]), len(found.numbers["source_pieces"]))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert explained(predictor, "").answer == ""


def test_explain_says_that_a_sentence_was_cut(small_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(explanation, "load_run", functools.cache(load_run))
    for sentence, said in (("A dog. " * 70, True), ("A dog.", False)):
        assert explanation.run(small_run("translation"), sentence, tmp_path / "why.png", as_json=True) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["cut"] == said
        assert ("longer than the model reads; only its beginning was answered" in err) == said


def test_bad_sentences_are_answered_in_order(predictor):
    lines = ["", "🦊🦊", "A dog. " * 700, "собака dog 犬", "\x00\x07", "The dog sees the cat."]
    predictions = predictor(lines)
    assert [p["input"] for p in predictions] == lines
    assert [p["cut"] for p in predictions] == [False, False, True, False, False, False]
    assert predictions[0]["answer"] == predictions[4]["answer"] == ""


@pytest.mark.slow
def test_a_separate_vocabulary_without_tying_trains(tmp_path):
    settings = {"vocabulary": "separate", "tied": False, "attention": "additive", "context_recurrence": True}
    sizes = {"units": 8, "decoder_units": 12, "embedding_size": 8, "epochs": 1, "batch_size": 16, "beam_width": 1}
    loaded = load_run(train("translation", run=tmp_path / "r", preset="small", limit=16, **settings, **sizes))
    assert loaded.preprocessor.source.vocabulary != loaded.preprocessor.target.vocabulary
    assert loaded.task.decode_name() == "greedy"
