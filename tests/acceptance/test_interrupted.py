"""Real trainings that are killed in the middle: what comes out is what would have come out."""

import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.competition import hash_of, write_competition
from tests.acceptance.processes import Place, Running, is_alive
from tests.acceptance.synthetic import look, rows_of

pytestmark = pytest.mark.trains

N_SLOTS = 2
MODEL = """
import time
import keras

SPACE = {
    "units": [8, 16, 24],
    "dropout": [0.1, 0.2],
    "learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
    "shift": [0.0, 0.1],
}

class Slow(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.3)

def callbacks(params):
    return [Slow()]

def build(params, image_shape, n_classes):
    layers = keras.layers
    return keras.Sequential([
        keras.Input(image_shape),
        layers.Flatten(),
        layers.Dense(params["units"], activation="relu"),
        layers.BatchNormalization(),
        layers.Dropout(params["dropout"]),
        layers.Dense(n_classes, activation="softmax", dtype="float32"),
    ])
"""


def arguments(name: str, *more: object) -> list[object]:
    """A study NAME in NAME.db, with a submission in NAME."""
    storage = ["--storage", f"sqlite:///{name}.db", "--study", name, "--data", "data"]
    sizes = ["--model", "net.py:build", "--n-trials", N_SLOTS, "--epochs", 5, "--workers", 2]
    return ["run", *storage, *sizes, "--finalize", "--quick", "--out", name, *more]


def values(place: Place, name: str) -> dict[int, tuple[Any, ...]]:
    """Slot to params, value and reports of the COMPLETE trials."""
    rows = rows_of(f"sqlite:///{place.folder}/{name}.db", name)
    done = [row for row in rows if row["state"] == "COMPLETE"]
    assert len(done) == N_SLOTS
    return {row["slot"]: (row["params"], row["value"], row["intermediate"]) for row in done}


@pytest.fixture(scope="module")
def calm(shared: Place) -> Place:
    """A place in which the study 'calm' ran undisturbed."""
    write_competition(shared.folder / "data")
    (shared.folder / "net.py").write_text(MODEL)
    shared.run(*arguments("calm"))
    return shared


def kept(place: Place, name: str) -> list[Path]:
    """The files below the folders of the study's slots."""
    found = (place.folder / f"{name}.work").glob("*/slots/**/*")
    return sorted(path for path in found if path.is_file())


def is_at(place: Place, name: str, n_epochs: int) -> bool:
    """Whether a trial in progress has finished so many epochs."""
    if not kept(place, name):  # nor need there be a study yet
        return False
    workers = look(f"sqlite:///{place.folder}/{name}.db", name).workers
    return any(w.state == "training" and (w.epoch or 0) >= n_epochs for w in workers)


def kill_all(place: Place, running: Running, name: str) -> None:
    """SIGKILL to the supervisor and its workers: as if the machine had lost its power."""
    workers = look(f"sqlite:///{place.folder}/{name}.db", name).workers
    running.send(signal.SIGKILL)
    running.process.wait()
    for worker in workers:
        if worker.pid is not None and is_alive(worker.pid):
            os.kill(worker.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def killed(calm: Place) -> str:
    """What was said by the last of three runs of the study 'killed': the others were killed."""
    quick = ["--grace", "3s", "--heartbeat", "1s"]
    for epochs in (1, 3):
        with calm.start(*arguments("killed", *quick)) as running:
            running.wait_until(partial(is_at, calm, "killed", epochs))
            kill_all(calm, running, "killed")
    return calm.run(*arguments("killed", *quick)).err


def test_killed_search_goes_on_from_its_checkpoints_to_the_same_submission(
    calm: Place, killed: str
) -> None:
    """Params, values, curves and the submission's bytes, after two kills of everything."""
    assert "interrupted: slot " in killed
    assert values(calm, "killed") == values(calm, "calm")
    first, second = (calm.folder / name / "submission.csv" for name in ("calm", "killed"))
    assert hash_of(first) == hash_of(second)
    rows = rows_of(f"sqlite:///{calm.folder}/killed.db", "killed")
    assert {row["reason"] for row in rows if row["state"] == "FAIL"} <= {"lost", "released"}


def test_checkpoints_of_the_winner_alone_are_kept(calm: Place) -> None:
    """And nothing that is half written."""
    best = look(f"sqlite:///{calm.folder}/calm.db", "calm").best
    assert best is not None
    assert {path.parent.parent.name for path in kept(calm, "calm")} == {str(best.slot)}
    assert {path.suffix for path in kept(calm, "calm")} == {".ckpt"}


def test_stopped_run_is_not_finalized(calm: Place) -> None:
    """The first signal ends the search; a submission of half a search nobody has asked for."""
    with calm.start(*arguments("stopped")) as running:
        running.wait_until(lambda: kept(calm, "stopped"))
        running.send(signal.SIGTERM)
        assert running.wait().code == 0
    assert not (calm.folder / "stopped").exists()


@pytest.mark.usefixtures("killed")
def test_trial_is_the_same_again_when_it_is_replayed(calm: Place) -> None:
    """One that was interrupted too: exit code 0, and JSON that says so."""
    found = calm.run("replay", "slot:0", "--storage", "sqlite:///killed.db", "--json")
    assert json.loads(found.out) == {"same": True, "first_difference": None}
