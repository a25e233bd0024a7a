"""The Keras backend in use, and the number of GPUs available to it.

The backend is TensorFlow, unless KERAS_BACKEND names another. Only with TensorFlow are results
promised to the bit; JAX and PyTorch train by `portable_step` of `step.py`. No function here loads a
framework into this process, because a supervisor would then keep memory of a GPU.
"""

import importlib.util
import os
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from objectives.errors import ModelError

VARIABLE = "KERAS_BACKEND"
TENSORFLOW = "tensorflow"
FRAMEWORKS = {TENSORFLOW: "TensorFlow", "jax": "JAX", "torch": "PyTorch"}

# Python expressions for the number of GPUs.
_COUNTS = {
    TENSORFLOW: "len(__import__('tensorflow').config.list_physical_devices('GPU'))",
    "jax": "sum(one.platform == 'gpu' for one in __import__('jax').devices())",
    "torch": "__import__('torch').cuda.device_count()",
}
_COUNT_TIMEOUT_S = 180.0  # a first import from a cold disk


def backend_name() -> str:
    """Return "tensorflow", "jax" or "torch".

    Raises:
        ModelError: KERAS_BACKEND names another.
    """
    name = os.environ.get(VARIABLE) or TENSORFLOW
    if name not in FRAMEWORKS:
        raise ModelError(
            f"{VARIABLE}={name}: networks are trained only with {', '.join(FRAMEWORKS)}",
            f"unset {VARIABLE}",
        )
    return name


def on_tensorflow() -> bool:
    """Return whether Keras computes with TensorFlow."""
    return backend_name() == TENSORFLOW


def compiles() -> bool:
    """Return whether XLA compiles networks: only for JAX, which is slow without it.

    On TensorFlow it would change the last bits; PyTorch's own compiler was not tried.
    """
    return backend_name() == "jax"


def use_backend(name: str) -> None:
    """Set the backend of this process, before it loads Keras, and of its child processes."""
    os.environ[VARIABLE] = name


@lru_cache(maxsize=1)
def count_gpus() -> int:
    """Return how many GPUs the framework can use, within CUDA_VISIBLE_DEVICES; 0 if it fails.

    Starts a short process that imports the framework, which takes seconds.
    """
    # -P: do not import a file of the current folder instead of the framework.
    command = [sys.executable, "-P", "-c", f"print('\\nGPUs', {_COUNTS[backend_name()]})"]
    # By default JAX reserves most of a GPU's memory, even to count devices.
    env = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COUNT_TIMEOUT_S, env=env
        )
    except subprocess.TimeoutExpired:
        return 0
    _, found, count = done.stdout.rpartition("GPUs ")
    return int(count) if found and done.returncode == 0 else 0


def framework() -> str:
    """Return the framework's name and version."""
    name = backend_name()
    return f"{FRAMEWORKS[name]} {_version(name) or '(not installed)'}"


def how_to_mend() -> str:
    """Return the command that probably makes the GPUs visible to the framework."""
    name = backend_name()
    if name == "torch":
        return "pip install --force-reinstall torch"
    if importlib.util.find_spec("nvidia") is not None:  # CUDA's libraries as Python packages
        return "nvidia-smi, which shows whether the driver is new enough for CUDA 12"
    extra = "jax[cuda12]" if name == "jax" else "tensorflow[and-cuda]"
    exactly = f"=={_version(name)}" if _version(name) else ""
    return f'pip install "{extra}{exactly}"'


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
