"""Objectives that are loaded from files which a test writes, for the tests of loading."""

from pathlib import Path
from typing import Any

from objectives.base import FitOptions
from objectives.load import load_objective

OBJECTIVE = """
from objectives.space.space import parse_space


class Mine:
    direction = "minimize"
    needs_data = False
    space = parse_space({"a": [1, 2, 3]})

    def __init__(self, rate="0.5", *, epochs=0, precision=None, threads=None, deterministic=None):
        self.got = (rate, epochs, precision, threads, deterministic)

    def load(self, data_dir):
        return None

    def fit(self, params, dataset, *, seed, report, resume_dir):
        return self.space

    def predict(self, fitted, images):
        return None


mine = Mine("made")
"""

MODEL = """
SPACE = {"units": [16, 32], "lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def build(params, image_shape, n_classes):
    raise NotImplementedError
"""


def load(
    reference: str = "digits-cnn",
    options: dict[str, str] | None = None,
    model: str | None = None,
    space: dict[str, Any] | None = None,
) -> Any:
    """Load with fit options of our own."""
    return load_objective(
        reference,
        fit_options=FitOptions(epochs=3, precision="bfloat16", threads=2, deterministic=False),
        options=options or {},
        model=model,
        space_overrides=space,
    )


def write(name: str, text: str) -> str:
    """Write a file into the current folder and return its name."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return name
