"""What the studies of a chaos tune, and what must come out of them.

The synthetic objective's results are pure functions, worked out in this process. A training's are
those of the same study, run once with nothing in its way.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from objectives.synthetic import SyntheticObjective
from tests.acceptance.synthetic import expected_on_rungs
from tests.chaos.databases import Row, Witness
from tests.chaos.processes import environment_of, run_study

N_EPOCHS = 8
N_TRAIN, N_TEST = 200, 60
PIXELS = [f"pixel{n}" for n in range(64)]
STUDY_LIMIT_S = 900.0
RUNGS = (2, 4, N_EPOCHS)  # of a study with rungs, of which the best third is promoted

MODEL = """
import time

import keras

SPACE = {
    "filters": [4, 8],
    "dropout": {"low": 0.0, "high": 0.4},
    "learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
}


def build(params, image_shape, n_classes):
    images = keras.Input(image_shape)
    found = keras.layers.Conv2D(params["filters"], 3, activation="relu")(images)
    found = keras.layers.Dropout(params["dropout"])(keras.layers.Flatten()(found))
    return keras.Model(images, keras.layers.Dense(n_classes, activation="softmax")(found))


class Slow(keras.callbacks.Callback):  # so that faults come in the midst of a training
    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.4)


def callbacks(params):
    return [Slow()]
"""


@dataclass(frozen=True)
class Truth:
    """What a slot must give; `from_slot` is None on rung 0."""

    params: dict[str, Any]
    value: float
    curve: dict[int, float]
    rung: int = 0
    from_slot: int | None = None


class Tuned(Protocol):
    """An objective of the chaos.

    Attributes:
        has_ledger: Whether it writes one.
        stall_s: A slot becomes final in this time, or the study is stuck.
        gap_s: The shortest and the longest time between two faults.
        workers: Of `study run` and of `study worker`.
    """

    name: str
    has_ledger: bool
    stall_s: float
    gap_s: tuple[float, float]
    workers: tuple[int, int]

    def defining(self, folder: Path) -> list[object]:
        """Return the options that define a study of it, whose files lie in `folder`."""

    def truth(self, n_draws: int) -> dict[int, Truth]:
        """Return slot to what it must give, in a study of so many draws."""

    def submission(self) -> bytes | None:
        """Return the submission that must come out; None where there is none."""


class Synthetic:
    """Trains nothing, reports every 0.15 s, and writes a ledger beside the database.

    Args:
        sleep_s: How long a trial lasts.
        n_steps: Its reports.
        has_rungs: Whether the best slots are trained again.
    """

    name, has_ledger = "synthetic", True
    stall_s, gap_s, workers = 120.0, (0.2, 0.7), (2, 2)

    def __init__(self, sleep_s: float = 1.8, n_steps: int = 12, *, has_rungs: bool = False) -> None:
        self._sleep_s, self._n_steps, self._has_rungs = sleep_s, n_steps, has_rungs

    def defining(self, folder: Path) -> list[object]:
        """Return the options; the ledger lies in the folder."""
        options = {
            "sleep_s": self._sleep_s,
            "n_steps": self._n_steps,
            "ledger": ledger_in(folder),
        }
        pairs = [("--objective-option", f"{key}={value}") for key, value in options.items()]
        words = ["--objective", "synthetic", *(word for pair in pairs for word in pair)]
        return [*words, *_rungs_option()] if self._has_rungs else list(words)

    def truth(self, n_draws: int) -> dict[int, Truth]:
        """Work it out: params, value and each report are pure functions of the slot."""
        objective = SyntheticObjective(n_steps=str(self._n_steps))
        found = {}
        for slot, one in expected_on_rungs(n_draws, len(RUNGS) if self._has_rungs else 1).items():
            curve: dict[int, float] = {}
            report = curve.__setitem__
            objective.fit(one.params, None, seed=one.seed, report=report, resume_dir=None)
            found[slot] = Truth(one.params, one.value, curve, one.rung, one.from_slot)
        return found

    def submission(self) -> None:
        """There is nothing to predict."""


class Training:
    """A tiny network on tiny images, trained for real; the undisturbed study runs on SQLite."""

    name, has_ledger = "training", False
    stall_s, gap_s, workers = 400.0, (0.5, 2.0), (1, 2)

    def __init__(self, base: Path, n_draws: int, *, has_rungs: bool = False) -> None:
        self._base, self._n_draws, self._has_rungs = base, n_draws, has_rungs
        self._data, self._model = base / "digits", base / "tiny.py"
        self._data.mkdir(parents=True)
        self._model.write_text(MODEL)
        _write_digits(self._data)
        self._truth = self._run_undisturbed()

    def defining(self, folder: Path) -> list[object]:
        """Return the options; precision is given, as `auto` may answer otherwise another time."""
        given = ["--data", self._data, "--model", f"{self._model}:build"]
        epochs = _rungs_option() if self._has_rungs else ["--epochs", N_EPOCHS]
        return [*given, *epochs, "--precision", "float32"]

    def truth(self, n_draws: int) -> dict[int, Truth]:
        """Return what the undisturbed study gave."""
        assert n_draws == self._n_draws, "a training is compared with a study of the same size"
        return self._truth

    def submission(self) -> bytes:
        """Return the submission of the undisturbed study."""
        return (self._base / "undisturbed" / "submission.csv").read_bytes()

    def _run_undisturbed(self) -> dict[int, Truth]:
        url = f"sqlite:///{self._base}/undisturbed.db"
        where = ["run", "--storage", url, "--study", "undisturbed", "--n-trials", self._n_draws]
        more = ["--workers", 2, "--finalize", "--out", self._base / "undisturbed"]
        environment = environment_of("undisturbed", self._base)
        options = [*where, *self.defining(self._base), *more]
        run_study(options, self._base, environment, STUDY_LIMIT_S)
        witness = Witness(url, "undisturbed")
        rows = witness.rows()
        witness.close()
        return {row.slot: _truth_of(row) for row in rows}


def rung_sizes(n_draws: int) -> list[int]:
    """Return how many slots each rung has: a third of the one below, at least one."""
    found = [n_draws]
    for _ in RUNGS[1:]:
        found.append(max(1, found[-1] // 3))
    return found


def _rungs_option() -> list[object]:
    return ["--rungs", ",".join(map(str, RUNGS))]


def ledger_in(folder: Path) -> Path:
    """Return where the ledger of a study lies."""
    return folder / "ledger.jsonl"


def read_ledger(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a ledger; they are never half written."""
    text = ledger_in(folder).read_text()
    return [json.loads(line) for line in text.splitlines()]


