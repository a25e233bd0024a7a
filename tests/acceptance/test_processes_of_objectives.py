"""Objectives that use processes of their own: no slot is begun twice, and none is lost."""

from pathlib import Path

import pytest

from tests.acceptance.competition import write_competition
from tests.acceptance.processes import Place
from tests.acceptance.synthetic import look, rows_of

N_SLOTS = 6  # as many as there are values: a slot has each
# Each fold ends a pool, and with it processes that were forked from the worker. One process ends
# as if it were the worker, one is left behind, and one slot is pruned by a process of a pool.
POOLS = """
import multiprocessing
import os
import sys
import time

import optuna

from objectives.base import Fitted


def squared(x):
    if x > 5:
        raise optuna.TrialPruned
    return x * x


class Pools:
    direction, needs_data = "minimize", False
    space = {"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}

    def __init__(self, how="fork"):
        self.how = multiprocessing.get_context(how)

    def load(self, data_dir):
        return None

    def fit(self, params, dataset, *, seed, report, resume_dir):
        total = 0.0
        for fold in range(3):
            report(fold, float(fold))
            with self.how.Pool(2) as pool:
                total += sum(pool.map(squared, [params["x"], fold]))
        if os.fork() == 0:
            sys.exit(0)
        os.wait()
        self.how.Process(target=time.sleep, args=(600,), daemon=True).start()
        return Fitted(value=total, model=None)

    def predict(self, fitted, images):
        raise NotImplementedError
"""
VALUES = {x: 3 * x * x + 0 + 1 + 4 for x in (1.0, 2.0, 3.0, 4.0, 5.0)}
MODEL = """
from multiprocessing import Pool

import keras

SPACE = {"units": [4, 8]}


def n_units(units):
    return units


def build(params, image_shape, n_classes):
    with Pool(2) as pool:
        (units,) = pool.map(n_units, [params["units"]])
    layers = keras.layers
    body = [layers.Flatten(), layers.Dense(units), layers.Dense(n_classes, activation="softmax")]
    return keras.Sequential([keras.Input(image_shape), *body])
"""


def check(url: str) -> None:
    """Fail unless each slot has one attempt, which is complete or pruned as its param says."""
    rows = rows_of(url, "s")
    assert look(url, "s").attempts == len(rows) == N_SLOTS
    for row in rows:
        x, pruned = row["params"]["x"], row["params"]["x"] == 6
        assert (row["state"], row["reason"]) == ("PRUNED" if pruned else "COMPLETE", None)
        assert row["value"] == (0.0 if pruned else VALUES[x])  # pruned: as last reported


@pytest.mark.parametrize("database", ["sqlite_url", "postgres_url"])
def test_pools_of_an_objective_never_drain_its_worker(
    request: pytest.FixtureRequest, place: Place, database: str
) -> None:
    """Every end of a pool sends SIGTERM to processes that were forked from the worker."""
    url = request.getfixturevalue(database)
    (place.folder / "pools.py").write_text(POOLS)
    where = ["--storage", url, "--study", "s", "--objective", "pools.py:Pools"]
    done = place.run("run", *where, "--n-trials", N_SLOTS, "--workers", 2, "--seed", 1)
    assert "stopped from outside" not in done.err
    check(url)


def test_spawned_processes_find_the_functions_of_a_users_file(
    place: Place, sqlite_url: str
) -> None:
    """They import them by a name that is ours; a pool whose processes cannot would hang."""
    (place.folder / "pools.py").write_text(POOLS)
    where = ["--storage", sqlite_url, "--study", "s", "--objective", "pools.py:Pools"]
    options = ["--objective-option", "how=spawn", "--n-trials", 1, "--workers", 1, "--seed", 1]
    place.run("run", *where, *options)
    (row,) = rows_of(sqlite_url, "s")
    assert row["value"] == VALUES[row["params"]["x"]]
    assert not (place.folder / "__pycache__").exists()


@pytest.mark.trains
def test_build_of_a_model_may_use_a_pool(place: Place, sqlite_url: str, tmp_path: Path) -> None:
    """In the try-out, in trials and in the retraining."""
    write_competition(place.folder / "data")
    (place.folder / "net.py").write_text(MODEL)
    where = ["--storage", sqlite_url, "--study", "s", "--data", "data"]
    sizes = ["--model", "net.py:build", "--n-trials", 1, "--epochs", 1, "--workers", 1]
    place.run("run", *where, *sizes, "--finalize", "--quick", "--out", "out")
    assert [row["state"] for row in rows_of(sqlite_url, "s")] == ["COMPLETE"]
    assert (place.folder / "out" / "submission.csv").is_file()
