"""A search that is ready for its finalize, with an objective that needs no Keras: it is quick.

Its trainings on folds can be held: while the file `hold` is there, whoever has the first labelled
row among its valid rows waits, and hears a stop. What was trained stands in the file `fits`.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from storage import attrs
from storage.rdb import open_storage
from storage.slots.slots import Draw
from study.spec.open import open_study
from tests.acceptance.competition import DIGITS, rows_in, write_competition
from tests.acceptance.processes import Place, Running
from tests.acceptance.synthetic import Rows, rows_of

N_TRIALS = 4
# The first labelled row is in fold 2: when it is held, the race is over and two folds are to come.
EFFORT = ["--top-k", 2, "--folds", 4, "--longer", 1, "--seeds", 2]
HELD_FOLD = 2
N_FOLDS, N_REFITS = 5, 7  # on folds; and of all, as the first network is one of the two seeds
SOFTMAX = """
import time
from pathlib import Path
import numpy as np
from objectives.base import Fitted
from objectives.data.dataset import load_dataset

HERE = Path(__file__).parent

class Softmax:
    direction = "maximize"
    needs_data = True
    space = {"rate": {"low": 0.05, "high": 0.5}}

    def __init__(self, epochs):
        self.epochs = epochs

    def load(self, data_dir):
        return load_dataset(data_dir)

    def fit(self, params, dataset, *, seed, report, resume_dir):
        with (HERE / "fits").open("a") as file:
            file.write(f"{seed}\\n")
        rows, valid = dataset.train.rows, dataset.valid.rows
        images = dataset.images.reshape(len(dataset.labels), -1) / 255 - 0.3
        wanted = np.eye(dataset.n_classes)[dataset.labels[rows]]
        random = np.random.Generator(np.random.Philox(seed))
        weights = random.standard_normal((images.shape[1], dataset.n_classes))
        for epoch in range(self.epochs):
            error = softmax(images[rows] @ weights) - wanted
            weights -= params["rate"] * images[rows].T @ error / len(rows)
            value = None
            if len(valid):
                right = (images[valid] @ weights).argmax(axis=1) == dataset.labels[valid]
                value = float(right.mean())
            report(epoch, value)
            while 0 in valid and epoch == 1 and (HERE / "hold").exists():
                time.sleep(0.1)
                report(epoch, value)
        return Fitted(value=value, model=weights)

    def predict(self, fitted, images):
        return softmax((images.reshape(len(images), -1) / 255 - 0.3) @ fitted.model)

def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)
"""


def search(place: Place) -> Place:
    """Make `data/` and a finished study 'digits' in `search.db`, which nobody finalizes."""
    write_competition(place.folder / "data")
    (place.folder / "softmax.py").write_text(SOFTMAX)
    place.run("run", *defining("search"), "--workers", 2)
    return place


def search_again(place: Place, name: str) -> None:
    """Make the same study in NAME.db, in which every slot but the last was given back once."""
    place.run("create", *defining(name))
    storage = open_storage(f"sqlite:///{place.folder}/{name}.db", create=False)
    slots = open_study(storage, "digits").slots
    for _ in range(N_TRIALS - 1):
        claim = slots.claim("test:1", lambda slot: Draw(user_attrs={attrs.SEED: 0}))
        assert claim is not None
        slots.release(claim)
    storage.close()
    place.run("run", *defining(name), "--workers", 2)


def defining(name: str) -> list[object]:
    """The options of the search in NAME.db."""
    where = ["--storage", f"sqlite:///{name}.db", "--study", "digits", "--data", "data"]
    lease = ["--grace", "3s", "--heartbeat", "1s"]
    sizes = ["--objective", "softmax.py:Softmax", "--n-trials", N_TRIALS, "--epochs", 12]
    return [*where, *lease, *sizes]


def url_of(place: Place, name: str, like: str = "search") -> str:
    """Of the database NAME.db; made as a copy of LIKE.db where it is not there."""
    path = place.folder / f"{name}.db"
    if not path.exists():
        # A copied file would lack what stands in the write-ahead log.
        with (
            closing(sqlite3.connect(place.folder / f"{like}.db")) as there,
            closing(sqlite3.connect(path)) as here,
        ):
            there.backup(here)
    return f"sqlite:///{path}"


def command(place: Place, name: str, *more: object) -> list[object]:
    """A finalize of the search in NAME.db, with its outputs in NAME, by one worker."""
    where = ["--storage", url_of(place, name), "--out", name]
    return ["finalize", *where, *EFFORT, "--workers", 1, *more]


def fits(place: Place) -> int:
    """How many trainings were begun by now, by anybody."""
    return len((place.folder / "fits").read_text().splitlines())


def refits(place: Place, name: str) -> Rows:
    """The trials of the companion, as `study trials --json` has them."""
    return rows_of(url_of(place, name), "digits.finalize")


def on_folds(place: Place, name: str, state: str) -> Rows:
    """Those of them that hold out a fold and are in a state; the first submission comes before."""
    if not (place.folder / name / "manifest.json").exists():
        return []
    rows = refits(place, name)
    return [row for row in rows if row["state"] == state and row["params"].get("fold")]


@contextmanager
def held(place: Place, name: str, *more: object) -> Iterator[Running]:
    """A finalize in the middle of its folds: some are complete, and others will not be."""
    hold = place.folder / "hold"
    hold.touch()
    try:
        with place.start(*command(place, name, *more)) as running:
            running.wait_until(
                lambda: any(
                    row["params"]["fold"] == HELD_FOLD for row in on_folds(place, name, "RUNNING")
                )
            )
            yield running
    finally:
        hold.unlink(missing_ok=True)


def manifest(place: Place, name: str) -> dict[str, Any]:
    """The manifest, but for the time at which it was written."""
    found: dict[str, Any] = json.loads((place.folder / name / "manifest.json").read_text())
    del found["created_at"]
    return found


def outputs(place: Place, name: str) -> tuple[bytes, dict[str, Any]]:
    """What two finalizes of one search must agree on byte for byte.

    Not what they have cost: with more workers, networks of the best trial are trained beside the
    first, and are left over where another trial is chosen. Which one is, rests on the kernels.
    """
    found = manifest(place, name)
    del found["cost"], found["outputs"]["model_card.md"]  # the card tells the cost
    found["outputs"].pop("report.html", None)  # it tells the time, and how each trial ended
    return (place.folder / name / "submission.csv").read_bytes(), found


def check_submission(place: Place, name: str) -> None:
    """Fail where the submission is not what the sample says: columns, ids, labels."""
    rows = rows_in(place.folder / name / "submission.csv")
    sample = rows_in(place.folder / "data" / "sample_submission.csv")
    assert rows[0] == sample[0]
    assert [row[0] for row in rows] == [row[0] for row in sample]
    assert {row[1] for row in rows[1:]} <= set(DIGITS)
