"""Extras: a version that does not fit is told before anything is loaded, like a package that is missing."""

import importlib.util
import tomllib
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.__main__ import main
from pipelines.export import formats

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "gradio",
    "uvicorn",
    "starlette",
    "prometheus-client",
    "python-multipart",
    "tensorflow-serving-api",
    "tf2onnx",
    "onnxruntime",
    "ai-edge-litert",
)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Packages that seem to be installed, with their versions; None for one that is no distribution."""
    versions: dict[str, str | None] = {}

    def version(name: str) -> str:
        if versions[name] is None:
            raise metadata.PackageNotFoundError(name)
        return str(versions[name])

    modules = {formats.MODULES.get(name, name.replace("-", "_")): name for name in PACKAGES}
    found = importlib.util.find_spec

    def find_spec(name: str) -> Any:
        if name not in modules:
            return found(name)
        return SimpleNamespace(origin="x") if modules[name] in versions else None

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(metadata, "version", version)
    return versions


def test_the_bounds_are_those_of_the_project() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert {extra: list(wanted) for extra, wanted in formats.EXTRAS.items()} == {
        name: stated[name] for name in formats.EXTRAS
    }


@pytest.mark.parametrize("version", ["6.16", "6.16.0", "6.99.1", "6.20.0rc1"])
def test_versions_within_the_bounds_are_taken(here: dict[str, str | None], version: str) -> None:
    here["gradio"] = version
    assert formats.unmet("web") == {}


@pytest.mark.parametrize("version", ["5.49.1", "6.15.9", "7.0", "7.0rc1"])
def test_versions_outside_of_the_bounds_are_not(here: dict[str, str | None], version: str) -> None:
    here["gradio"] = version
    assert formats.unmet("web") == {"gradio>=6.16,<7": version}


def test_a_build_of_another_name_is_taken_and_a_folder_of_the_name_is_not(
    here: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert formats.unmet("onnx") == {"tf2onnx>=1.17": "", "onnxruntime>=1.22": ""}
    here.update({"tf2onnx": "1.17.0", "onnxruntime": None})
    assert formats.unmet("onnx") == {}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(origin=None))
    assert formats.unmet("onnx") == {"onnxruntime>=1.22": ""}


def test_each_command_says_what_is_here_and_what_it_needs(
    here: dict[str, str | None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    here.update({"gradio": "5.49.1", "uvicorn": "0.30.6", "starlette": "1.10.0", "tensorflow-serving-api": "2.20.0"})
    here.update({"prometheus-client": "0.26.0", "python-multipart": "0.0.34"})
    for arguments, sentence in (
        (
            ["web"],
            "the web page needs Gradio: pip install 'gradio>=6.16,<7' (5.49.1 is here, expected gradio>=6.16,<7)",
        ),
        (
            ["serve", str(tmp_path)],
            "serve needs Starlette and Uvicorn: pip install -e '.[serve]' (0.30.6 is here, expected uvicorn>=0.54,<1)",
        ),
        (
            ["export", str(tmp_path), "--warmup"],
            "--warmup needs the messages of TensorFlow Serving: pip install -e '.[tf-serving]' "
            "(2.20.0 is here, expected tensorflow-serving-api>=2.21,<2.22)",
        ),
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err == f"pipelines: {sentence}\n"


def test_an_export_says_which_of_its_packages_is_too_old(here: dict[str, str | None], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"task": "speech"}')
    here.update({"tf2onnx": "1.16.1", "onnxruntime": "1.22.0"})
    with pytest.raises(ValueError, match=r"^--format onnx: needs tf2onnx>=1\.17: .* \(1\.16\.1 is here, expected"):
        formats.check(str(tmp_path), "onnx", {})
    here["tf2onnx"] = "1.17.0"
    formats.check(str(tmp_path), "onnx", {})
