"""Which framework Keras computes with: TensorFlow, or the one that KERAS_BACKEND names.

Decides the name alone, without loading anything. TensorFlow is what is tested and what the promise
of the same bits holds for; with JAX and PyTorch a training goes another way, see `step.py`.
"""

import os

from objectives.errors import ModelError

VARIABLE = "KERAS_BACKEND"
TENSORFLOW = "tensorflow"
FRAMEWORKS = {TENSORFLOW: "TensorFlow", "jax": "JAX", "torch": "PyTorch"}

COUNTS = {
    TENSORFLOW: "len(__import__('tensorflow').config.list_physical_devices('GPU'))",
    "jax": "sum(one.platform == 'gpu' for one in __import__('jax').devices())",
    "torch": "__import__('torch').cuda.device_count()",
}
"""Python expressions for how many GPUs each sees."""


def backend_name() -> str:
    """Return "tensorflow", "jax" or "torch".

    Raises:
        ModelError: KERAS_BACKEND names another.
    """
    name = os.environ.get(VARIABLE) or TENSORFLOW
    if name not in FRAMEWORKS:
        raise ModelError(
            f"{VARIABLE}={name}: networks are trained with {', '.join(FRAMEWORKS)} alone",
            f"unset {VARIABLE}",
        )
    return name


def on_tensorflow() -> bool:
    """Whether Keras computes with TensorFlow."""
    return backend_name() == TENSORFLOW


def compiles() -> bool:
    """Whether a network is to be compiled by XLA: JAX does nothing else well.

    TensorFlow gives other last bits then; PyTorch has a compiler of its own, which was not tried.
    """
    return backend_name() == "jax"


def use_backend(name: str) -> None:
    """Let this process, before it loads Keras, and those that it starts compute with a backend."""
    os.environ[VARIABLE] = name
