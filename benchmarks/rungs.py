"""What short trainings of a draw tell of long ones: 60 draws, each trained for 1, 3 and 9 epochs.

Trains on half of the labelled rows, so that the other half says how good a network is; a few of
these rows stand for the search's validation rows. What every network said of them stays in
`--store`, one file a training, and the same command goes on from those that are there. Then
searches with rungs are simulated: which draws they promote, how good their choice is, and how many
images they train.

    python benchmarks/rungs.py --data DIR --store DIR [--draws 60]
"""

import argparse
import json
import multiprocessing
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from objectives.base import FitOptions
from objectives.data.dataset import load_dataset
from objectives.framework.runtime import detect_precision, start_framework
from objectives.network.cnn import digits_cnn
from objectives.space.space import SearchSpace
from study.spec.draw import draw_params, training_seed

SEED = 11
PARTITION = 1000  # of the two folds: no search or finalize cuts the rows so
MOVES = ("shift", "rotation", "zoom")


@dataclass(frozen=True)
class Job:
    """One training: a draw, its epochs, and the power of the epochs by which images are moved."""

    draw: int
    epochs: int
    longest: int
    growth: float

    @property
    def name(self) -> str:
        return f"draw-{self.draw:03d}-epochs-{self.epochs}-growth-{self.growth:g}.npz"

    def params(self, space: SearchSpace) -> dict[str, Any]:
        """Return the draw's params; a short training moves its images less."""
        drawn = draw_params(space, SEED, self.draw)
        amount = (self.epochs / self.longest) ** self.growth
        return {k: v * amount if k in MOVES else v for k, v in drawn.items()}


def train(job: Job, data: Path, store: Path) -> str:
    """Train one job in this process and keep its result; return a line about it."""
    options = FitOptions(epochs=job.epochs, precision=detect_precision())
    start_framework(options)
    objective, dataset = digits_cnn(options), load_dataset(data)
    halves = dataset.for_fold(0, 2, PARTITION)
    held = halves.valid
    half = replace(halves, valid=replace(held, rows=held.rows[:0]))
    fitted = objective.fit(
        job.params(objective.space),
        half,
        seed=training_seed(SEED, job.draw * 100 + job.epochs),
        report=lambda step, value: None,
        resume_dir=None,
    )
    said = objective.predict(fitted, held.images[held.rows])
    labels = held.labels[held.rows]
    likelihood = said[np.arange(len(labels)), labels]
    right = said.argmax(axis=1) == labels
    with (store / f"{job.name}.part").open("wb") as file:
        np.savez(file, right=right, likelihood=likelihood, info=json.dumps(fitted.info))
    os.replace(store / f"{job.name}.part", store / job.name)
    return f"{job.name}: {right.mean():.5f}, {fitted.info['train_s']:.1f} s"


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with train.csv")
    parser.add_argument("--store", type=Path, required=True, help="where the trainings are kept")
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 3, 9])
    parser.add_argument("--growth", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    given.store.mkdir(parents=True, exist_ok=True)
    load_dataset(given.data)
    jobs = [
        Job(draw, epochs, max(given.epochs), given.growth)
        for draw in range(given.draws)
        for epochs in sorted(given.epochs, reverse=True)
    ]
    missing = [job for job in jobs if not (given.store / job.name).exists()]
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
        tasks = [pool.apply_async(train, (job, given.data, given.store)) for job in missing]
        for n, task in enumerate(tasks, 1):
            print(f"{n} of {len(tasks)}: {task.get()}", flush=True)


if __name__ == "__main__":
    main()
