"""Which networks vote better for an equal cost: of all rows, of folds, of many or of few epochs.

Splits a fifth of the labelled rows off, trains networks of one configuration on the others (all of
them, or all but a fold), and asks each about the fifth, plain and over small shifts. What they said
stays in `--store`, and the same command goes on from there. Then prints, for each number of
networks, the accuracy of their average: the mean over subsets of the networks that are there.

    python benchmarks/members.py --data DIR --store DIR [--split-seed 1]
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.holdout import held_out
from benchmarks.kept import keep_arrays, run_missing
from objectives.base import FitOptions
from objectives.data.dataset import Split, load_dataset
from objectives.framework.runtime import detect_precision, start_framework
from objectives.network.cnn import CNN_SPACE, digits_cnn
from objectives.refit import SHIFTS

CONFIGURATION: dict[str, Any] = {
    "n_blocks": 2,
    "filters_1": 16,
    "filters_2": 48,
    "kernel": 3,
    "dropout": 0.1,
    "dense_units": 256,
    "optimizer": "adam",
    "learning_rate": 1e-2,
    "batch_size": 96,
    "label_smoothing": 0.05,
    "schedule": "cosine",
    "shift": 0.06,
    "rotation": 9.0,
    "zoom": 0.1,
}
"""A draw of the default space that is cheap, and among the best after 9 epochs."""

N_SUBSETS = 200


@dataclass(frozen=True)
class Job:
    """One network: its epochs, its seed, and the fold that it does not learn from (from 1)."""

    split: int
    epochs: int
    seed: int
    n_folds: int = 1
    moves: float = 1.0

    @property
    def name(self) -> str:
        """The file that keeps what it said."""
        return (
            f"split-{self.split}-epochs-{self.epochs}-folds-{self.n_folds}-moves-{self.moves:g}-"
            f"seed-{self.seed}.npz"
        )


def train(job: Job, data: Path, store: Path) -> str:
    """Train one network in this process and keep what it says; return a line about it."""
    options = FitOptions(epochs=job.epochs, precision=detect_precision())
    start_framework(options)
    objective, dataset = digits_cnn(options), load_dataset(data)
    labels = np.asarray(dataset.labels)
    mask = held_out(labels, job.split)
    rows = np.random.default_rng(job.split).permutation(np.flatnonzero(~mask))
    if job.n_folds > 1:
        fold = rows[job.seed % job.n_folds :: job.n_folds]
        rows = np.setdiff1d(rows, fold)
    held = np.flatnonzero(mask)
    parts = {
        "train": Split(dataset.images, dataset.labels, np.sort(rows)),
        "valid": Split(dataset.images, dataset.labels, held[:0]),
    }
    moved = {
        k: v * job.moves for k, v in CONFIGURATION.items() if k in ("shift", "rotation", "zoom")
    }
    fitted = objective.fit(
        {**CONFIGURATION, **moved},
        type(dataset)(**(vars(dataset) | parts)),
        seed=1000 + job.seed,
        report=lambda step, value: None,
        resume_dir=None,
    )
    images = dataset.images[held]
    said = {
        name: objective.predict(objective.combine([fitted], shifts), images)
        for name, shifts in (("plain", SHIFTS[:1]), ("shifted", SHIFTS))
    }
    keep_arrays(store / job.name, labels=labels[held], train_s=fitted.info["train_s"], **said)
    right = [float((one.argmax(axis=1) == labels[held]).mean()) for one in said.values()]
    return f"{job.name}: {right[0]:.5f}, shifted {right[1]:.5f}, {fitted.info['train_s']:.1f} s"


def rows_of(found: Sequence[Any], what: str) -> list[str]:
    """Return a table's rows: for each number of networks, accuracy of their average, cost."""
    labels = found[0]["labels"]
    generator, lines = np.random.default_rng(0), []
    cost = float(np.mean([one["train_s"] for one in found]))
    for n in (1, 2, 3, 4, 6, 8, 12):
        if n > len(found):
            break
        cells = []
        for name in ("plain", "shifted"):
            right = []
            for _ in range(N_SUBSETS):
                picked = generator.choice(len(found), n, replace=False)
                average = np.mean([found[i][name] for i in picked], axis=0)
                right.append((average.argmax(axis=1) == labels).mean())
            cells.append(f"{100 * np.mean(right):.3f}")
        lines.append(f"| {what} | {n} | {n * cost:.0f} s | {' | '.join(cells)} | {len(found)} |")
    return lines


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with train.csv")
    parser.add_argument("--store", type=Path, required=True, help="where the networks' words are")
    parser.add_argument("--split-seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, nargs="+", default=[6, 12, 24])
    parser.add_argument("--networks", type=int, default=4, help="of all rows, for each of --epochs")
    parser.add_argument("--folds", type=int, default=8)
    parser.add_argument("--moves", type=float, nargs="+", default=[1.0])
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    given.store.mkdir(parents=True, exist_ok=True)
    CNN_SPACE.check(CONFIGURATION)
    load_dataset(given.data)
    middle = sorted(given.epochs)[len(given.epochs) // 2]
    groups = {
        f"all rows, {epochs} epochs, moves x {moves:g}": [
            Job(given.split_seed, epochs, seed, moves=moves) for seed in range(given.networks)
        ]
        for epochs in given.epochs
        for moves in given.moves
    }
    groups[f"all but one of {given.folds} folds, {middle} epochs"] = [
        Job(given.split_seed, middle, seed, given.folds) for seed in range(given.folds)
    ]
    run_missing(
        train,
        [job for group in groups.values() for job in group],
        given.data,
        given.store,
        given.workers,
    )
    print("| networks | how many | CPU | plain, % | shifted, % | n |\n|---|---|---|---|---|---|")
    for what, jobs in groups.items():
        for line in rows_of([dict(np.load(given.store / job.name)) for job in jobs], what):
            print(line)


if __name__ == "__main__":
    main()
