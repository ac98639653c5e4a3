"""Captioning beyond the contract: encoding, loss, attention penalty, the words of an answer."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.losses import unattended_penalty, word_detection_loss
from pipelines import config
from pipelines.data import builtin
from pipelines.data.batching import batches
from pipelines.data.source import limited
from pipelines.data.text.vocabulary import EOS, PAD
from pipelines.tasks.captioning import synthetic
from pipelines.tasks.captioning.config import Config
from pipelines.tasks.captioning.data import facets
from pipelines.tasks.captioning.explain import by_word
from pipelines.tasks.captioning.task import Captioning

TINY: dict[str, Any] = {
    "picture_size": 32,
    "vocabulary_size": 400,
    "embedding_size": 12,
    "grid_units": 10,
    "units": 14,
    "max_tokens": 16,
    "dropout": 0.0,
    "beam_width": 2,
}
EXAMPLES = [e | {"where": f"t:{i}"} for i, e in enumerate(synthetic.examples("train", 40, 0))]


@functools.cache
def made(**settings: Any) -> tuple[Captioning, Any]:
    """Task and an untrained network, which no test changes."""
    chosen = config.resolve(Config, {}, overrides=TINY | settings)
    tf.keras.utils.set_random_seed(1)
    task = Captioning(chosen, Captioning.fit(chosen, EXAMPLES))
    return task, task.network()


def changed(task: Captioning, **settings: Any) -> Captioning:
    """The same task with other settings."""
    return Captioning(dataclasses.replace(task.config, **settings), task.preprocessor)


def one_batch(encoded: Any, rows: list[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    (batch,) = batches(encoded, [np.array(rows)])
    return batch


def test_of_built_in_pictures_only_those_that_are_kept_are_drawn(monkeypatch: Any) -> None:
    builtin._kept.cache_clear()
    drawn, honest = [], synthetic.draw
    monkeypatch.setattr(synthetic, "draw", lambda *given: drawn.append(given) or honest(*given))
    source = Captioning.builtin_source()
    kept = [list(limited(source, 8).read("validation")) for _ in range(2)]
    assert len(drawn) == 8 and kept[0] == kept[1]
    whole = {example["id"]: example for example in synthetic.examples("validation", 300, 0)}
    assert [whole[e["id"]] | {"where": e["where"]} for e in kept[0]] == kept[0]
    assert set(kept[0][0]) == {"id", "where", "image", "captions"}


def test_encode_keeps_every_caption() -> None:
    task, _ = made()
    uneven = [EXAMPLES[0], EXAMPLES[1] | {"captions": EXAMPLES[1]["captions"][:2]}]
    encoded = task.encode(uneven)
    captions = encoded.y["captions"]
    assert captions.shape == (2, None, 5) and captions.dtype == tf.int32
    for row, example in zip(captions, uneven, strict=True):
        columns = row.numpy().T
        texts = [task.preprocessor.vocabulary.decode(c[None]).numpy()[0].decode() for c in columns]
        assert texts == example["captions"] + [""] * (5 - len(example["captions"]))
        assert all((c == EOS).sum() == 1 for c in columns[: len(example["captions"])])
    assert encoded.lengths.tolist() == [len(row) for row in captions]
    assert encoded.x["picture"].shape == (2, 32, 32, 3) and encoded.x["picture"].dtype == tf.uint8
    assert set(encoded.x) == {"picture", "status"}
    assert not any(isinstance(value, bytes) for e in encoded.examples for value in e.values())


def test_bad_pictures_are_dropped_with_references_and_answered_without(tmp_path: Path) -> None:
    task, _ = made()
    gone = {"id": "x", "where": "list:7", "image": str(tmp_path / "gone.jpg"), "captions": ["a dog"]}
    mute = EXAMPLES[2] | {"captions": [" . "], "where": "list:9"}
    mixed = [EXAMPLES[0], gone, EXAMPLES[1] | {"image": b"junk", "where": "list:8"}, mute, EXAMPLES[3]]
    encoded = task.encode(mixed)
    assert [e["id"] for e in encoded.examples] == ["train-0", "train-3"]
    assert [reason.split(":")[0] + reason.split(":")[1][:2] for reason in encoded.dropped] == [
        "list7",
        "list8",
        "list9",
    ]
    for words, reason in zip(("no such picture", "no picture", "no caption"), encoded.dropped, strict=True):
        assert words in reason
    whole = task.encode(mixed, "predict")
    assert whole.x["status"].numpy().tolist() == [0, 1, 1, 0, 0] and len(whole.examples) == 5
    assert not whole.x["picture"].numpy()[1].any() and "gone.jpg" in whole.examples[1]["error"]
    np.testing.assert_array_equal(whole.x["picture"][4], encoded.x["picture"][1])


def test_loss_is_the_mean_over_the_pieces_of_all_captions() -> None:
    """Against the model called for each caption alone."""
    task, model = made()
    uneven = [EXAMPLES[0], EXAMPLES[1] | {"captions": EXAMPLES[1]["captions"][:3]}]
    encoded = task.encode(uneven)
    x, y = one_batch(encoded, [0, 1])
    found, weights = task.loss(model, x, y)
    assert weights.numpy().tolist() == [1, 1]
    for row, example in enumerate(uneven):
        total, pieces = 0.0, 0
        for tokens in task.preprocessor.tokens(example["captions"]):
            seen = np.concatenate([[1], tokens[:-1]])[None].astype(np.int32)
            inputs = {"picture": x["picture"][row : row + 1], "target": seen, "target_lengths": [len(tokens)]}
            chances = tf.nn.log_softmax(model({k: tf.constant(v) for k, v in inputs.items()})["logits"])[0].numpy()
            total -= chances[np.arange(len(tokens)), tokens].sum()
            pieces += len(tokens)
        assert float(found[row]) == pytest.approx(total / pieces, rel=1e-4)


def test_attention_penalty_by_hand() -> None:
    attention = tf.constant([[[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]]])
    target = tf.constant([[7, EOS, PAD]])
    expected = ((1 - 0.9) ** 2 + (1 - 1.1) ** 2) / 2
    np.testing.assert_allclose(unattended_penalty(attention, target), [expected], rtol=1e-5)
    task, model = made()
    x, y = one_batch(task.encode(EXAMPLES[:3]), [0, 1, 2])
    plain, more, most = (
        changed(task, attention_penalty=weight).loss(model, x, y)[0].numpy() for weight in (0.0, 2.0, 4.0)
    )
    assert (more > plain).all()
    np.testing.assert_allclose(most - plain, 2 * (more - plain), rtol=1e-4)


def test_captions_per_step_draws_real_captions() -> None:
    task, _ = made(captions_per_step=2)
    uneven = [EXAMPLES[0], EXAMPLES[1] | {"captions": EXAMPLES[1]["captions"][:1]}]
    x, y = one_batch(task.encode(uneven), [0, 1])
    transform = task.augmentation()
    assert transform is not None and changed(task, captions_per_step=0).augmentation() is None
    whole, drawn = y["captions"].numpy(), []
    for seed in range(20):
        part = transform(x, y, tf.constant([seed, 0]))[1]["captions"].numpy()
        width = part.shape[1]
        assert part.shape == (2, width, 2) and width in (8, 16)
        columns = [next(r for r in range(5) if (part[0, :, c] == whole[0, :width, r]).all()) for c in range(2)]
        assert len(set(columns)) == 2 and (part[1, :, 0] == whole[1, :width, 0]).all() and not part[1, :, 1].any()
        drawn += columns
    assert set(drawn) == set(range(5))


@pytest.mark.parametrize("option", ["context_gate", "context_recurrence", "word_detection"])
def test_options_reach_the_network(option: str) -> None:
    assert made(**{option: True})[1].count_params() > made()[1].count_params()


def test_word_detection_weighs_what_the_cells_say() -> None:
    task, model = made(word_detection=0.5)
    x, y = one_batch(task.encode(EXAMPLES[:3]), [0, 1, 2])
    plain, half, whole = (changed(task, word_detection=weight).loss(model, x, y)[0].numpy() for weight in (0, 0.5, 1))
    memory = task.memory(model, x, training=False)
    found = word_detection_loss(model.get_layer("detector")(memory.states), task.target_texts(y))
    np.testing.assert_allclose(half - plain, 0.5 * found, rtol=1e-4)
    np.testing.assert_allclose(whole - plain, found, rtol=1e-4)


def test_minimum_length_is_obeyed() -> None:
    task, model = made(min_tokens=7)
    x, _ = one_batch(task.encode(EXAMPLES[:4]), [0, 1, 2, 3])
    assert task.search(model, x).lengths.numpy().min() > 7


def test_words_and_maps_from_pieces() -> None:
    preprocessor = made()[0].preprocessor
    names = {name: i for i, name in enumerate(preprocessor.vocabulary.vocabulary)}
    tail = next(name for name in names if name.startswith("##"))
    tokens = np.array([names["red"], names["circle"], names[tail], EOS])
    attention = np.eye(9, dtype=np.float32)[[0, 4, 5, 6, 8]]
    words, maps = by_word(preprocessor, tokens, attention)
    assert words == ["red", "circle" + tail[2:]] and maps.shape == (2, 3, 3)
    assert maps[0, 0, 0] == 1 and maps[1, 1, 1] == maps[1, 1, 2] == 0.5
    assert by_word(preprocessor, tokens[:0], attention)[1].shape == (0, 3, 3)


def test_written_joins_clitics() -> None:
    task, _ = made()
    ids = task.preprocessor.vocabulary.encode(tf.constant(["a dog 's ball is n't his", "they 're in 'sight"]))
    texts = task.written(ids.to_tensor()).numpy()
    assert [t.decode() for t in texts] == ["a dog's ball isn't his", "they're in 'sight"]


def test_a_folder_stands_for_its_pictures(tmp_path: Path) -> None:
    for name in ("b.png", "a.txt", "c.jpg"):
        (tmp_path / name).write_bytes(EXAMPLES[0]["image"] if name != "c.jpg" else b"broken")
    (tmp_path / "notes.txt").write_text("no picture")
    raw = Captioning.parse([tmp_path, b"bytes", str(tmp_path / "b.png")])
    assert [Path(e["image"]).name if isinstance(e["image"], str) else e["image"] for e in raw] == [
        "a.txt",
        "b.png",
        "c.jpg",
        b"bytes",
        "b.png",
    ]
    assert [e["id"] for e in raw] == ["0", "1", "2", "3", "4"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"expected a folder with pictures .*, found none among 0 files"):
        Captioning.parse([str(tmp_path / "empty")])
    with pytest.raises(ValueError, match="input 1: expected a path or the bytes"):
        Captioning.parse([7])


def test_validation_tells_problems_from_notes() -> None:
    example = EXAMPLES[0] | {"captions": ["dogs", "a dog"], "where": "list:1"}
    found = facets(example)
    assert found.problem == "" and found.notes == ("train-0: the caption has only one word ('dogs')",)
    assert "is no picture" in facets(example | {"image": b"junk"}).problem
