"""Reading word vectors: the rows that are wanted, both headers, and every kind of wrong file."""

import gzip

import numpy as np
import pytest

from pipelines.data.text.vectors import pieces_by_word, read_vectors
from pipelines.data.text.vocabulary import RESERVED

WORDS = pieces_by_word([*RESERVED, "film", "##film", "çok", "unseen"])


def write(tmp_path, text, name="v.txt"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_pieces_inside_words_share_the_vector():
    first = len(RESERVED)
    assert WORDS == {"film": [first, first + 1], "çok": [first + 2], "unseen": [first + 3]}


@pytest.mark.parametrize("header", ["", "4 3\n"])
@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz"])
def test_rows(tmp_path, header, name):
    text = f"{header}the 9 9 9\nfilm 1 2 -3e-1\n. . . 5 5 5\nçok 0 0.5 1\nfilm 7 7 7\n"
    ids, vectors = read_vectors(write(tmp_path, text, name), WORDS, 3)
    rows = dict(zip(ids.tolist(), vectors.tolist(), strict=True))
    first = len(RESERVED)
    assert sorted(rows) == [first, first + 1, first + 2]
    np.testing.assert_allclose(
        [rows[first], rows[first + 1], rows[first + 2]], [[1, 2, -0.3], [1, 2, -0.3], [0, 0.5, 1]]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2 3 4\nfilm 1 2 3 4\n", r"v\.txt:1: has 4 numbers, the embedding is 3 wide"),
        ("2 4\nfilm 1 2 3 4\n", r"v\.txt:2: has 4 numbers"),
        ("the 1 2\n", r"v\.txt:1: has 2 numbers, the embedding is 3 wide"),
        ("the 1 2 3\nfilm 1 x 3\n", r"v\.txt:2: expected a word and numbers"),
        ("film 1 nan 3\n", r"v\.txt:1: .*not finite"),
        ("the 1 2 3\n", r"v\.txt: holds none of the 3 pieces"),
        ("", "holds none"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_vectors(write(tmp_path, text), WORDS, 3)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="nowhere: there is no such file"):
        read_vectors(tmp_path / "nowhere", WORDS, 3)
    (tmp_path / "v.txt.gz").write_bytes(gzip.compress(b"film 1 2 3\n" * 100)[:-10])
    with pytest.raises(ValueError, match="cannot be read"):
        read_vectors(tmp_path / "v.txt.gz", WORDS, 3)


def test_a_training_begins_with_them(tmp_path, monkeypatch):
    from pipelines import train

    seen = {}

    def fit(trainer, encoded):
        seen["rows"] = trainer.model.get_layer("embedding").embeddings.numpy()
        raise RuntimeError("seen")

    monkeypatch.setattr("pipelines.training.loop.Trainer.fit", fit)
    vectors = write(tmp_path, "the 1 0 0 0\nending 0 2 0 0\n")
    settings = {"preset": "tiny", "limit": 64, "embedding_size": 4}
    with pytest.raises(RuntimeError, match="seen"):
        train("sentiment", run=tmp_path / "run", embeddings=str(vectors), **settings)
    pieces = (tmp_path / "run" / "vocabulary.txt").read_text("utf-8").split("\n")
    the = seen["rows"][pieces.index("the")]
    assert the[0] > 0 and not the[1:].any()
    assert seen["rows"][pieces.index("and")].all(), "what the file lacks stays random"
    with pytest.raises(ValueError, match="--embeddings nowhere: there is no such file"):
        train("sentiment", run=tmp_path / "other", embeddings="nowhere", **settings)
