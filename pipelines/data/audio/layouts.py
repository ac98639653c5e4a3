"""Raw examples of recordings with transcripts: manifests, and the trees of LJSpeech, LibriSpeech and Common Voice.

An example is ``{"id", "where", "audio" (a path), "text"}`` and, where the data names them, ``"speaker"``. That of a
table has the path as it stands there under ``"recording"``, because its id may be no more than the number of its line.
Files are not opened here: reading happens where recordings are encoded, many at a time.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from functools import partial
from os.path import exists, expanduser, normpath  # of Path, some raise where there is no such user, or a name is long
from pathlib import Path

from pipelines.data.source import Example, Joined, OnProblem, Problem, Reader, Source, distinct
from pipelines.data.tables import Columns, broken, fingerprint, lines, open_tables, table_reader

COLUMNS: dict[str, tuple[str, ...]] = {
    "audio": ("path", "file", "audio", "wav", "audio_path", "audio_filepath", "filename", "file_name"),
    "text": ("text", "transcript", "sentence", "transcription", "normalized_text"),
    "speaker": ("speaker", "speaker_id", "client_id"),
}
_OFFSET = ("offset", "start", "start_time")
_NOT_ZERO = re.compile(r"[-+]?[\d:.]*[1-9][\d:.]*([eE][-+]?\d+)?")
"""A number, or a time of the form 00:01:30, other than zero; a date and the words of a transcript are none."""
COMMON_VOICE = ("train", "dev", "test")
SOUND = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".au")


def open_recordings(spec: str, columns: Columns | None = None) -> Source:
    """Open a corpus folder in one of the known layouts, else a manifest (CSV, TSV, JSON lines).

    Args:
        spec: the folder, or the manifest file; audio paths in a manifest are relative to it, or to ``clips`` or
            ``wavs`` beside it.
        columns: names of the columns for ``audio``, ``text`` and ``speaker``, instead of the usual ``COLUMNS``.

    Raises:
        ValueError: no such path, or neither a known tree nor a manifest; names what is there.
    """
    path = Path(spec).expanduser()
    tree = _ljspeech(spec, path) or _librispeech(spec, path) or _common_voice(spec, path, columns or {})
    if tree is not None:
        return dataclasses.replace(tree, files=partial(_files, tree.readers))
    usual = {**COLUMNS, "offset": _OFFSET, **(columns or {})}
    source = open_tables(spec, usual, optional=("speaker", "offset"))
    folder = path if path.is_dir() else path.parent
    folders = (folder, *(folder / name for name in ("clips", "wavs") if (folder / name).is_dir()))
    readers = {name: _beside(reader, *folders) for name, reader in source.readers.items()}
    return dataclasses.replace(source, readers=readers, files=partial(_files, readers))


def _files(readers: Mapping[str, Reader]) -> Iterator[Path]:
    every = distinct(readers).values()
    return (Path(example["audio"]) for read in every for example in read(lambda problem: None))


def _beside(reader: Reader, *folders: Path) -> Reader:
    """Make audio paths absolute, and drop rows without text or file, and those of a part of a recording."""

    def read(on_problem: OnProblem) -> Iterator[Example]:
        for example in reader(on_problem):
            missing = [name for name in ("audio", "text") if not isinstance(example[name], str)]
            if missing or not example["audio"].strip():
                on_problem(Problem(example["where"], f"has no {missing[0] if missing else 'audio'}"))
                continue
            offset = example.pop("offset", None)
            if _NOT_ZERO.fullmatch(str(offset).strip()):
                reason = f"names a part of a recording, from {offset} on; cut it into files of their own"
                on_problem(Problem(example["where"], reason))
                continue
            written = example["audio"].strip()
            yield {**example, "audio": _in(folders, written), "recording": normpath(written)}

    return read


def _in(folders: tuple[Path, ...], written: str) -> str:
    """Return the path of a file in the first folder that has it; in the first where none has."""
    paths = [str(folder / expanduser(written)) for folder in folders]
    return next((path for path in paths if len(paths) > 1 and exists(path)), paths[0])


def _ljspeech(spec: str, path: Path) -> Source | None:
    """``metadata.csv`` with lines ``ID|text|normalised text`` beside ``wavs/ID.wav``; one split, one speaker.

    A table with commas, such as AudioFolder of Hugging Face has under this name, is none.
    """
    table = path / "metadata.csv"
    if not (table.is_file() and (path / "wavs").is_dir() and "|" in next(lines(table), "")):
        return None

    def read(on_problem: OnProblem) -> Iterator[Example]:
        for number, line in _whole(table, on_problem):
            fields = line.split("|")
            if len(fields) not in (2, 3):
                on_problem(Problem(f"{table}:{number}", f"expected ID|text|normalised text, came {len(fields)} fields"))
                continue
            sound = path / "wavs" / f"{fields[0]}.wav"
            yield {"id": fields[0], "where": f"{table}:{number}", "audio": str(sound), "text": fields[-1]}

    return Source(spec, {"all": read}, fingerprint([table]))


def _whole(path: Path, on_problem: OnProblem) -> Iterator[tuple[int, str]]:
    """Stream number and text of the lines that are valid UTF-8."""
    for number, line in enumerate(lines(path), start=1):
        if broken(line):
            on_problem(Problem(f"{path}:{number}", f"the text {broken(line)}"))
        else:
            yield number, line.rstrip("\r\n")


def _librispeech(spec: str, path: Path) -> Source | None:
    """``SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt`` with lines ``ID TEXT`` beside ``ID.flac``.

    All the parts of the training data together are the split ``train``; ``dev-clean`` is also called ``validation``.
    """
    if not path.is_dir():
        return None
    splits = {}
    for folder in sorted(part for part in path.iterdir() if part.is_dir()):
        transcripts = sorted(folder.glob("*/*/*.trans.txt"))
        if transcripts:
            splits[folder.name] = transcripts
    if not splits:
        return None
    readers: dict[str, Reader] = {name: _chapters(transcripts) for name, transcripts in splits.items()}
    if parts := tuple(reader for name, reader in readers.items() if name.startswith("train")):
        readers["train"] = Joined(parts)
    if "dev-clean" in splits:
        readers["validation"] = readers["dev-clean"]
    return Source(spec, readers, fingerprint([file for transcripts in splits.values() for file in transcripts]))


def _chapters(transcripts: list[Path]) -> Reader:
    def read(on_problem: OnProblem) -> Iterator[Example]:
        for file in transcripts:
            for number, line in _whole(file, on_problem):
                name, _, text = line.strip().partition(" ")
                where = f"{file}:{number}"
                if not text:
                    on_problem(Problem(where, "expected ID TEXT"))
                    continue
                sound = next((s for s in (file.parent / (name + e) for e in SOUND) if s.exists()), file.parent / name)
                yield {"id": name, "where": where, "audio": str(sound), "text": text, "speaker": name.split("-")[0]}

    return read


def _common_voice(spec: str, path: Path, given: Columns) -> Source | None:
    """``SPLIT.tsv`` with the columns client_id, path and sentence beside ``clips/``.

    ``validated.tsv`` holds the recordings of the splits and more, so it counts only where there is no ``train.tsv``.
    Paths of a column that the user names are looked for beside the tables first.
    """
    if not (path / "clips").is_dir():
        return None
    names = COMMON_VOICE if (path / "train.tsv").is_file() else (*COMMON_VOICE, "validated")
    tables = [path / f"{name}.tsv" for name in names if (path / f"{name}.tsv").is_file()]
    headers = [{name.strip() for name in next(lines(table), "").split("\t")} for table in tables]
    if not tables or not all(header >= {"path", "sentence"} for header in headers):
        return None
    columns = {"audio": ("path",), "text": ("sentence",), "speaker": ("client_id",), **given}
    folders = (path, path / "clips") if "audio" in given else (path / "clips",)
    readers = {table.stem: _beside(table_reader(table, columns), *folders) for table in tables}
    return Source(spec, readers, fingerprint(tables))
