"""A user's own files named models, pipelines or like a library must not be taken for those."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = "from pipelines.__main__ import main; import models; print(models.__file__)"


def start(folder: Path, *command: str, known: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder``; Python looks there first, and then where ``known`` says."""
    environment = os.environ | {"PYTHONPATH": known}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)


def disturb(folder: Path, *names: str) -> None:
    """Put packages of these names into ``folder`` that must not be imported."""
    for name in names:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise SystemExit('the wrong package')\n")


def test_a_folder_named_models_harms_nothing(tmp_path: Path) -> None:
    disturb(tmp_path, "models")
    done = start(tmp_path, sys.executable, "-c", CODE, known=str(ROOT))
    assert done.returncode == 0 and done.stdout.startswith(str(ROOT)), done.stderr


def test_folders_named_like_libraries_harm_nothing(tmp_path: Path) -> None:
    disturb(tmp_path, "keras", "jax", "pydantic", "tqdm")
    done = start(tmp_path, sys.executable, "-m", "pipelines", "predict", str(ROOT / "pretrained/sentiment"), "Fine.")
    assert done.returncode == 0 and done.stdout.startswith("positive"), done.stderr


def test_the_installed_command_starts_beside_folders_of_our_names(tmp_path: Path) -> None:
    disturb(tmp_path, "models", "pipelines")
    done = start(tmp_path, str(Path(sys.executable).with_name("pipelines")), "tasks")
    assert done.returncode == 0 and done.stdout.startswith("sentiment"), done.stderr


def test_python_m_beside_a_folder_named_pipelines_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").touch()
    done = start(tmp_path, sys.executable, "-m", "pipelines", "tasks")
    assert done.returncode != 0 and len(done.stderr.strip().splitlines()) == 1 and "pipelines" in done.stderr
