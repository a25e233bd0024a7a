"""Machine, device and package versions, on which a result may depend beside the spec.

Reading them is cheap and loads none of the packages. A replay names all differences; a worker that
joins a study names differences of minor versions only.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from objectives.framework.backend import FRAMEWORKS, VARIABLE

PACKAGES = ("slot-study", "optuna", "tensorflow", "keras", "numpy", "sqlalchemy")

CPUINFO = Path("/proc/cpuinfo")
NVIDIA_TIMEOUT_S = 10.0


@lru_cache(maxsize=1)
def read_environment() -> dict[str, str]:
    """Return machine, device and versions, as stored with each trial: about 300 bytes."""
    machine = {
        "platform": f"{platform.system()}-{platform.machine()}",
        "cpu": _cpu_model(),
        "device": _device(),
    }
    return {**machine, **read_versions()}


def read_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that results depend on."""
    # JAX and PyTorch matter only if Keras computes with them.
    backend = [name for name in FRAMEWORKS if name == os.environ.get(VARIABLE)]
    found = {"python": platform.python_version()}
    for package in dict.fromkeys([*PACKAGES, *backend]):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Return the differences, each as `tensorflow 2.20.0 there, 2.21.0 here`."""
    return [
        f"{name} {theirs.get(name, 'none')} there, {ours.get(name, 'none')} here"
        for name in dict.fromkeys([*theirs, *ours])
        if theirs.get(name) != ours.get(name)
    ]


def minor_differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Return those `differences` in which a version has another major or minor number.

    Patch versions, machines and devices are left out: they differ in any mixed fleet.
    """
    names = [
        name
        for name in ("python", *PACKAGES)
        if _major_minor(theirs.get(name)) != _major_minor(ours.get(name))
    ]
    there, here = ({n: side[n] for n in names if n in side} for side in (theirs, ours))
    return differences(there, here)


def _major_minor(number: Any) -> list[str] | None:
    return None if number is None else str(number).split(".")[:2]


def _cpu_model() -> str:
    with suppress(OSError):  # not Linux
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def _device() -> str:
    """Return the name of the first GPU that this process sees, or "cpu"."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi")
    if program is None or (visible is not None and visible.strip() in ("", "-1")):
        return "cpu"
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    if visible is not None and not visible.startswith("MIG"):  # nvidia-smi takes no name of a part
        command.append(f"--id={visible.partition(',')[0].strip()}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NVIDIA_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    names = done.stdout.strip().splitlines() if done.returncode == 0 else []
    return names[0].strip() if names else "cpu"
