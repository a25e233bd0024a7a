"""Models and spaces as people bring them, from their creation to their submission."""

import pytest

from tests.acceptance.competition import write_competition
from tests.acceptance.processes import Place

UNSAVED = """
import keras
from keras import layers

SPACE = {"units": [4, 8]}

class Net(keras.Model):
    def __init__(self, units, n_classes):
        super().__init__()
        self.flat, self.hidden = layers.Flatten(), layers.Dense(units)
        self.out = layers.Dense(n_classes, activation="softmax")

    def call(self, x):
        return self.out(self.hidden(self.flat(x)))

def build(params, image_shape, n_classes):
    return Net(params["units"], n_classes)
"""
ON_IMPORT = """
import keras
adam = keras.optimizers.Adam(1e-3)
SPACE = {"units": [4, 8]}

def build(params, image_shape, n_classes):
    raise NotImplementedError
"""
WITH_NONE = """
from objectives.base import Fitted

class Mine:
    direction = "maximize"
    needs_data = False
    space = {
        "regularizer": [None, "l2"],
        "rate": {"low": 0.0, "high": 1.0, "when": {"regularizer": [None]}},
    }

    def load(self, data_dir):
        return None

    def fit(self, params, dataset, *, seed, report, resume_dir):
        assert ("rate" in params) == (params["regularizer"] is None)
        report(0, 0.5)
        return Fitted(value=params.get("rate", 0.0), model=None)

    def predict(self, fitted, images):
        return None
"""


@pytest.mark.trains
def test_model_that_cannot_be_saved_ends_in_a_submission(place: Place) -> None:
    """It is said before the search; at the end one file is missing, with the reason in the card."""
    write_competition(place.folder / "data")
    (place.folder / "net.py").write_text(UNSAVED)
    sizes = ["--n-trials", 1, "--epochs", 1, "--workers", 1]
    what = ["--data", "data", "--study", "s", "--model", "net.py:build", *sizes]
    done = place.run("run", *what, "--finalize", "--quick", "--out", "out")
    assert "warning: finalize will write all but model.keras: " in done.err
    assert "model.keras is not written: the model cannot be saved: Object Net was" in done.err
    found = {path.name for path in (place.folder / "out").iterdir()}
    assert found == {"submission.csv", "report.html", "model_card.md", "manifest.json"}
    assert "`model.keras` was not written: " in (place.folder / "out/model_card.md").read_text()


@pytest.mark.trains
def test_optimizer_made_on_import_is_one_line(place: Place) -> None:
    """With the line in the file."""
    write_competition(place.folder / "data")
    (place.folder / "net.py").write_text(ON_IMPORT)
    done = place.run("create", "--data", "data", "--model", "net.py:build", code=1)
    assert "net.py:3: TensorFlow begins to compute while the file is imported" in done.error


def test_none_goes_from_the_space_to_the_trials_and_back(place: Place) -> None:
    """Through the spec, SQL, TOML and a person's own params."""
    (place.folder / "mine.py").write_text(WITH_NONE)
    what = ["--study", "s", "--objective", "mine.py:Mine"]
    place.run("create", *what, "--n-trials", 4)
    (place.folder / "own.toml").write_text("regularizer = { none = true }\nrate = 0.25\n")
    place.run("add", "--study", "s", "--params", "own.toml")
    place.run("run", "--study", "s", "--workers", 1)
    rows = place.json("trials", "--study", "s")
    params = [row["params"] for row in (rows["trials"] if isinstance(rows, dict) else rows)]
    assert {"regularizer": None, "rate": 0.25} in params
    assert {"regularizer": "l2"} in params
    (place.folder / "space.toml").write_text(place.run("space", "--study", "s").out)
    again = ["--study", "t", "--objective", "mine.py:Mine", "--space", "space.toml"]
    place.run("create", *again, "--n-trials", 4)
    assert place.run("space", "--study", "t").out == place.run("space", "--study", "s").out
