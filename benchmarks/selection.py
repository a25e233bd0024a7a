"""What search trials should be judged by: accuracy or log loss, on one split or on one a slot.

Simulated studies over stored real trials, as in `honesty.py`: known rows and unseen ones are drawn
anew each time. A trial's value is its accuracy or its log loss on a tenth of the known rows, the
same rows for all trials or others for each. Printed is what the winner is worth on the unseen rows,
and what the winner of the best few is worth, after they were compared on all known rows: the best,
and the cheapest of those within one standard error of it, with its share of the best one's cost.
Worth is a loss against the truly best configuration of the study, in percentage points. The studies
share configurations and rows, so the standard errors are of the simulation alone.

    python benchmarks/stored_trials.py --data DIR --store DIR
    python benchmarks/selection.py --store DIR [--studies 1000]
"""

import argparse
import sys
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty import KNOWN_SHARE, TOP_K, VALID_SHARE, on_rows
from benchmarks.stored_trials import read_stored
from study.finalize.choose import Measured, choose

METRICS, SPLITS = ("accuracy", "log loss"), ("one for all", "one a slot")
HEAD = (
    "| judged by | validation rows | winner of the search, below the best | "
    f"best of the best {TOP_K} on folds, below the best | the cheapest like it, below the best | "
    "its cost |\n"
    "|---|---|---|---|---|---|"
)


def values(
    measured: list[Measured],
    known: NDArray[np.int64],
    metric: str,
    split: str,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Return what each trial would have reported; higher is better."""
    n_valid = round(VALID_SHARE * len(known))
    shared = generator.permutation(known)[:n_valid]
    found = []
    for one in measured:
        rows = shared if split == SPLITS[0] else generator.permutation(known)[:n_valid]
        found.append(one.right[rows].mean() if metric == "accuracy" else -one.loss[rows].mean())
    return np.array(found)


def simulate(
    measured: list[Measured], metric: str, split: str, generator: np.random.Generator
) -> tuple[float, ...]:
    """Return by how much the three winners are below the truly best, in points, and the cost."""
    order = generator.permutation(len(measured[0].right))
    n_known = round(KNOWN_SHARE * len(order))
    known, unseen = order[:n_known], order[n_known:]
    top = np.argsort(-values(measured, known, metric, split, generator), kind="stable")[:TOP_K]
    truth = np.array([one.right[unseen].mean() for one in measured])
    choice = choose([on_rows(measured[i], known) for i in top])
    best, cheapest = top[choice.order[0]], top[choice.chosen]
    lost = 100 * (truth.max() - truth[[top[0], best, cheapest]])
    return (*lost, measured[cheapest].cost / measured[best].cost)


def main() -> None:
    """Simulate each of the four ways with the same studies, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="of stored_trials.py")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=30, help="of each simulated study")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    _, stored = read_stored(given.store)
    print(f"{len(stored)} configurations, {given.studies} studies\n\n{HEAD}", flush=True)
    for metric, split in product(METRICS, SPLITS):
        lost = []
        for study in range(given.studies):  # the same ones, however many numbers a way draws
            generator = np.random.default_rng([given.seed, study])
            picked = generator.permutation(len(stored))[: given.trials]
            drawn = [stored[i].found.measured for i in picked]
            lost.append(simulate(drawn, metric, split, generator))
        mean, error = np.mean(lost, axis=0), np.std(lost, axis=0) / np.sqrt(len(lost))
        shown = " | ".join(f"{m:.3f} ± {e:.3f}" for m, e in zip(mean[:3], error[:3], strict=True))
        print(f"| {metric} | {split} | {shown} | {mean[3]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
