"""The campaign of `test_bad_input`: bad requests, settings, files and runs, and with which status each must end.

A case is a function ``(folder, run) -> arguments``: it spoils something in ``folder``, or in ``run``, its own copy of a
trained run. A task extends the campaign by adding its own cases to ``CASES``.
"""

import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.runs.folder import MANIFEST, sha256

Case = Callable[[Path, Path], list[str]]
TINY = ["--preset", "tiny"]
GOOD = "text,label\n" + "".join(f"review {i} is {'good' if i % 2 else 'bad'},{i % 2}\n" for i in range(80))


def plain(*arguments: str) -> Case:
    """A request that is wrong by itself; {run} and {folder} are filled in."""
    return lambda folder, run: [a.format(run=run, folder=folder) for a in arguments]


def data(content: str | bytes, name: str = "data.csv", command: str = "train") -> Case:
    """Train on a file with this content."""

    def case(folder: Path, run: Path) -> list[str]:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        settings = [*TINY, "--run", str(folder / "new")] if command == "train" else []
        return [command, "sentiment", "--data", str(path), *settings]

    return case


def tree(**files: str | bytes | None) -> Case:
    """Train on a folder with these files; ``__`` stands for a dot, None for a folder."""

    def case(folder: Path, run: Path) -> list[str]:
        home = folder / "data"
        home.mkdir()
        for name, content in files.items():
            path = home / name.replace("__", ".")
            if content is None:
                path.mkdir()
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["train", "sentiment", "--data", str(home), *TINY, "--run", str(folder / "new")]

    return case


def spoiled(name: str, change: Callable[[bytes], bytes], signed: bool = False, *command: str) -> Case:
    """Use a run of which one file is changed; ``signed``: the manifest is written anew, as an attacker would."""

    def case(folder: Path, run: Path) -> list[str]:
        file = run / name
        file.write_bytes(change(file.read_bytes()))
        if signed:
            manifest = json.loads((run / MANIFEST).read_text())
            manifest["files"][name] = sha256(file)
            (run / MANIFEST).write_text(json.dumps(manifest))
        return [a.format(run=run, folder=folder) for a in command] or ["predict", str(run), "a good film"]

    return case


def removed(*names: str) -> Case:
    """Use a run that lacks files."""

    def case(folder: Path, run: Path) -> list[str]:
        for name in names:
            (run / name).unlink()
        return ["predict", str(run), "a good film"]

    return case


def config(content: str | bytes) -> Case:
    """Train with a settings file of this content."""

    def case(folder: Path, run: Path) -> list[str]:
        path = folder / "settings.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["train", "sentiment", "--config", str(path), "--run", str(folder / "new")]

    return case


def edited(**changes: Any) -> Callable[[bytes], bytes]:
    """Change keys of a JSON file."""
    return lambda content: json.dumps(json.loads(content) | changes).encode()


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


