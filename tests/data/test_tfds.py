"""Named data sets without the network: small sets prepared on disk, mocked ones, and none at all."""

import socket
import subprocess
import sys
import time

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines.data import tfds as named
from pipelines.data.source import refuse

COLUMNS = {"text": ("text", "sentence"), "label": ("label",)}
IMDB = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["neg", "pos"])}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


def prepared(home, name, features, **splits):
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        data_dir=home,
        split_datasets={k: tf.data.Dataset.from_tensor_slices(v) for k, v in splits.items()},
        features=tfds.features.FeaturesDict(features),
        disable_shuffling=True,
    )


def test_a_set_prepared_on_disk(home):
    train = {"text": ["good", "çok kötü", ""], "label": [1, 0, 1]}
    prepared(
        home,
        "our_reviews",
        IMDB,
        train=train,
        test={"text": ["x"], "label": [0]},
        unsupervised={"text": ["?"], "label": [-1]},
    )
    source = named.open_named("tfds:our_reviews", COLUMNS)
    assert set(source.readers) == {"test", "train"}
    rows = list(source.read("train", refuse))
    assert [(row["text"], row["label"]) for row in rows] == [
        ("good", "positive"),
        ("çok kötü", "negative"),
        ("", "positive"),
    ]
    assert rows[1]["where"] == "tfds:our_reviews train:2" and rows[1]["id"] == "train:2"
    again = named.open_named("tfds:our_reviews:1.0.0", COLUMNS)
    assert again.fingerprint == source.fingerprint and next(iter(again.read("train")))["text"] == "good"


def test_names_that_are_numbers_stay_numbers(home):
    features = IMDB | {"label": tfds.features.ClassLabel(names=["1", "2"])}
    prepared(home, "stars", features, train={"text": ["a", "b"], "label": [0, 1]})
    assert [row["label"] for row in named.open_named("tfds:stars", COLUMNS).read("train")] == [0, 1]


def test_features_by_name(home):
    features = {"quote": tfds.features.Text(), "mood": tfds.features.Scalar(tf.int64)}
    prepared(home, "quotes", features, train={"quote": ["a"], "mood": tf.constant([7], tf.int64)})
    with pytest.raises(ValueError, match=r"no feature for text \(one of: text, sentence\); there are: mood, quote"):
        named.open_named("tfds:quotes", COLUMNS)
    (row,) = named.open_named("tfds:quotes", {"text": ("quote",), "label": ("mood",)}).read("train")
    assert (row["text"], row["label"]) == ("a", 7)
    (row,) = named.open_named("tfds:quotes", COLUMNS | {"text": ("quote",)}, optional=("label",)).read("train")
    assert "label" not in row


@pytest.mark.parametrize("name", ["imdb_reviews", "glue/sst2", "yelp_polarity_reviews"])
def test_known_sets_have_the_features_that_are_read(name, monkeypatch):
    with tfds.testing.mock_data(num_examples=4):
        monkeypatch.setattr(tfds.core.DatasetBuilder, "is_prepared", lambda self: True)
        splits = tfds.core.SplitDict([tfds.core.SplitInfo(name="train", shard_lengths=[4], num_bytes=4)])
        monkeypatch.setattr(tfds.core.DatasetInfo, "splits", splits)
        rows = list(named.open_named(f"tfds:{name}", COLUMNS).read("train"))
    assert len(rows) == 4 and all(isinstance(row["text"], str) for row in rows)
    assert {row["label"] for row in rows} <= ({0, 1} if "yelp" in name else {"negative", "positive"})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tfds:imdb_reviews", r"is not prepared in .*; prepare it with: pipelines data tfds:imdb_reviews"),
        ("tfds:imdb_review", r"knows no imdb_review, .*did you mean imdb_reviews\?"),
        ("tfds:glue/sst9", "cannot be opened"),
        ("tfds:huggingface:imdb", "expected tfds:NAME"),
        ("tfds:", "expected tfds:NAME"),
        ("tfds:../etc", "expected tfds:NAME"),
    ],
)
def test_what_is_not_there_is_said_soon_and_without_the_network(spec, message, monkeypatch):
    def refused(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    begin = time.monotonic()
    with pytest.raises(ValueError, match=message) as caught:
        named.open_named(spec, COLUMNS)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begin < 3


def test_preparing_without_a_network_is_one_sentence(monkeypatch, home):
    def refused(*_, **__):
        raise OSError("no route to host\nlong story")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refused)
    with pytest.raises(RuntimeError, match=r"^tfds:imdb_reviews: cannot be prepared: OSError: no route to host$"):
        named.prepare("tfds:imdb_reviews")
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", lambda self: None)
    assert named.prepare("tfds:imdb_reviews") == home / "imdb_reviews" / "plain_text" / "1.0.0"


def test_a_task_reads_a_named_set(home):
    from pipelines import load_task

    task = load_task("sentiment")
    rows = {"text": [f"text {i}" for i in range(40)], "label": [0, 1] * 20}
    prepared(home, "our_reviews", IMDB, train=rows, test={"text": ["x"], "label": [0]})
    source = task.open_source("tfds:our_reviews", task.config_class())
    train, validation = (list(source.read(split)) for split in ("train", "validation"))
    assert len(train) + len(validation) == 40 and validation
    assert {row["label"] for row in train} == {"negative", "positive"}


def test_the_command_line_refuses_before_tensorflow_is_imported(home):
    program = (
        "import sys; from pipelines.__main__ import main\n"
        "assert main(['validate', 'sentiment', '--data', 'tfds:imdb_reviews']) == 2\n"
        "assert main(['train', 'sentiment', '--data', 'tfds:imdb_reviews']) == 2\n"
        "assert not {'tensorflow', 'tensorflow_datasets'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.count("prepare it with: pipelines data tfds:imdb_reviews") == 2
