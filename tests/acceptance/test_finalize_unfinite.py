"""A finalize of networks that are not finite: one line, and no file that looks like an answer."""

import pytest

from tests.acceptance.competition import N_CLASSES, N_TEST, write_competition
from tests.acceptance.processes import Place

# Trains nothing and loads no Keras; what became of it on all rows, its option says.
BROKEN = """
import numpy as np
from objectives.base import Fitted
from objectives.errors import DivergedError
from objectives.data.dataset import load_dataset

class Broken:
    direction = "maximize"
    needs_data = True
    space = {"x": {"low": 0.0, "high": 1.0}}

    def __init__(self, part):
        self.part = part

    def load(self, data_dir):
        return load_dataset(data_dir)

    def fit(self, params, dataset, *, seed, report, resume_dir):
        if self.part == "fit" and len(dataset.valid) == 0:
            raise DivergedError("the loss became nan in epoch 0, batch 3")
        return Fitted(value=None if len(dataset.valid) == 0 else params["x"], model=None)

    def predict(self, fitted, images):
        said = np.full((len(images), {n_classes}), 1 / {n_classes}, np.float32)
        if self.part == "own":
            said[0] = np.nan
        if self.part == "test" and len(images) == {n_test}:
            raise DivergedError("the network predicts NaN or infinity for image 1 of {n_test}")
        return said
""".replace("{n_classes}", str(N_CLASSES)).replace("{n_test}", str(N_TEST))


@pytest.mark.parametrize(
    ("part", "message", "hint"),
    [
        (
            "fit",
            "could not be trained on all rows: the loss became nan in epoch 0, batch 3",
            "study trials --study s.finalize   (shows each of them)",
        ),
        (
            "own",
            "could not be trained on all rows: the network predicts NaN",
            "study trials --study",
        ),
        ("test", "no submission from trial", "fix the model"),
    ],
)
def test_no_finite_network_is_one_line_and_no_file(
    place: Place, sqlite_url: str, part: str, message: str, hint: str
) -> None:
    """Became NaN on all rows, says NaN of its own rows, or of a test image."""
    write_competition(place.folder / "data")
    (place.folder / "broken.py").write_text(BROKEN)
    where = ["--storage", sqlite_url, "--study", "s", "--data", "data"]
    how = ["--objective", "broken.py:Broken", "--objective-option", f"part={part}"]
    ending = ["--n-trials", 2, "--workers", 1, "--finalize", "--quick", "--out", "out"]
    done = place.run("run", *where, *how, *ending, code=1)
    (error,) = [line for line in done.err.splitlines() if line.startswith("study: error: ")]
    assert message in error
    assert done.hint.startswith(hint)
    assert "Traceback" not in done.err
    assert not list((place.folder / "out").glob("*"))
