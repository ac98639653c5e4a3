"""Files of language models as they come: compressed and damaged, in the home folder, from an editor with a mark."""

import gzip

import pytest

from pipelines.search.ngram import build, load

ARPA = "\\data\\\nngram 1=2\n\n\\1-grams:\n-0.5\t</s>\n-0.25\ta\n\n\\end\\\n"


def test_a_damaged_archive_is_one_sentence(tmp_path):
    header = gzip.compress(ARPA.encode(), mtime=0)[:10]
    (tmp_path / "a.arpa.gz").write_bytes(header + b"\xff" * 20)  # a kind of block that there is not
    with pytest.raises(ValueError, match=r"a\.arpa\.gz: cannot be read: .* invalid block type"):
        load(tmp_path / "a.arpa.gz")
    with pytest.raises(ValueError, match=r"a\.arpa\.gz: cannot be read: "):
        build(tmp_path / "a.arpa.gz", tmp_path / "b.arpa")


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
    """`--lm ~/a.arpa` was found by the check of the command line, and not by what opens it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.arpa").write_text(ARPA)
    assert load("~/a.arpa").logs == {("</s>",): -0.5, ("a",): -0.25}
    (tmp_path / "a.txt").write_text("a a\n")
    assert load(build("~/a.txt", "~/b.arpa", 1)).order == 1
    with pytest.raises(ValueError, match=r"none\.arpa: there is no such file"):
        load("~/none.arpa")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.arpa").write_text(ARPA, "utf-8-sig")
    assert ("a",) in load(tmp_path / "a.arpa").logs
    (tmp_path / "a.txt").write_text("one two\n", "utf-8-sig")
    written = build(tmp_path / "a.txt", tmp_path / "b.arpa", 1)
    assert ("one",) in load(written).logs and not written.read_bytes().startswith(b"\xef\xbb\xbf")
