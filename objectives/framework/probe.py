"""Whether the framework that trains can compute on this machine's GPUs, asked in a short process.

A supervisor must not load the framework itself: it would take memory of a card, and stay. Asked
only where the driver sees a GPU at all, since importing a framework takes seconds.
"""

import importlib.util
import os
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from objectives.framework.backend import COUNTS, FRAMEWORKS, backend_name

TIMEOUT_S = 180.0  # the first import on a cold disk
_LITTLE = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # JAX takes most of a card else, also to look


@lru_cache(maxsize=1)
def count_gpus() -> int:
    """Return how many GPUs the framework can use, within CUDA_VISIBLE_DEVICES; 0 if it fails."""
    # -P: a file in the current folder must not be taken for the framework.
    command = [sys.executable, "-P", "-c", f"print('\\nGPUs', {COUNTS[backend_name()]})"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env={**os.environ, **_LITTLE},
        )
    except subprocess.TimeoutExpired:
        return 0
    _, found, count = done.stdout.rpartition("GPUs ")
    return int(count) if found and done.returncode == 0 else 0


def framework() -> str:
    """Return the framework's name and version."""
    name = backend_name()
    try:
        return f"{FRAMEWORKS[name]} {version(name)}"
    except PackageNotFoundError:
        return f"{FRAMEWORKS[name]}, which is not installed,"


def how_to_mend() -> str:
    """Return what lets the framework see the GPUs, as a command where one is known."""
    name = backend_name()
    if name == "torch":
        return "pip install --force-reinstall torch"
    # What the extra brings: CUDA's libraries as Python packages.
    if importlib.util.find_spec("nvidia") is not None:
        return "nvidia-smi, which shows whether the driver is new enough for CUDA 12"
    if name == "jax":
        return f'pip install "jax[cuda12]{_exactly(name)}"'
    return f'pip install "tensorflow[and-cuda]{_exactly(name)}"'


def _exactly(package: str) -> str:
    try:
        return f"=={version(package)}"
    except PackageNotFoundError:
        return ""
