import gzip
import os

import pytest

from pipelines.data.source import Problem
from pipelines.data.text.layouts import open_classes, open_parallel


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


def test_pairs_come_in_either_direction_with_their_line(tmp_path):
    spec = write(tmp_path, train_en="a\nb\n", train_de="x\ny\n", val_en="c\n", val_de="z\n")
    there, back = open_parallel(spec, "en", "de"), open_parallel(spec, "de", "en")
    assert [(e["source"], e["target"], e["id"]) for e in there.read("train")] == [
        ("a", "x", "train:1"),
        ("b", "y", "train:2"),
    ]
    assert [(e["source"], e["target"]) for e in back.read("validation")] == [("z", "c")]
    assert next(iter(there.read("train")))["where"] == f"{tmp_path}/train.en:1"
    assert there.fingerprint == back.fingerprint != open_parallel(write(tmp_path, val_en="d\n"), "en", "de").fingerprint


def test_only_a_line_feed_ends_a_line(tmp_path):
    spec = write(tmp_path, train_en="a\rb\u2028c\nd\r\n", train_de="x\ny")
    assert [(e["source"], e["target"]) for e in open_parallel(spec, "en", "de").read("train")] == [
        ("a\rb\u2028c", "x"),
        ("d", "y"),
    ]


def test_packed_files_and_a_byte_order_mark(tmp_path):
    (tmp_path / "train.en.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfa\n"))
    spec = write(tmp_path, train_de="x\n")
    assert [(e["source"], e["target"]) for e in open_parallel(spec, "en", "de").read("train")] == [("a", "x")]


def test_invalid_bytes_cost_their_pair_and_no_other(tmp_path):
    spec = write(tmp_path, train_en=b"a\nb\n\xff\n\xff\nc\n", train_de=b"x\n\xff\ny\n\xff\nz\n")
    problems: list[Problem] = []
    pairs = [(e["source"], e["target"]) for e in open_parallel(spec, "en", "de").read("train", problems.append)]
    assert pairs == [("a", "x"), ("c", "z")]
    assert [p.where.rsplit("/", 1)[1] for p in problems] == ["train.de:2", "train.en:3", "train.en:4"]
    assert {p.reason for p in problems} == {"the text is not valid UTF-8"}


def test_uneven_files_are_refused_with_both_counts(tmp_path):
    spec = write(tmp_path, train_en="a\nb\nc\n", train_de="x\ny\n")
    with pytest.raises(ValueError, match=r"train\.en 3 and train\.de 2"):
        list(open_parallel(spec, "en", "de").read("train"))


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        (("en", "fr"), r"--target fr: .* has files in de, en"),
        (("source", "de"), r"--source source: .* has files in de, en"),
        (("de", "de"), "two different languages"),
    ],
)
def test_a_wrong_language_is_named(tmp_path, languages, message):
    with pytest.raises(ValueError, match=message):
        open_parallel(write(tmp_path, train_en="a\n", train_de="x\n"), *languages)


@pytest.mark.parametrize(("languages", "missing"), [(("en", "de"), "--target de"), (("de", "en"), "--source de")])
@pytest.mark.parametrize("others", [{}, {"train_csv": "en,de\na,b\n"}, {"README_md": "x"}])
def test_one_side_alone_is_told_what_it_lacks(tmp_path, languages, missing, others):
    with pytest.raises(ValueError, match=rf"{missing}: expected files SPLIT\.de; .* has files in en(, md)?$"):
        open_parallel(write(tmp_path, train_en="a\n", **others), *languages)


def test_the_only_pair_of_files_is_cut_unless_it_is_a_split(tmp_path):
    source = open_parallel(write(tmp_path, **{"Books.en-fr_en": "a\n", "Books.en-fr_fr": "x\n"}), "en", "fr")
    assert [(e["id"], e["source"], e["target"]) for e in source.read("all")] == [("Books.en-fr:1", "a", "x")]
    (tmp_path / "Books.en-fr.en").rename(tmp_path / "train.en")
    (tmp_path / "Books.en-fr.fr").rename(tmp_path / "train.fr")
    assert set(open_parallel(str(tmp_path), "en", "fr").readers) == {"train"}


