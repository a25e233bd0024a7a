"""Real trials of a search, each with its out-of-fold predictions: made once, kept.

Searches, then trains every trial anew on folds of all labelled rows in the search's companion
study, as a finalize does with the best few. What every network said of rows that it had not learned
from stays in the SQLite file; an interrupted run goes on. `honesty.py` and `selection.py` read it.

    python benchmarks/stored_trials.py --data DIR --store DIR [--trials 100] [--epochs 3]
        [--space benchmarks/stored_space.toml]
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from storage.rdb import open_storage
from storage.reading import newest_by_slot, read_attempts
from study.finalize.companion import Companion, slot_of
from study.finalize.folds import Key, OutOfFold, fold_trainings, gather
from study.spec.open import OpenStudy, load, open_study
from study.view.status import by_value

NAME = "stored"
N_FOLDS = 2  # the fewest networks that say something of every row


@dataclass(frozen=True)
class Stored:
    """One configuration.

    Attributes:
        value: What the search's trial reported, on its validation rows.
        found: What it said of every labelled row, out of fold.
    """

    value: float
    found: OutOfFold


def url_of(store: Path) -> str:
    """Return the URL of the database in a store."""
    return f"sqlite:///{store.resolve() / 'trials.db'}"


def read_stored(store: Path) -> tuple[NDArray[np.int64], list[Stored]]:
    """Return the labels of all rows, and every configuration whose folds are there."""
    search = open_study(open_storage(url_of(store), create=False), NAME)
    loaded, companion = load(search), Companion(search)
    finished, _ = companion.look()
    stored = []
    for key, value in keys_of(search):
        found = gather(companion, loaded, finished, key, fold_trainings(key, N_FOLDS, 1))
        if found is not None:
            stored.append(Stored(value, found))
    return np.asarray(loaded.dataset.labels), stored


def keys_of(search: OpenStudy) -> Iterator[tuple[Key, float]]:
    """Yield each complete trial as a configuration, in slot order, with its value."""
    newest = newest_by_slot(read_attempts(search.storage.engine, search.study_id))
    complete = by_value(newest.values(), search.spec.direction)
    for attempt in sorted(complete, key=lambda a: a.slot or 0):
        yield (slot_of(attempt), search.spec.epochs), float(attempt.value or 0.0)


def main() -> None:
    """Search, then train on folds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with train.csv")
    parser.add_argument("--store", type=Path, required=True, help="where the trials are kept")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--space", type=Path, help="another space than the default one")
    given = parser.parse_args()
    given.store.mkdir(parents=True, exist_ok=True)
    where = ["--storage", url_of(given.store)]
    study = [sys.executable, "-m", "study"]
    search = ["--data", str(given.data), "--study", NAME, "--n-trials", str(given.trials)]
    search += ["--epochs", str(given.epochs), "--seed", str(given.seed)]
    search += ["--space", str(given.space)] if given.space else []
    subprocess.run([*study, "run", *where, *search, "--keep-checkpoints", "none"], check=True)
    opened = open_study(open_storage(url_of(given.store), create=False), NAME)
    companion = Companion(opened)
    wanted = [t for key, _ in keys_of(opened) for t in fold_trainings(key, N_FOLDS, 1)]
    companion.ensure(wanted)
    name = companion.opened.name
    subprocess.run([*study, "worker", *where, "--study", name, "--workers", "auto"], check=True)


if __name__ == "__main__":
    main()
