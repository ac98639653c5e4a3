"""The validate command: what it prints, in both forms, and with which status it ends."""

import json

import pytest

from pipelines.cli.parser import run


@pytest.fixture
def data(tmp_path):
    rows = [f"text number {i},{'up' if i % 2 else 'down'}" for i in range(60)]
    (tmp_path / "all.csv").write_text("\n".join(["words,label", *rows, ",up"]) + "\n")
    return tmp_path / "all.csv"


def test_good_data(data, capsys):
    assert run(["validate", "sentiment", "--data", str(data), "--text-column", "words"]) == 0
    out, errors = capsys.readouterr()
    assert f"{data}:62: the text is empty" in out and "label down" in out
    assert errors.count("cut from the only file") == 1
    assert errors.startswith("train, validation and test are cut from the only file of")


def test_json_lines(data, capsys):
    data.write_text(data.read_text() + ",up\n" * 10)
    assert run(["validate", "sentiment", "--data", str(data), "--text-column=words", "--json"]) == 1
    *problems, report = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(problems) == 11 and all(set(p) == {"split", "where", "reason"} for p in problems)
    assert len(report["refusals"]) >= 1 and "cannot be used" in report["refusals"][0]


def test_built_in_data(capsys):
    assert run(["validate", "sentiment"]) == 0
    assert "train: 4000 examples, 0 unusable" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sentiment", "--data", "nowhere"], "no such file"),
        (["sentimant"], "there is no task 'sentimant'"),
        (["sentiment", "--jason"], "unknown argument --jason"),
    ],
)
def test_wrong_requests(arguments, message):
    with pytest.raises(ValueError, match=message):
        run(["validate", *arguments])


def test_a_missing_column_is_named(data):
    with pytest.raises(ValueError, match="no column for text"):
        run(["validate", "sentiment", "--data", str(data)])
