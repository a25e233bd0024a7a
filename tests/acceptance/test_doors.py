"""Both doors: a network of one's own, and an objective of one's own, from another folder."""

import json
from pathlib import Path

import pytest

from storage.rdb import open_storage
from tests.acceptance.centroids import CENTROIDS
from tests.acceptance.competition import N_TEST, rows_in, write_competition
from tests.acceptance.processes import Place
from tests.acceptance.synthetic import look

pytestmark = pytest.mark.trains

# What a user writes; it must stay this short.
NET = """
import keras
from keras import layers

SPACE = {"units": [4, 8, 12], "learning_rate": {"low": 3e-3, "high": 1e-2, "log": True}}

def build(params, image_shape, n_classes):
    return keras.Sequential([
        keras.Input(image_shape),
        layers.Flatten(),
        layers.Dense(params["units"], activation="relu"),
        layers.Dense(n_classes, activation="softmax"),
    ])
""".strip()

# Without patience: two epochs, whatever comes of them.
CALLBACKS = """

def callbacks(params):
    return [keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=10.0)]
"""


@pytest.fixture(scope="module")
def with_data(shared: Place) -> Place:
    """A place with `data/`, and the user's files in `code/` beside its folder."""
    answers = write_competition(shared.folder / "data")
    (shared.folder / "answers.txt").write_text(" ".join(answers))
    (shared.folder.parent / "code").mkdir()
    return shared


def code_file(place: Place, name: str, text: str) -> Path:
    """Write a file of the user's, outside the current folder."""
    path = place.folder.parent / "code" / name
    path.write_text(text)
    return path


def test_model_file_goes_from_typo_to_submission(with_data: Place) -> None:
    """A typo ends in one line and an empty study; mended, it fits under the same name.

    What its callbacks stop early in the search trains as long on all rows, where nothing stops it.
    """
    assert len(NET.splitlines()) < 15
    storage = "sqlite:///net.db"
    options = ["--storage", storage, "--study", "net", "--data", "data", "--n-trials", 2]
    net = code_file(with_data, "net.py", NET.replace("layers.Dense(params", "layers.Dens(params"))
    options += ["--model", f"../code/{net.name}:build", "--epochs", 4, "--workers", 1]
    refused = with_data.run("run", *options, code=1)
    assert "Dens" in refused.error
    assert "net.py, line 10, in build" in refused.error
    opened = open_storage(f"sqlite:///{with_data.folder}/net.db", create=False)
    assert opened.get_n_trials(opened.get_study_id_from_name("net")) == 0
    opened.close()
    net.write_text(NET + CALLBACKS)
    with_data.run("run", *options, "--finalize", "--out", "net")
    found = json.loads((with_data.folder / "net" / "manifest.json").read_text())
    assert (found["epochs"], found["stopped_after"]) == (4, 2)
    card = (with_data.folder / "net" / "model_card.md").read_text()
    assert "On all rows it trained 2 of 4 epochs" in card
    assert len(rows_in(with_data.folder / "net" / "submission.csv")) == N_TEST + 1
    status = look(f"sqlite:///{with_data.folder}/net.db", "net")
    assert (status.complete, status.attempts) == (2, 2)
    assert status.best is not None
    assert set(status.best.params) == {"units", "learning_rate"}


def test_changed_model_file_is_refused(with_data: Place) -> None:
    """A worker that brings another network than the study was created with does not train it."""
    mine = code_file(with_data, "mine.py", CENTROIDS)
    options = ["--storage", "sqlite:///mine.db", "--data", "data"]
    with_data.run("create", *options, "--objective", f"{mine}:Centroids", "--n-trials", 1)
    mine.write_text(CENTROIDS.replace("argmax", "argmin"))
    refused = with_data.run("worker", *options, "--workers", 1, code=1)
    assert refused.error == "study 'data' was created with another objective's code"


@pytest.mark.parametrize("way", ["file", "dotted"])
def test_whole_door_searches_and_finalizes_without_an_export(with_data: Place, way: str) -> None:
    """An objective of one's own, with an option; there is a submission and no model.keras.

    It is right on every image: each id has the label that its image was given.
    """
    file = code_file(with_data, f"door_{way}.py", CENTROIDS)
    reference = f"{file}:Centroids" if way == "file" else f"door_{way}:Centroids"
    path = f"{with_data.environment['PYTHONPATH']}:{file.parent}"
    options = ["--storage", f"sqlite:///{way}.db", "--study", "own", "--data", "data"]
    options += ["--objective", reference, "--objective-option", "offset=1", "--n-trials", 3]
    done = with_data.run("run", *options, "--finalize", "--out", way, PYTHONPATH=path)
    assert "exports no model" in done.err
    out = with_data.folder / way
    answers = (with_data.folder / "answers.txt").read_text().split()
    assert [row[1] for row in rows_in(out / "submission.csv")[1:]] == answers
    names = {"submission.csv", "model_card.md", "manifest.json", "report.html"}
    assert {path.name for path in out.iterdir()} == names
    assert look(f"sqlite:///{with_data.folder}/{way}.db", "own").complete == 3


BROKEN = [
    ("def oops(:\n", "make", ":1: syntax error: "),
    ("import no_such_package_here\n", "make", ":1: ModuleNotFoundError: "),
    ("x = 1\n", "make", " has no 'make'"),
    ("make = 3\n", "make", "neither an objective nor a function that returns one"),
    (
        "class make:\n    direction = 'maximize'\n",
        "make",
        "is not an objective: it has no needs_da",
    ),
]


@pytest.mark.parametrize(("text", "name", "message"), BROKEN)
def test_broken_file_is_one_line_and_no_database(
    place: Place, text: str, name: str, message: str
) -> None:
    """The file and the line in it are named."""
    (place.folder / "broken.py").write_text(text)
    refused = place.run("run", "--objective", f"broken.py:{name}", code=1)
    assert "broken.py" in refused.error
    assert message in refused.error
    assert [path.name for path in place.folder.iterdir()] == ["broken.py"]
