"""Makes what lies beside this file: studies that were interrupted, and what becomes of them.

    python -m tests.legacy.make --code FOLDER

FOLDER holds a checkout of the version that is to be the last one: all trainings are its own. What
it writes is read by `tests/acceptance/test_legacy.py`. Nothing waits for a fixed time: a worker is
told to leave once it has claimed a trial, and does so after the trial's first epoch.
"""

import argparse
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from tests.acceptance import legacy, processes
from tests.acceptance.legacy import CALM, EFFORT, FOLDER, REFITS, STORED, WHERE
from tests.acceptance.processes import Place, Running

N_TRAIN, N_TEST, N_CLASSES, SIDE = 96, 16, 4, 8
SPACE = """
n_blocks = 1
filters_1 = [3, 4]
kernel = 3
dense_units = 8
dropout = { low = 0.1, high = 0.3 }
optimizer = ["adam", "rmsprop"]
batch_size = 16
"""
SIZES = ["--epochs", 2, "--seed", 11, "--threads", 1, "--precision", "float32"]
DEFINING = ["--data", "data", "--space", "space.toml", "--metric", "log_loss", *SIZES]
N_SLOTS = {"study": 4, "finalize": 3}
STOPPED_SLOT, N_ON_FOLDS = 2, 2
MOST_TRIES = 5


def write_data(folder: Path) -> None:
    """Write noisy images of four classes as Kaggle's three files."""
    random = np.random.default_rng(0)
    labels = np.arange(N_TRAIN + N_TEST) % N_CLASSES
    shapes = random.integers(0, 2, (N_CLASSES, SIDE * SIDE)) * 6 + 1
    pixels = (shapes[labels] + random.integers(0, 4, (len(labels), SIDE * SIDE))) * 9
    header = ",".join(f"pixel{n}" for n in range(SIDE * SIDE))
    lines = [",".join(map(str, row)) for row in pixels]
    train = [f"{k},{line}" for k, line in zip(labels[:N_TRAIN], lines, strict=False)]
    sample = [f"{n},0" for n in range(1, N_TEST + 1)]
    folder.mkdir()
    for name, head, rows in (
        ("train", f"label,{header}", train),
        ("test", header, lines[N_TRAIN:]),
        ("sample_submission", "ImageId,Label", sample),
    ):
        (folder / f"{name}.csv").write_text("\n".join([head, *rows, ""]))


def stopped(running: Running, is_there: Callable[[], Any]) -> None:
    """Stop what runs once `is_there`: the trial that was claimed just now ends its first epoch."""
    running.wait_until(is_there)
    running.send(signal.SIGTERM)
    running.wait()


def rows(place: Place, study: str) -> list[dict[str, Any]]:
    """The trials, read as they are while a program writes; none before there is a study."""
    with closing(sqlite3.connect(place.folder / "study.db")) as database:
        try:
            found = database.execute(
                "SELECT state, (SELECT value_json FROM trial_user_attributes AS a WHERE a.key = "
                "'slot' AND a.trial_id = t.trial_id) FROM trials AS t JOIN studies USING (study_id)"
                " WHERE study_name = ?", (study,),
            ).fetchall()  # fmt: skip
        except sqlite3.OperationalError:
            return []
    return [{"state": state, "slot": int(slot)} for state, slot in found]


def in_state(place: Place, study: str, state: str) -> list[int]:
    """The slots with a trial in a state."""
    return [row["slot"] for row in rows(place, study) if row["state"] == state]


def make_study(place: Place) -> bool:
    """Two slots that are complete, one that was stopped after an epoch, one not begun."""
    command = ["run", *WHERE, *CALM, *DEFINING, "--keep-checkpoints", "all"]
    with place.start(*command, "--n-trials", N_SLOTS["study"]) as running:
        stopped(running, lambda: STOPPED_SLOT in in_state(place, "digits", "RUNNING"))
    found = [(row["slot"], row["state"]) for row in legacy.trials(place)]
    wanted = [(0, "COMPLETE"), (1, "COMPLETE"), (2, "FAIL"), (3, "WAITING"), (2, "WAITING")]
    n_kept = sum("/slots/2/" in path for path in legacy.checkpoints(place))
    return found == wanted and n_kept == 1


def make_finalize(place: Place) -> bool:
    """A finished search; its finalize has a submission, and was stopped in its third fold."""
    place.run("run", *WHERE, *CALM, *DEFINING, "--n-trials", N_SLOTS["finalize"])
    command = [*WHERE, *EFFORT, *CALM, "--out", "out"]

    def is_there() -> bool:
        n_done = len(in_state(place, REFITS, "COMPLETE"))
        return n_done == 1 + N_ON_FOLDS and bool(in_state(place, REFITS, "RUNNING"))

    with place.start(*command, python=("-m", "study.finalize")) as running:
        stopped(running, is_there)
    states = [row["state"] for row in legacy.trials(place, REFITS)]
    return (
        sorted(states) == ["COMPLETE"] * 3 + ["FAIL"] + ["WAITING"] * 2
        and not (place.folder / "out" / "report.html").exists()
    )


def store(name: str, place: Place) -> None:
    """Keep the database as text, checkpoints and outputs."""
    folder = STORED / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with closing(sqlite3.connect(place.folder / "study.db")) as database:
        text = "\n".join(database.iterdump())
    (folder / "study.sql").write_text(text.replace(str(place.folder), FOLDER) + "\n", "utf-8")
    for path in sorted((place.folder / "work").glob("*/slots")):
        shutil.copytree(path, folder / "work" / path.parent.name / "slots")
        shutil.copy(path.parent / "marker", folder / "work" / path.parent.name)
    if (place.folder / "out").exists():
        shutil.copytree(place.folder / "out", folder / "out")


def place_for(code: Path, base: Path, name: str) -> Place:
    """An empty place whose commands run the code of a checkout."""
    (base / name).mkdir(parents=True)
    return Place.under(base / name, {"PYTHONPATH": str(code), "CUDA_VISIBLE_DEVICES": ""})


def made(code: Path, base: Path, name: str, make: Callable[[Place], bool]) -> Place:
    """Make a study until it was stopped where it should be."""
    for number in range(MOST_TRIES):
        place = place_for(code, base, f"{name}-{number}")
        shutil.copytree(STORED / "data", place.folder / "data")
        (place.folder / "space.toml").write_text(SPACE)
        if make(place):
            return place
        print(f"{name}: stopped elsewhere; once more", file=sys.stderr)
    raise SystemExit(f"{name}: not stopped where it should be")


def main() -> None:
    """Make all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code", type=Path, required=True)
    processes.IS_WARM = False  # its program is that of this checkout
    code = parser.parse_args().code.resolve()
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=code, text=True).strip()
    shutil.rmtree(STORED / "data", ignore_errors=True)
    write_data(STORED / "data")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        expected: dict[str, Any] = {"made_by": head, **legacy.probed(place_for(code, base, "p"))}
        for name, make in (("study", make_study), ("finalize", make_finalize)):
            store(name, made(code, base, name, make))
            place = place_for(code, base, f"{name}-again")
            legacy.put(name, place)
            before = legacy.summary(name, place)
            legacy.go_on(name, place)
            expected[name] = {"before": before, "after": legacy.summary(name, place)}
    (STORED / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