def test_splits_without_partner_are_named_and_left_out(tmp_path, capsys):
    spec = write(tmp_path, train_en="a\n", train_de="x\n", val_de="y\n", test_2016_en="b\n")
    (tmp_path / "test_2017.en").write_text("c\n")
    (tmp_path / "test_2017.de").write_text("z\n")
    source = open_parallel(spec, "en", "de")
    assert set(source.readers) == {"train", "test_2017"}
    told = capsys.readouterr().err
    assert "left out: test.2016.en has no partner test.2016.de, val.de has no partner val.en" in told
    assert [e["source"] for e in source.read("test")] == ["c"]
    for asked in ("val", "validation", "test.2016"):
        with pytest.raises(ValueError, match=r"no split .* has no partner .*; there are: test_2017, train"):
            source.read(asked)


def test_a_folder_in_which_no_split_has_both_sides_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"train\.en has no partner train\.de; val\.de has no partner val\.en"):
        open_parallel(write(tmp_path, train_en="a\n", val_de="y\n"), "en", "de")


def test_what_cannot_be_read_is_named(tmp_path):
    spec = write(tmp_path, train_en="a\n")
    (tmp_path / "train.de").symlink_to("nowhere")
    with pytest.raises(ValueError, match=r"train\.de: is a link to nowhere, which is not there"):
        open_parallel(spec, "en", "de")
    (tmp_path / "train.de").unlink()
    os.mkfifo(tmp_path / "train.de")
    with pytest.raises(ValueError, match=r"train\.de: expected a file, found a pipe"):
        open_parallel(spec, "en", "de")


def tree(folder):
    for name in ("pos", "neg"):
        (folder / name).mkdir()
        for i in range(3):
            (folder / name / f"{i}.txt").write_text(f"{name} {i}")
    return folder


def test_a_text_that_cannot_be_read_is_a_bad_row_among_others(tmp_path):
    folder = tree(tmp_path)
    (folder / "pos" / "gone.txt").symlink_to("nowhere")
    (folder / "pos" / "zero.txt").symlink_to("/dev/zero")
    os.mkfifo(folder / "neg" / "pipe.txt")
    (folder / "neg" / "latin.txt").write_bytes(b"\xe4\n")
    problems: list[Problem] = []
    assert len(list(open_classes(str(folder)).read("all", problems.append))) == 6
    assert [(p.where.rsplit("/", 1)[1], p.reason) for p in problems] == [
        ("latin.txt:1", "the text is not valid UTF-8"),
        ("pipe.txt:1", "expected a file, found a pipe"),
        ("gone.txt:1", "is a link to nowhere, which is not there"),
        ("zero.txt:1", "expected a file, found a device"),
    ]


def test_what_is_no_text_in_a_tree_is_named(tmp_path, capsys):
    folder = tree(tmp_path)
    (folder / "pos" / "a.html").write_text("a")
    (folder / "pos" / "more").mkdir()
    open_classes(str(folder))
    assert f"{folder}/pos: 2 files passed over (a.html, more); expected texts called .txt" in capsys.readouterr().err


def test_what_is_no_parallel_folder_is_left_to_others(tmp_path):
    assert (
        open_parallel(write(tmp_path, train_csv="source,target\na,b\n", test_csv="source,target\n"), "a", "b") is None
    )
    assert open_parallel(str(tmp_path / "nowhere"), "a", "b") is None
    beside = write(tmp_path, README_md="x", LICENSE_txt="x")
    assert open_parallel(beside, "source", "target") is None
    (tmp_path / "train.csv").unlink(), (tmp_path / "test.csv").unlink()
    with pytest.raises(ValueError, match=r"--source a: expected files SPLIT\.a; .* has files in md, txt"):
        open_parallel(beside, "a", "b")


def test_a_packed_twin_is_named(tmp_path):
    (tmp_path / "train.en").write_text("new\n")
    (tmp_path / "train.de").write_text("neu\n")
    (tmp_path / "train.en.gz").write_bytes(gzip.compress(b"old\n"))
    with pytest.raises(ValueError, match=r"train\.en and train\.en\.gz hold the same split"):
        open_parallel(str(tmp_path), "en", "de")
    (tmp_path / "train.en.gz").rename(tmp_path / "train.fr.gz")
    (tmp_path / "train.fr").write_text("une\n")
    assert open_parallel(str(tmp_path), "en", "de") is not None, "of another language"
