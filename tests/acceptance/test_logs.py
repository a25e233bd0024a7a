"""`study logs` of trials that real workers run: whole, from the database, and as they grow."""

import shutil

from tests.acceptance.processes import Place, _text

# Prints before each step, and waits before its last one until a file called `go` is there.
TALKING = """
import time
from pathlib import Path

class Talking:
    direction = "minimize"
    needs_data = False
    space = {"x": [1, 2, 3, 4]}

    def load(self, data_dir):
        return None

    def fit(self, params, dataset, *, seed, report, resume_dir):
        from objectives.base import Fitted

        print("talking of the first step")
        report(0, 0.5)
        while not Path("go").exists():
            time.sleep(0.05)
        if params["x"] > 2:
            raise ValueError("above two")
        print("talking of the last step")
        report(1, 0.25)
        return Fitted(0.25, None)

    def predict(self, fitted, images):
        raise NotImplementedError
"""


def talking(place: Place) -> list[str]:
    """Write the objective and return the arguments that name it."""
    (place.folder / "talking.py").write_text(TALKING)
    return ["--study", "s", "--objective", "talking.py:Talking"]


def test_log_of_a_running_trial_is_followed_to_its_end(place: Place) -> None:
    """What it prints is shown while it trains, and the command ends with the trial."""
    place.run("create", *talking(place), "--n-trials", 1)
    with (
        place.start("worker", "--study", "s") as worker,
        place.start(
            "logs", "slot:0", "--study", "s", "--follow", PYTHONUNBUFFERED="1"
        ) as following,
    ):
        following.wait_until(lambda: "talking of the first step" in _text(following._out))
        (place.folder / "go").touch()
        done = following.wait()
        worker.wait()
    assert done.code == 0
    assert done.err == ""
    assert done.out == place.run("logs", "slot:0", "--study", "s").out


def test_log_of_a_failed_trial_is_kept_where_every_machine_sees_it(place: Place) -> None:
    """Its end, with the traceback, is shown without the file; of a complete one there is none."""
    (place.folder / "go").touch()
    place.run("run", *talking(place), "--n-trials", 4, "--workers", 1, code=3)
    rows = place.json("trials", "--study", "s")
    failed = next(row for row in rows if row["params"]["x"] > 2)
    complete = next(row for row in rows if row["params"]["x"] <= 2)
    whole = place.run("logs", failed["trial"]).out
    assert "talking of the first step\n" in whole
    assert "ValueError: above two" in whole
    shutil.rmtree(place.folder / "s.work")
    kept = place.run("logs", failed["trial"]).out
    assert kept.splitlines() == whole.splitlines()[: len(kept.splitlines())]
    assert "ValueError: above two" in kept
    refused = place.run("logs", complete["trial"], code=1)
    assert refused.error.startswith(f"no log of trial {complete['trial']} of study 's' here, in ")
    assert "--work-dir DIR" in refused.hint
