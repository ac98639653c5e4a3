import json

import pytest

from pipelines.data.audio.layouts import open_recordings


def wrong(problems):
    return lambda problem: problems.append(f"{problem.where}: {problem.reason}")


def rows(source, split, problems=None):
    return list(source.read(split, wrong([] if problems is None else problems)))


def test_a_manifest_with_a_split_column(tmp_path):
    table = tmp_path / "transcripts.tsv"
    table.write_text(
        'split\tutt\tfile\tspeaker\ttext\ntrain\tu1\ttrain/u1.flac\tann\tYES "NO"\ntest\tu2\t/data/u2.wav\tbob\tGO\n'
    )
    source = open_recordings(str(tmp_path))
    assert set(source.readers) == {"train", "test"}
    (first,) = rows(source, "train")
    assert first["audio"] == str(tmp_path / "train/u1.flac") and first["speaker"] == "ann"
    assert first["text"] == 'YES "NO"' and first["where"] == f"{table}:2"
    assert rows(source, "test")[0]["audio"] == "/data/u2.wav"


def test_named_columns_and_rows_that_lack_something(tmp_path):
    lines = [{"clip": "a.wav", "words": "one"}, {"clip": "", "words": "two"}, {"clip": "b.wav", "words": None}]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    problems = []
    source = open_recordings(str(tmp_path / "train.jsonl"), {"audio": ("clip",), "text": ("words",)})
    assert [row["text"] for row in rows(source, "train", problems)] == ["one"]
    assert "speaker" not in rows(source, "train")[0]
    assert problems == [
        f"{tmp_path}/train.jsonl:2: has no audio",
        f"{tmp_path}/train.jsonl:3: has no text",
    ]
    with pytest.raises(ValueError, match=r"no column for audio.*clip"):
        rows(open_recordings(str(tmp_path / "train.jsonl")), "train")


def test_the_tree_of_ljspeech(tmp_path):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "metadata.csv").write_text("LJ1|Dr. No, 1.|Doctor No, one.\nbroken\nLJ2|Plain\n")
    problems = []
    source = open_recordings(str(tmp_path))
    found = rows(source, "all", problems)
    assert [(row["id"], row["text"]) for row in found] == [("LJ1", "Doctor No, one."), ("LJ2", "Plain")]
    assert found[0]["audio"] == str(tmp_path / "wavs/LJ1.wav")
    assert problems == [f"{tmp_path}/metadata.csv:2: expected ID|text|normalised text, came 1 fields"]


def test_the_tree_of_librispeech(tmp_path):
    for split, name in [("train-clean-100", "19-198"), ("dev-clean", "84-121123")]:
        chapter = tmp_path / split / name.replace("-", "/")
        chapter.mkdir(parents=True)
        (chapter / f"{name}.trans.txt").write_text(f"{name}-0000 GO ON\n{name}-0001 STOP\n{name}-0002\n")
        (chapter / f"{name}-0000.flac").write_bytes(b"")
    problems = []
    source = open_recordings(str(tmp_path))
    first, second = rows(source, "train", problems)
    assert first == {
        "id": "19-198-0000",
        "where": f"{tmp_path}/train-clean-100/19/198/19-198.trans.txt:1",
        "audio": str(tmp_path / "train-clean-100/19/198/19-198-0000.flac"),
        "text": "GO ON",
        "speaker": "19",
    }
    assert second["text"] == "STOP" and len(problems) == 1
    assert rows(source, "validation")[0]["speaker"] == "84"


def test_bytes_that_are_no_utf8_cost_their_line_of_a_tree(tmp_path):
    (tmp_path / "lj" / "wavs").mkdir(parents=True)
    (tmp_path / "lj" / "metadata.csv").write_bytes(b"LJ1|One\nLJ2|caf\xff\nLJ3|Three\n")
    chapter = tmp_path / "libri" / "train-clean-100" / "19" / "198"
    chapter.mkdir(parents=True)
    (chapter / "19-198.trans.txt").write_bytes(b"19-198-0000 GO\n19-198-0001 ST\xffOP\n19-198-0002 ON\n")
    for folder, split in (("lj", "all"), ("libri", "train")):
        problems = []
        assert len(rows(open_recordings(str(tmp_path / folder)), split, problems)) == 2
        assert len(problems) == 1 and problems[0].endswith(":2: the text is not valid UTF-8")


def test_the_tree_of_common_voice(tmp_path):
    (tmp_path / "clips").mkdir()
    for split in ("train", "dev", "other"):
        (tmp_path / f"{split}.tsv").write_text(f"client_id\tpath\tsentence\tup_votes\nc1\t{split}.mp3\tMerhaba!\t2\n")
    source = open_recordings(str(tmp_path))
    assert set(source.readers) == {"train", "dev"}
    (row,) = rows(source, "validation")
    assert row["audio"] == str(tmp_path / "clips/dev.mp3")
    assert (row["text"], row["speaker"]) == ("Merhaba!", "c1")


def test_other_data_has_another_fingerprint(tmp_path):
    table = tmp_path / "train.csv"
    prints = set()
    for text in ("one", "two"):
        table.write_text(f"path,text\na.wav,{text}\n")
        prints.add(open_recordings(str(table)).fingerprint)
    assert len(prints) == 2


def test_what_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file or folder"):
        open_recordings(str(tmp_path / "missing"))
    with pytest.raises(ValueError, match=r"expected a \.csv"):
        open_recordings(str(tmp_path))