def _truth_of(row: Row) -> Truth:
    if row.state != "COMPLETE" or row.value is None or row.attempt != 1:
        raise RuntimeError(f"the undisturbed study was disturbed: {row}")
    return Truth(row.params, row.value, row.curve, row.rung, row.from_slot)


def _write_digits(folder: Path) -> None:
    """Write Kaggle's three files."""
    images, labels = _digits()
    train, test = slice(0, N_TRAIN), slice(N_TRAIN, N_TRAIN + N_TEST)
    labelled = [[label, *row] for label, row in zip(labels[train], images[train], strict=True)]
    _write_csv(folder / "train.csv", ["label", *PIXELS], labelled)
    _write_csv(folder / "test.csv", PIXELS, images[test])
    _write_csv(
        folder / "sample_submission.csv",
        ["ImageId", "Label"],
        [[number, 0] for number in range(1, N_TEST + 1)],
    )


def _digits() -> tuple[list[list[int]], list[int]]:
    """Return 8x8 images, 0..255, and their labels: real ones, else seeded noise."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 256, (N_TRAIN + N_TEST, len(PIXELS)))
        return noise.tolist(), [n % 10 for n in range(len(noise))]
    images, labels = load_digits(return_X_y=True)
    return (images * (255 / 16)).astype(int).tolist(), labels.tolist()


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[int]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
