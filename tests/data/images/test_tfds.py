"""Captioned pictures from tensorflow-datasets: prepared on disk and mocked, without the network."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from pipelines.data.images.tfds import open_named_pictures
from pipelines.data.source import Problem

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 10, 12, 3), np.uint8)


def prepared(home: Path, captions: object, data: object) -> None:
    tfds.dataset_builders.store_as_tfds_dataset(
        name="our_pictures",
        version="1.0.0",
        data_dir=home,
        split_datasets={"train": tf.data.Dataset.from_tensor_slices({"image": PIXELS, "captions": data})},
        features=tfds.features.FeaturesDict({"image": tfds.features.Image(), "captions": captions}),
        disable_shuffling=True,
    )


@pytest.mark.parametrize("layout", ["records", "texts", "one"])
def test_layouts_of_captions(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    texts = [["a dog", "one  dog"], ["a cat", "the cat"], ["42", " . "]]
    if layout == "records":
        feature = tfds.features.Sequence({"id": np.int64, "text": tfds.features.Text()})
        prepared(tmp_path, feature, {"id": np.arange(6).reshape(3, 2), "text": texts})
    elif layout == "texts":
        prepared(tmp_path, tfds.features.Sequence(tfds.features.Text()), texts)
    else:
        prepared(tmp_path, tfds.features.Text(), [group[0] for group in texts])
    problems: list[Problem] = []
    examples = list(open_named_pictures("tfds:our_pictures").read("train", problems.append))
    expected = [["a dog"], ["a cat"]] if layout == "one" else [["a dog", "one dog"], ["a cat", "the cat"]]
    assert [e["captions"] for e in examples] == expected
    assert len(problems) == 1 and "no word" in problems[0].reason, "one picture of three, whose captions are both bad"
    for example, pixels in zip(examples, PIXELS, strict=False):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(example["image"]))), pixels)


def test_coco_captions_mocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with tfds.testing.mock_data(num_examples=3):
        monkeypatch.setattr(tfds.core.DatasetBuilder, "is_prepared", lambda self: True)
        splits = tfds.core.SplitDict([tfds.core.SplitInfo(name="train", shard_lengths=[3], num_bytes=3)])
        monkeypatch.setattr(tfds.core.DatasetInfo, "splits", splits)
        examples = list(open_named_pictures("tfds:coco_captions").read("train", lambda problem: None))
    assert examples and all(e["image"].startswith(b"\x89PNG") and e["captions"] for e in examples)


def test_not_prepared_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=r"tfds:coco_captions: is not prepared in .* pipelines data"):
        open_named_pictures("tfds:coco_captions")
