"""What README and docs tell a reader to type is understood by the real command line; fences marked `quick` run."""

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines import TASKS, load_settings, load_task
from pipelines.cli.arguments import read_settings
from pipelines.cli.parser import build_parser
from pipelines.config import ALIASES, from_dict, settings_of_stage
from tests import adding
from tests.architecture import ROOMS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"),
                *ROOT.glob("pretrained/*/README.md")])  # fmt: skip
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
PROGRAM = re.compile(r"^(?:\$ )?(?:[\w./]*python[\d.]* -m pipelines|(?:\.venv/bin/)?pipelines) +(\w.*)$")
NAMES = re.findall(r"^    (\w+) ", build_parser().format_help(), re.MULTILINE)
ROW = re.compile(r"^\|.*$", re.MULTILINE)
SHORT = re.compile(rf"(?:{'|'.join(NAMES)}) +\S")  # in a table: `train sentiment --data imdb`
OPERATORS = {"|", ">", ">>", "<", "&&", ";", "&"}
DECODING = {name for task in TASKS for name in settings_of_stage(load_settings(task).Config, "decoding")}


class Command(NamedTuple):
    page: str
    line: str
    arguments: list[str]


def commands_in(page: str, text: str) -> list[Command]:
    """Commands in fences, with continued lines joined, and in spans of inline code."""
    lines = [line for _, body in FENCE.findall(text) for line in body.replace("\\\n", " ").splitlines()]
    spans = (" ".join(span.split()) for span in SPAN.findall(FENCE.sub("", text)))
    spans = [span for span in spans if not re.fullmatch(r"(?:python -m )?pipelines \w+", span)]  # a name, not a call
    found = []
    cells = (span for row in ROW.findall(text) for span in SPAN.findall(row))
    for line in [*lines, *spans, *(f"pipelines {cell}" for cell in cells if SHORT.match(cell))]:
        if match := PROGRAM.match(line.strip()):
            words = shlex.split(match[1], comments=True)
            end = next((i for i, word in enumerate(words) if word in OPERATORS), len(words))
            found.append(Command(page, line.strip(), words[:end]))
    return found


def check(command: Command) -> None:
    """Parse one command as the program would; ValueError where it would refuse."""
    known, rest = build_parser().parse_known_args(command.arguments)
    if known.command in ("train", "validate"):
        config = load_settings(known.task).Config
        from_dict(config, read_settings(known.task, rest, known.command), known.command)
    elif known.command in ("evaluate", "predict", "export"):
        options = {word.partition("=")[0] for word in rest if word.startswith("--")}
        unknown = options - {"--" + name.replace("_", "-") for name in DECODING}
        if unknown:
            raise ValueError(f"unknown {sorted(unknown)}")
    elif rest:
        raise ValueError(f"left over: {rest}")


COMMANDS = [c for page in PAGES for c in commands_in(str(page.relative_to(ROOT)), page.read_text("utf-8"))]
REAL = [c for c in COMMANDS if not {"TASK", "..."} & set(c.arguments) and c.arguments]


