"""A user's own files named models or pipelines must not be taken for ours."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = "from pipelines import load_settings; import models; print(load_settings('sentiment').Config, models.__file__)"


def start(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "__init__.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("raise SystemExit('the wrong models')\n")
    return tmp_path


def test_a_file_or_folder_named_models_harms_nothing(folder: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pipelines.__main__ import main\n"
    module = start(folder, sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r})\n" + program + CODE)
    assert module.returncode == 0 and str(ROOT) in module.stdout, module.stderr


@pytest.mark.parametrize("name", ["pipelines", "models"])
def test_the_installed_command_starts_beside_folders_of_our_names(tmp_path: Path, name: str) -> None:
    command = Path(sys.executable).parent / "pipelines"
    if not command.exists():
        pytest.skip("the project is not installed in this environment")
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    done = start(tmp_path, str(command), "tasks")
    assert done.returncode == 0 and done.stdout.startswith("sentiment"), done.stderr


def test_python_m_beside_a_folder_named_pipelines_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").touch()
    done = start(tmp_path, sys.executable, "-m", "pipelines", "tasks")
    assert done.returncode != 0 and len(done.stderr.strip().splitlines()) == 1 and "pipelines" in done.stderr
