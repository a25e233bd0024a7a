"""How much a worker's process grows over many real trainings.

Trains slots 0, 1, 2, ... of the default search space one after another in one process, each for one
epoch of a few rows: what a process keeps of a trial is its graphs and not its data. Prints the
resident memory after the first trial, and its growth from there.

    python benchmarks/memory.py --data DIR [--trials 200]
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from objectives.base import FitOptions
from objectives.network.cnn import digits_cnn
from study.spec.draw import draw_params, training_seed
from study.worker.ending import memory_bytes

N_ROWS = 300
SEED = 0
MIB = 1 << 20


def main() -> None:
    """Train, and print a line now and then."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with train.csv")
    parser.add_argument("--trials", type=int, default=200)
    given = parser.parse_args()
    objective = digits_cnn(FitOptions(epochs=1))
    dataset = objective.load(given.data)
    few = replace(dataset.train, rows=dataset.train.rows[:N_ROWS])
    dataset = replace(dataset, train=few, valid=replace(few, rows=few.rows[:50]))
    first = 0
    print("| trials | memory, MiB | since the first, MiB |\n|---:|---:|---:|", flush=True)
    for slot in range(given.trials):
        params = draw_params(objective.space, SEED, slot)
        seed = training_seed(SEED, slot)
        objective.fit(params, dataset, seed=seed, report=lambda *_: None, resume_dir=None)
        now = memory_bytes()
        first = first or now
        if slot == 0 or (slot + 1) % 25 == 0:
            print(f"| {slot + 1} | {now / MIB:.0f} | {(now - first) / MIB:.0f} |", flush=True)


if __name__ == "__main__":
    main()