REQUESTS = {
    "no such command": plain("trian", "sentiment"),
    "no such task": plain("train", "sentimant"),
    "no such option": plain("train", "sentiment", "--epoch", "3"),
    "option without value": plain("train", "sentiment", "--epochs"),
    "words for a number": plain("train", "sentiment", "--epochs", "many"),
    "zero epochs": plain("train", "sentiment", "--epochs", "0"),
    "negative rate": plain("train", "sentiment", "--learning-rate", "-1"),
    "rate nan": plain("train", "sentiment", "--learning-rate", "nan"),
    "dropout one": plain("train", "sentiment", "--dropout", "1"),
    "no such cell": plain("train", "sentiment", "--cell", "lstmm"),
    "no such preset": plain("train", "sentiment", "--preset", "huge"),
    "negative limit": plain("train", "sentiment", "--limit", "-5"),
    "no data": plain("train", "sentiment", "--data", "{folder}/nowhere", "--run", "{folder}/new"),
    "data is empty text": plain("train", "sentiment", "--data", "", "--run", "{folder}/new"),
    "data is the run": plain("train", "sentiment", "--data", "{run}", "--run", "{folder}/new"),
    "named set without name": plain("validate", "sentiment", "--data", "tfds:"),
    "named set that climbs": plain("validate", "sentiment", "--data", "tfds:../../etc"),
    "run is a file": plain("train", "sentiment", "--run", "{run}/config.json"),
    "run is another folder": plain("train", "sentiment", "--run", "/usr"),
    "init is no run": plain("train", "sentiment", "--init", "{folder}"),
    "init does not fit": plain("train", "sentiment", "--init", "{run}", "--units", "9", "--run", "{folder}/new"),
    "resume with other settings": plain("train", "sentiment", "--run", "{run}", "--units", "9"),
    "no such vectors": plain("train", "sentiment", *TINY, "--embeddings", "{folder}/v", "--run", "{folder}/new"),
    "evaluate nothing": plain("evaluate", "{folder}/nowhere"),
    "evaluate a folder": plain("evaluate", "{folder}"),
    "evaluate no such split": plain("evaluate", "{run}", "--split", "tset"),
    "evaluate into a file": plain("evaluate", "{run}", "--out", "{run}/config.json"),
    "evaluate against nothing": plain("evaluate", "{run}", "--against", "{folder}/nowhere", "--out", "{folder}/out"),
    "predict nothing": plain("predict", "{run}"),
    "predict no such file": plain("predict", "{run}", "--file", "{folder}/nowhere"),
    "predict with a folder": plain("predict", "{folder}", "text"),
    "predict odd texts": plain("predict", "{run}", "", " ", "\ud800", "a\tb\nc", "x" * 100_000),
    "explain into nowhere": plain("explain", "{run}", "text", "--out", "{folder}/no/x.png"),
    "explain into a folder": plain("explain", "{run}", "text", "--out", "{folder}"),
    "explain without out": plain("explain", "{run}", "text"),
    "export to another format": plain("export", "{run}", "--format", "onyx"),
    "export nothing": plain("export", "{folder}"),
    "export into a file": plain("export", "{run}", "--out", "{run}/config.json"),
    "fetch no such set": plain("data", "imbd"),
}
SETTINGS = {
    "settings that are no JSON": config("epochs: 3"),
    "settings that are a list": config("[1, 2]"),
    "settings of another name": config('{"epoch": 3}'),
    "settings of another kind": config('{"epochs": "three"}'),
    "settings that are binary": config(b"\xff\xfe\x00"),
    "settings nested too deep": config("[" * 100_000),
    "no settings": plain("train", "sentiment", "--config", "{folder}/nowhere.json"),
    "settings are a folder": plain("train", "sentiment", "--config", "{folder}"),
}
FILES = {
    "empty": data(""),
    "header alone": data("text,label\n"),
    "no label column": data("text\na\nb\n"),
    "no text column": data("txet,label\na,1\n"),
    "one label": data("text,label\n" + "good,up\n" * 50),
    "empty labels": data("text,label\n" + "good,\n" * 50),
    "empty texts": data("text,label\n" + ",up\n,down\n" * 20),
    "ragged rows": data("text,label\n" + "a,b,c,up\n" * 30),
    "open quote": data(GOOD + '"never closed,1\n' + GOOD),
    "nul bytes": data(GOOD.replace("good", "go\0od")),
    "utf-16": data(GOOD.encode("utf-16")),
    "latin-1": data(GOOD.replace("good", "schön").encode("latin-1")),
    "noise": data(os.urandom(5000)),
    "picture": data(b"\x89PNG\r\n\x1a\n" + os.urandom(500), "data.png"),
    "mark and carriage returns": data(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()),
    "huge field": data(GOOD + "a" * 20_000_000 + ",1\n"),
    "the same column twice": data(GOOD.replace("text,label", "text,text")),
    "no JSON": data("{'text': 1}\n" * 30, "data.jsonl"),
    "JSON arrays": data("[1, 2]\n" * 30, "data.jsonl"),
    "JSON with objects as text": data('{"text": {"a": 1}, "label": 1}\n' * 30, "data.jsonl"),
    "JSON with nulls": data('{"text": null, "label": null}\n' * 30, "data.jsonl"),
    "JSON nested too deep": data('{"text": ' + "[" * 100_000, "data.jsonl"),
    "JSON with lone surrogates": data(
        '{"text": "a \\ud800 b", "label": 1}\n{"text": "c", "label": 0}\n' * 40, "data.jsonl"
    ),
    "JSON with lists as labels": data('{"text": "a", "label": [1]}\n{"text": "b", "label": [2]}\n' * 30, "data.jsonl"),
    "JSON with huge numbers as labels": data(
        '{"text": "a", "label": 1e999}\n{"text": "b", "label": 1}\n' * 30, "data.jsonl"
    ),
    "tabs that are commas": data(GOOD, "data.tsv"),
    "cut gzip": data(gzip.compress(GOOD.encode())[:-20], "data.csv.gz"),
    "no gzip": data(GOOD, "data.csv.gz"),
    "cut xz": data(lzma.compress(GOOD.encode())[:-20], "data.csv.xz"),
    "no xz": data(GOOD, "data.csv.xz"),
    "validate noise": data(os.urandom(5000), command="validate"),
    "validate a cut gzip": data(gzip.compress(GOOD.encode())[:-20], "data.csv.gz", "validate"),
    "empty folder": tree(),
    "test alone": tree(test__csv=GOOD),
    "a folder named as a file": tree(train__csv=None),
    "the same split twice": tree(train__csv=GOOD, train__tsv=GOOD.replace(",", "\t")),
    "labels that train lacks": tree(train__csv=GOOD, validation__csv=GOOD.replace(",1", ",up").replace(",0", ",down")),
    "empty validation": tree(train__csv=GOOD, validation__csv="text,label\n"),
}
RUNS = {
    "changed weights": spoiled("model.weights.h5", lambda c: c[:-1] + bytes([c[-1] ^ 1])),
    "half of the weights": spoiled("model.weights.h5", half),
    "half of the weights, signed": spoiled("model.weights.h5", half, True),
    "noise as weights, signed": spoiled("model.weights.h5", lambda c: os.urandom(5000), True),
    "changed vocabulary": spoiled("vocabulary.txt", half),
    "half of the vocabulary, signed": spoiled("vocabulary.txt", half, True),
    "noise as vocabulary, signed": spoiled("vocabulary.txt", lambda c: os.urandom(5000), True),
    "a piece less, signed": spoiled("vocabulary.txt", lambda c: c[: c[:-1].rindex(b"\n") + 1], True),
    "labels that are no JSON, signed": spoiled("labels.json", lambda c: b"{", True),
    "labels that are a list, signed": spoiled("labels.json", lambda c: b"[]", True),
    "a label more, signed": spoiled("labels.json", edited(third=1), True),
    "changed settings": spoiled("config.json", edited(task="translation")),
    "unknown task, signed": spoiled("config.json", edited(task="nothing"), True),
    "settings of a later version, signed": spoiled("config.json", edited(config={"later": 1}), True),
    "settings without task, signed": spoiled("config.json", lambda c: b"{}", True),
    "settings that are a list, signed": spoiled("config.json", lambda c: b"[]", True),
    "manifest that is no JSON": spoiled(MANIFEST, half),
    "manifest that is a list": spoiled(MANIFEST, lambda c: b"[]"),
    "manifest of a later version": spoiled(MANIFEST, edited(format=999)),
    "no manifest": removed(MANIFEST),
    "no weights": removed("model.weights.h5"),
    "no vocabulary": removed("vocabulary.txt"),
    "resume a changed state": spoiled("state.npz", half, False, "train", "sentiment", *TINY, "--run", "{run}"),
}
CASES = REQUESTS | SETTINGS | FILES | RUNS
ANSWERED = ("nul bytes", "utf-16", "mark and carriage returns", "huge field")
"""Cases that are odd and not wrong."""
FAILED = ("predict odd texts",)
"""Cases in which not all of the work can be done: one of the odd texts is none."""


def status(name: str) -> int:
    """The status with which a case ends: as a rule that of a wrong request."""
    return 0 if name in ANSWERED else 1 if name in FAILED else 2
