"""What more rows are worth: by which power of their number the odds of an error fall.

Each stored configuration was trained twice over: by the search, on nine tenths of the rows, and on
folds, on half of them, with the same epochs. Both are asked of the search's validation rows, which
neither had learned from. Prints the exponent of `study.finalize.choose.on_more_rows` for all of
them and for parts, with a bootstrap interval over the configurations, and what a finalize's own
exponent makes of the error with half of the rows. The rows are the same few thousand for all
configurations, so the truth is less certain than the interval.

    python benchmarks/stored_trials.py --data DIR --store DIR
    python benchmarks/more_rows.py --store DIR
"""

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks.stored_trials import N_FOLDS, NAME, read_stored, url_of
from storage.rdb import open_storage
from study.finalize.choose import on_more_rows
from study.spec.open import load, open_study

N_RESAMPLES = 2000
HEAD = (
    "| configurations | n | error with 1/2 of the rows, % | with 9/10, % | "
    "expected by a finalize, % | exponent (95 % over configurations) |\n"
    "|---|---|---|---|---|---|"
)


def exponent(
    few: NDArray[np.float64], many: NDArray[np.float64], chance: float, ratio: float
) -> float:
    """Return the power that leads from the mean accuracy with few rows to that with many."""
    odds = [(1 - score.mean()) / (score.mean() - chance) for score in (few, many)]
    return math.log(odds[0] / odds[1]) / math.log(ratio)


def row(
    name: str, few: NDArray[np.float64], many: NDArray[np.float64], chance: float, ratio: float
) -> str:
    """Return the table's row."""
    generator, n = np.random.default_rng(0), len(few)
    again = [generator.integers(n, size=n) for _ in range(N_RESAMPLES)]
    low, high = np.quantile(
        [exponent(few[i], many[i], chance, ratio) for i in again], (0.025, 0.975)
    )
    expected = on_more_rows(float(few.mean()), chance, 1 / ratio)
    errors = (100 * (1 - score) for score in (few.mean(), many.mean(), expected))
    return (
        f"| {name} | {n} | {' | '.join(f'{error:.3f}' for error in errors)} | "
        f"{exponent(few, many, chance, ratio):.3f} ({low:.3f} to {high:.3f}) |"
    )


def main() -> None:
    """Print a row for all configurations, and for halves of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="of stored_trials.py")
    given = parser.parse_args()
    labels, stored = read_stored(given.store)
    dataset = load(open_study(open_storage(url_of(given.store), create=False), NAME)).dataset
    rows = dataset.valid.rows
    chance = float(np.bincount(labels).max() / len(labels))
    ratio = len(dataset.train) / (len(labels) * (1 - 1 / N_FOLDS))
    few = np.array([one.found.measured.right[rows].mean() for one in stored])
    many = np.array([one.value for one in stored])
    # Ranked on the other rows: on these, the order would be that of their luck.
    others = np.setdiff1d(np.arange(len(labels)), rows)
    order = np.argsort([-one.found.measured.right[others].mean() for one in stored])
    half = len(order) // 2
    parts = {"all": order, "the better half": order[:half], "the other half": order[half:]}
    parts["the best ten"] = order[:10]
    print(HEAD)
    for name, part in parts.items():
        print(row(name, few[part], many[part], chance, ratio), flush=True)


if __name__ == "__main__":
    main()
