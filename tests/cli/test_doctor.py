"""The doctor on a sound installation, and on each of the illnesses it knows."""

import json
import sys
from collections import namedtuple
from pathlib import Path

import soundfile
import tensorflow as tf

from models.recurrent import kernels
from pipelines.cli import doctor


def only(findings, state):
    return [finding for finding in findings if finding.state == state]


def pretend(monkeypatch, versions):
    """Let packages have other versions; None is not installed."""
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: versions[name] if name in versions else real(name))


def test_a_sound_installation(capsys):
    assert doctor.run(as_json=True) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {"Python", "tensorflow", "keras", "devices", "lstm layer", "sound", "disk", "memory"} <= {
        finding["subject"] for finding in findings
    }
    assert all(bool(f["advice"]) == (f["state"] != "ok") for f in findings)


def test_versions(monkeypatch):
    pretend(monkeypatch, {"keras": "3.9.0", "librosa": None})
    broken = {f.subject: f for f in only(doctor.packages(), "broken")}
    assert set(broken) == {"keras", "librosa"}
    assert "3.9.0, expected" in broken["keras"].detail and broken["librosa"].advice.startswith("pip install 'librosa")


def test_requirements_of_an_installed_copy(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    declared = ["keras>=3.15.1", 'gradio>=6; extra == "web"', "no requirement !"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: declared)
    assert [requirement.name for requirement in doctor._requirements()] == ["keras"]


def test_two_tensorflows(monkeypatch):
    assert doctor.wheels() == []
    pretend(monkeypatch, {"tensorflow-cpu": "2.21.0"})
    (finding,) = doctor.wheels()
    assert finding.state == "broken" and "tensorflow and tensorflow-cpu" in finding.detail


def test_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert doctor.python()[0].state == "broken"


def test_extras(monkeypatch):
    pretend(monkeypatch, {"pysoundfile": "0.9", "tensorboard": None})
    assert [(f.state, f.subject) for f in doctor.extras()] == [("broken", "pysoundfile"), ("note", "tensorboard")]
    pretend(monkeypatch, {"pysoundfile": None, "tensorboard": "2.20"})
    assert doctor.extras() == []


def test_shadows(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert doctor.shadows() == []
    (tmp_path / "models").mkdir()
    (tmp_path / "pipelines.py").touch()
    assert [(f.state, f.subject) for f in doctor.shadows()] == [("note", "models"), ("note", "pipelines")]
    monkeypatch.chdir(doctor.ROOT)
    assert doctor.shadows() == []


def test_the_path_of_recurrent_layers_is_told_and_wrong_arithmetic_found(monkeypatch):
    assert doctor._path_gap("gru") < 2e-3
    monkeypatch.setattr(doctor, "_path_gap", lambda cell: 0.1 * (cell == "simple"))
    findings = {f.subject: f for f in doctor.arithmetic()}
    assert {name: f.state for name, f in findings.items()} == {
        "lstm layer": "ok",
        "gru layer": "ok",
        "simple layer": "broken",
        "mingru layer": "ok",
        "minlstm layer": "ok",
        "rglru layer": "ok",
    }
    path = "portable: there is a GPU" if tf.config.list_physical_devices("GPU") else "fast;"
    assert all(f.detail.startswith(path) for f in findings.values())
    with kernels.portable():
        assert doctor.arithmetic()[0].detail.startswith("portable: an export or portable()")


def test_missing_sound_formats(monkeypatch):
    real = soundfile.write

    def write(file, *arguments):
        if file.endswith("mp3"):
            raise RuntimeError("no encoder")
        real(file, *arguments)

    monkeypatch.setattr(soundfile, "write", write)
    (finding,) = doctor.sound()
    assert finding.state == "broken" and finding.detail.endswith("reads wav, flac, ogg; not mp3")


def test_little_room(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(10**9))
    monkeypatch.setattr(doctor, "_free_memory", lambda: 1.0)
    assert [f.state for f in doctor.resources()] == ["note"] * 3
    monkeypatch.setattr(doctor, "_free_memory", lambda: None)
    assert [f.subject for f in doctor.resources()] == ["disk", "temporary files"]


def test_a_check_that_fails_is_a_finding_and_broken_means_exit_1(monkeypatch, capsys):
    def devices():
        raise ImportError("libcuda.so is half there")

    for name in ("arithmetic", "sound"):
        monkeypatch.setattr(doctor, name, lambda: [])
    monkeypatch.setattr(doctor, "devices", devices)
    assert doctor.run() == 1
    assert "broken devices               ImportError: libcuda.so is half there" in capsys.readouterr().out


def test_memory_is_read():
    assert Path("/proc/meminfo").exists() == (doctor._free_memory() is not None)
