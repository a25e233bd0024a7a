"""What is recorded of machine and versions, and how two of them are told apart."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.machine import environment
from study.machine.environment import (
    differences,
    minor_differences,
    read_environment,
    read_versions,
)

THEIRS = {"python": "3.11.9", "cpu": "a", "tensorflow": "2.20.0", "numpy": "2.1.0", "torch": "2"}
OURS = {"python": "3.11.2", "cpu": "b", "tensorflow": "2.21.0", "numpy": "2.1.3", "keras": "3.15.0"}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It is read once a process: forget it, and this machine's choice of devices."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    read_environment.cache_clear()
    yield
    read_environment.cache_clear()


def fake_nvidia(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an `nvidia-smi` that runs `script` first on the path."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_environment_names_machine_and_versions_in_little_space() -> None:
    """It stands at every trial, so it is short; what is not installed is left out."""
    found = read_environment()
    assert {"platform", "cpu", "device", "python", "optuna", "numpy", "sqlalchemy"} <= found.keys()
    assert all(found.values())
    assert len(json.dumps(found)) < 400
    assert read_versions().items() <= found.items()
    assert read_environment() is found


def test_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` runs where TensorFlow is not installed."""
    monkeypatch.setattr(environment, "PACKAGES", ("optuna", "no-such-package"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)  # an earlier test's Keras has set it
    assert read_versions().keys() == {"python", "optuna"}


def test_reading_the_environment_loads_no_tensorflow() -> None:
    """Versions come from metadata."""
    code = (
        "import sys; from study.machine.environment import read_environment; read_environment(); "
        "print([n for n in ('tensorflow', 'keras', 'numpy', 'optuna') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_cpu_model_is_that_of_cpuinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first one; where there is none, something is said all the same."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU: 3 GHz\nmodel name\t: other\n")
    monkeypatch.setattr(environment, "CPUINFO", cpuinfo)
    assert read_environment()["cpu"] == "Some CPU: 3 GHz"
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "gone")
    read_environment.cache_clear()
    assert read_environment()["cpu"]


@pytest.mark.parametrize(
    ("visible", "device"),
    [
        (None, "GPU --query-gpu=name --format=csv,noheader"),
        ("1,0", "GPU --query-gpu=name --format=csv,noheader --id=1"),
        ("MIG-1234", "GPU --query-gpu=name --format=csv,noheader"),
        ("", "cpu"),
        ("-1", "cpu"),
    ],
)
def test_device_is_the_first_gpu_that_is_visible(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, visible: str | None, device: str
) -> None:
    """An empty CUDA_VISIBLE_DEVICES hides them all."""
    fake_nvidia(tmp_path, 'echo "GPU $*"; echo second', monkeypatch)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert read_environment()["device"] == device


@pytest.mark.parametrize("script", ["echo broken; exit 9", "exit 0", "exec sleep 60"])
def test_driver_that_does_not_work_means_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    """A driver that fails, says nothing or hangs takes no GPU away that could be used."""
    monkeypatch.setattr(environment, "NVIDIA_TIMEOUT_S", 0.5)
    fake_nvidia(tmp_path, script, monkeypatch)
    assert read_environment()["device"] == "cpu"


def test_differences_name_both_sides() -> None:
    """Whatever differs, also what only one of them has; the same is left out."""
    assert differences(THEIRS, OURS) == [
        "python 3.11.9 there, 3.11.2 here",
        "cpu a there, b here",
        "tensorflow 2.20.0 there, 2.21.0 here",
        "numpy 2.1.0 there, 2.1.3 here",
        "torch 2 there, none here",
        "keras none there, 3.15.0 here",
    ]
    assert differences(OURS, OURS) == []


def test_minor_differences_are_those_of_versions_alone() -> None:
    """Patch versions and machines differ in any fleet; another minor version is worth a line."""
    assert minor_differences(THEIRS, OURS) == [
        "tensorflow 2.20.0 there, 2.21.0 here",
        "keras none there, 3.15.0 here",
    ]
    assert minor_differences({"python": "3.11.2"}, {"python": "3.13.2"}) == [
        "python 3.11.2 there, 3.13.2 here"
    ]
