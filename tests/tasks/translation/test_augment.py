"""What training changes of sentence pairs: shares, what stays whole, and the seed as the only source of chance."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data.text.vocabulary import BOS, EMPTY, EOS
from pipelines.recipes import seq2seq
from pipelines.tasks.translation.config import Config
from pipelines.tasks.translation.data import Preprocessor, hidden
from pipelines.tasks.translation.task import Translation

WORDS = ["the", "dog", "house", "greyhound", "doghouse"] * 20


@pytest.fixture(scope="module")
def preprocessor() -> Any:
    rows = [{"source": word, "target": word[::-1]} for word in WORDS]
    return Preprocessor.fit(Config(vocabulary_size=320), rows)


def batch(preprocessor: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    chosen = np.random.default_rng(0).choice(WORDS, [64, 12])
    texts = [" ".join(row[: 12 - 6 * (i % 2)]) for i, row in enumerate(chosen)]
    source, target = preprocessor.source_ids(texts)[0], preprocessor.target_ids(texts)
    x = {"source": source.to_tensor(), "source_lengths": tf.cast(source.row_lengths(), tf.int32)}
    return x, {"target": target.to_tensor(), "target_lengths": tf.cast(target.row_lengths(), tf.int32)}


def test_a_share_of_the_real_pieces_is_hidden_by_the_seed_alone(preprocessor: Any) -> None:
    x, _ = batch(preprocessor)
    ids, lengths = x["source"], x["source_lengths"]
    seed = tf.constant([3, 4])
    found = hidden(ids, lengths, 0.2, seed).numpy()
    real = np.arange(ids.shape[1]) < lengths.numpy()[:, None]
    gone = found == EMPTY
    assert not gone[~real].any() and abs(gone[real].mean() - 0.2) < 0.04
    np.testing.assert_array_equal(found[~gone], ids.numpy()[~gone])
    np.testing.assert_array_equal(found, hidden(ids, lengths, 0.2, seed))
    assert (found != hidden(ids, lengths, 0.2, seed + 1).numpy()).any()
    np.testing.assert_array_equal(hidden(ids, lengths, 0.0, seed), ids)


def test_what_is_answered_stays_whole(preprocessor: Any) -> None:
    x, y = batch(preprocessor)
    transform = Translation(Config(word_dropout=0.3), preprocessor).augmentation()
    assert transform is not None
    changed, answers = transform(x, y, tf.constant([0, 1]))
    np.testing.assert_array_equal(answers["target"], y["target"])
    for before, after in ((x["source"], changed["source"]), (y["target"], answers["history"])):
        gone = after.numpy() == EMPTY
        assert 0.2 < gone[:, :6].mean() < 0.4
        np.testing.assert_array_equal(after.numpy()[~gone], before.numpy()[~gone])
    sides = (changed["source"].numpy()[:, :6] == EMPTY, answers["history"].numpy()[:, :6] == EMPTY)
    assert (sides[0] != sides[1]).any()


def test_hiding_comes_after_the_pieces_are_cut_anew(preprocessor: Any) -> None:
    x, y = batch(preprocessor)
    transform = Translation(Config(word_dropout=0.3, segmentation_dropout=0.5), preprocessor).augmentation()
    assert transform is not None
    changed, answers = transform(x, y, tf.constant([0, 1]))
    assert answers["history"].shape == answers["target"].shape
    assert (answers["target_lengths"].numpy() > y["target_lengths"].numpy()).any()
    real = np.arange(changed["source"].shape[1]) < changed["source_lengths"].numpy()[:, None]
    assert 0.2 < (changed["source"].numpy() == EMPTY)[real].mean() < 0.4


def test_nothing_is_changed_by_default(preprocessor: Any) -> None:
    assert Translation(Config(), preprocessor).augmentation() is None


def test_the_decoder_reads_the_history_and_answers_the_target(
    preprocessor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, answered = [], []

    class Layer:
        def __call__(self, *given: Any, training: bool) -> Any:
            return None, None, None

        def read(self, seen: Any, *given: Any, training: bool) -> Any:
            read.append(seen.numpy().tolist())
            return None, None

    class Model:
        def get_layer(self, name: str) -> Any:
            return Layer()

    monkeypatch.setattr(seq2seq, "projected_loss", lambda d, r, target, s: answered.append(target) or tf.zeros(2))
    target, history = tf.constant([[7, 8, EOS], [9, EOS, 0]]), tf.constant([[EMPTY, 8, EOS], [9, EMPTY, 0]])
    x = {"source": None, "source_lengths": None}
    y = {"target": target, "target_lengths": tf.constant([3, 2])}
    task = Translation(Config(), preprocessor)
    task.loss(Model(), x, y | {"history": history})
    task.loss(Model(), x, y)
    assert read == [[[BOS, EMPTY, 8], [BOS, 9, EMPTY]], [[BOS, 7, 8], [BOS, 9, EOS]]]
    assert all(one is target for one in answered) and len(answered) == 2
