"""A run with a limit and `--finalize`: within it there is a submission, too."""

import pytest

from tests.acceptance.competition import DIGITS, N_TEST, rows_in, write_competition
from tests.acceptance.processes import Place
from tests.acceptance.synthetic import look, rows_of

TIMEOUT_S = 20.0
"""Half of it is kept: the search has ten seconds, and ten more to end before the limit."""

# Trains nothing and loads no Keras: its param is its value, and the answer to every image.
CONSTANT = """
import time
import numpy as np
from objectives.base import Fitted
from objectives.data.dataset import load_dataset

class Constant:
    direction = "maximize"
    needs_data = True
    space = {"answer": [0, 1, 2, 3], "x": {"low": 0.0, "high": 1.0}}

    def load(self, data_dir):
        return load_dataset(data_dir)

    def fit(self, params, dataset, *, seed, report, resume_dir):
        if len(dataset.valid) == 0:  # all rows: this is the retraining
            return Fitted(value=None, model=params["answer"])
        for step in range(6):
            time.sleep(0.05)
            report(step, params["x"])
        return Fitted(value=params["x"], model=params["answer"])

    def predict(self, fitted, images):
        return np.tile(np.eye(4, dtype=np.float32)[fitted.model], (len(images), 1))
"""


@pytest.fixture
def competition(place: Place) -> Place:
    """A place with `data/` and the objective in `constant.py`."""
    write_competition(place.folder / "data")
    (place.folder / "constant.py").write_text(CONSTANT)
    return place


def test_search_ends_in_time_for_its_finalize(competition: Place, sqlite_url: str) -> None:
    """One command, exit code 0: slots are left, time is left, and the submission is there."""
    where = ["--storage", sqlite_url, "--study", "s", "--data", "data"]
    sizes = ["--objective", "constant.py:Constant", "--n-trials", 400, "--workers", 1]
    limits = ["--timeout", f"{TIMEOUT_S:g}s", "--finalize", "--out", "out"]
    done = competition.run("run", *where, *sizes, *limits)
    status = look(sqlite_url, "s")
    assert 0 < status.complete < 400
    assert (status.running, status.failed, status.workers) == (0, 0, [])
    assert TIMEOUT_S / 2 <= status.seen.used_s < TIMEOUT_S
    assert {row["reason"] for row in rows_of(sqlite_url, "s")} <= {None, "released"}
    assert status.best is not None
    rows = rows_in(competition.folder / "out" / "submission.csv")
    assert [row[1] for row in rows[1:]] == [DIGITS[status.best.params["answer"]]] * N_TEST
    assert "training the best trial on all rows" in done.err
    assert f"submission.csv ready: {N_TEST} rows" in done.err
