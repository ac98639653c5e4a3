"""The list of data sets: complete, honest about what can be fetched, and usable by our own readers."""

import functools
import hashlib
import http.server
import subprocess
import sys
import tarfile
import threading

import pytest

from pipelines.cli.parser import run
from pipelines.data import catalogue
from pipelines.data.catalogue import SETS, Archive, DataSet, get, located


def test_the_list_names_every_set_with_its_terms(capsys):
    assert run(["data"]) == 0
    out = capsys.readouterr().out
    for name, one in SETS.items():
        assert name in out and one.licence in out and one.where in out and one.layout in out
        assert bool(one.archives) == bool(one.most_unpacked)
        assert all(archive.url.startswith("https://") and len(archive.sha256) == 64 for archive in one.archives)


def test_the_list_needs_no_tensorflow():
    program = (
        "import sys; from pipelines.__main__ import main\n"
        "assert main(['data']) == 0 and main(['data', 'imbd']) == 2 and main(['data', 'an4']) == 1\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "did you mean imdb?" in done.stderr and "an4 has to be fetched by hand" in done.stderr


@pytest.fixture
def served(tmp_path, monkeypatch):
    (tmp_path / "tree").mkdir()
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            folder = tmp_path / "tree" / split / label
            folder.mkdir(parents=True)
            for i in range(20):
                (folder / f"{i}_1.txt").write_text(f"{label} review {i}")
    (tmp_path / "served").mkdir()
    with tarfile.open(tmp_path / "served" / "reviews.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "tree", "reviews")
    content = (tmp_path / "served" / "reviews.tar.gz").read_bytes()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/reviews.tar.gz"
        archive = Archive(url, hashlib.sha256(content).hexdigest(), len(content))
        one = DataSet("sentiment", "", "", "", "", "", (archive,), "reviews", 10**6)
        monkeypatch.setitem(SETS, "reviews", one)
        yield tmp_path / "data"
        server.shutdown()


def test_a_fetched_set_can_be_opened_by_its_task(served, capsys):
    assert run(["data", "reviews", "--out", str(served)]) == 0
    path = capsys.readouterr().out.strip()
    assert path == str(served / "reviews" / "reviews")
    from pipelines import load_task

    task = load_task("sentiment")
    source = task.open_source(path, task.config_class())
    assert {row["label"] for row in source.read("test")} == {"positive", "negative"}
    assert get("reviews", served) == served / "reviews" / "reviews", "what is there is kept"


def test_named_sets_of_tensorflow_datasets_are_prepared(monkeypatch, capsys):
    from pipelines.data import tfds

    asked = []
    monkeypatch.setattr(tfds, "prepare", asked.append)
    assert catalogue.run("tfds:imdb_reviews") == 0
    assert asked == ["tfds:imdb_reviews"] and capsys.readouterr().out == "tfds:imdb_reviews\n"


def test_a_fetched_set_is_found_by_its_name(served, monkeypatch, capsys):
    monkeypatch.chdir(served.parent)
    with pytest.raises(ValueError, match=r"--data reviews: neither .* `pipelines data reviews` fetches it"):
        run(["validate", "sentiment", "--data", "reviews"])
    assert run(["data", "reviews"]) == 0
    assert run(["validate", "sentiment", "--data", "reviews"]) == 0
    assert "train" in capsys.readouterr().out
    assert located("reviews") == "data/reviews/reviews"
    assert located("reviews.csv") == "reviews.csv"
    (served.parent / "reviews").mkdir()
    assert located("reviews") == "reviews", "what lies here under that name comes first"


def test_a_set_without_an_address_is_told_from_a_wrong_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"--data an4: neither an4 nor data/an4 is here; `pipelines data` says where"):
        run(["train", "speech", "--data", "an4"])