@pytest.mark.parametrize("command", REAL, ids=lambda c: f"{c.page}: {c.line}"[:100])
def test_the_command_line_understands(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if command.page == adding.PAGE:
        adding.add(tmp_path, monkeypatch)
    try:
        check(command)
    except SystemExit as end:  # --help and --version
        assert end.code in (0, None)


def test_every_command_of_the_program_is_in_the_readme() -> None:
    shown = {c.arguments[0] for c in COMMANDS if c.page == "README.md"} | set(
        SPAN.findall("\n".join(re.findall(r"^\|[^|]*\|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)))
    )
    assert NAMES and set(NAMES) <= shown, set(NAMES) - shown


@pytest.mark.parametrize(
    "line",
    [
        "pipelines train sentiment --epoch 3",
        "python -m pipelines train sentiments",
        "pipelines evaluate runs/x --beamwidth 3",
        "pipelines doctor --all",
        "pipelines train sentiment --epochs three",
    ],
)
def test_a_wrong_command_would_be_noticed(line: str) -> None:
    (fenced,) = commands_in("page", f"```\n{line}\n```\n")
    (told,) = commands_in("page", f"| `{line.partition('pipelines ')[2]}` | what it does |\n")
    assert fenced.arguments == told.arguments
    with pytest.raises(ValueError):
        check(told)


def quick_fences() -> dict[str, list[tuple[str, str]]]:
    """The fences marked `quick` of each page: (language, text), in the order in which a reader types them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for page in PAGES:
        for info, body in FENCE.findall(page.read_text("utf-8")):
            if "quick" in info.split():
                found.setdefault(str(page.relative_to(ROOT)), []).append((info.split()[0], body))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("page", list(quick_fences()))
def test_quick_fences_work_one_after_the_other(page: str, tmp_path: Path) -> None:
    """In a folder with `pretrained/` and the table `reviews.csv` that the pages speak of."""
    from pipelines.data.builtin import builtin
    from pipelines.tasks.sentiment import synthetic

    (tmp_path / "pretrained").symlink_to(ROOT / "pretrained")
    with open(tmp_path / "reviews.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for example in builtin(synthetic.examples, {"train": 400}).read("train"):
            writer.writerow([example["text"], example["label"]])
    for language, text in quick_fences()[page]:
        program = f"{shlex.quote(sys.executable)} -m pipelines"
        script = re.sub(r"^(?:\.venv/bin/)?pipelines ", f"{program} ", text, flags=re.MULTILINE)
        command = {"sh": ["bash", "-euc", script], "python": [sys.executable, "-c", text]}[language]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, f"{page}: {text}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"


def test_settings_have_their_present_names() -> None:
    """Earlier names are accepted, but nobody should learn them."""
    earlier = {"--" + name.replace("_", "-") for name in ALIASES}
    found = [f"{c.page}: {word}" for c in COMMANDS for word in c.arguments if word.partition("=")[0] in earlier]
    assert not found, found


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_modules_exist(page: Path) -> None:
    """Names of the form `pipelines/config.py`, `pipelines.config` and ``::: pipelines.config``."""
    text = page.read_text("utf-8")
    names = re.findall(r"(?<![\w./-])(?:models|pipelines|notebooks|benchmarks|tests|docs|findings)/[\w./-]*\w", text)
    names = [name for name in names if not re.search("NAME|TASK|brackets", name)]  # placeholders, and a task to add
    missing = [name for name in names if not (ROOT / name).exists() and not any(ROOT.glob(f"{name}.*"))]
    for name in re.findall(r"(?<![\w./-])(?:models|pipelines)(?:\.\w+)+", text):
        parts = name.split(".")
        found = max(n for n in range(len(parts) + 1) if (ROOT / "/".join(parts[:n])).is_dir())
        file = (ROOT / "/".join(parts[: found + 1])).with_suffix(".py")
        init = ROOT / "/".join(parts[:found]) / "__init__.py"
        defined = found == len(parts) or file.is_file() or re.search(rf"\b{parts[found]}\b", init.read_text("utf-8"))
        missing += [] if defined or "brackets" in name else [name]
    assert not missing, missing


@pytest.mark.parametrize("room", ROOMS)
def test_contributing_names_the_room_and_its_imports(room: str) -> None:
    rows = [row.split("|") for row in ROW.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8")) if row.count("|") == 4]
    imported = {other.strip(".").rpartition(".")[2] for other in ROOMS[room]}
    last = room.strip(".").rpartition(".")[2]
    found = [row for row in rows if last in re.findall(r"\w+", row[1])]
    assert any(imported <= set(re.findall(r"\w+", row[3])) for row in found), f"{room} imports {imported}: {found}"


def test_the_readme_has_quick_fences() -> None:
    assert {"sh", "python"} <= {language for language, _ in quick_fences()["README.md"]}


@pytest.mark.slow
def test_the_pages_of_docs_build_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)],  # with -q no warning counts
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "length_penalty" in (tmp_path / "api/search/index.html").read_text("utf-8")


def test_the_table_of_an4_is_made_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the page's own program, out of the layout of the data set's repository."""
    from pipelines.data.audio.layouts import open_recordings

    (script,) = (
        body for _, body in FENCE.findall((ROOT / "docs/your-data.md").read_text("utf-8")) if "an4" in body[:9]
    )
    (tmp_path / "etc").mkdir()
    for split in ("train", "test"):
        name = f"an4{'test' if split == 'test' else ''}_clstk/fash/an251-fash-b"
        (tmp_path / f"etc/an4_{split}.fileids").write_text(f"{name}\n")
        (tmp_path / f"etc/an4_{split}.transcription").write_text("<s> YES  </s> (an251-fash-b)\n")
        (tmp_path / "wav" / name).parent.mkdir(parents=True)
        (tmp_path / "wav" / f"{name}.wav").touch()
    monkeypatch.chdir(tmp_path)
    exec(compile(script, "an4_table.py", "exec"), {})
    for split in ("train", "test"):
        (example,) = open_recordings(str(tmp_path)).read(split)
        assert (example["text"], example["speaker"]) == ("YES", "fash") and Path(example["audio"]).is_file()


def test_the_page_names_every_column_that_is_recognised() -> None:

    rows = ROW.findall((ROOT / "docs/your-data.md").read_text("utf-8"))
    for columns in (load_task(name).columns for name in TASKS):
        named = [", ".join(names) for names in columns.values()]
        assert any(all(names in row for names in named) for row in rows), named


def test_pages_are_found() -> None:
    assert len(REAL) > 10 and {"README.md"} <= {c.page for c in COMMANDS} and TASKS
