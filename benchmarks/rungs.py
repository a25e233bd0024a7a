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
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks.kept import keep_arrays, run_missing
from objectives.base import FitOptions
from objectives.data.dataset import load_dataset
from objectives.framework.runtime import detect_precision, start_framework
from objectives.network.cnn import digits_cnn
from objectives.space.space import SearchSpace
from storage.slots.rungs import Rungs
from study.spec.draw import draw_params, training_seed

SEED = 11
PARTITION = 1000  # of the two folds: no search or finalize cuts the rows so
MOVES = ("shift", "rotation", "zoom")
N_SEARCHES, WITHIN = 400, 3e-4


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
    keep_arrays(store / job.name, right=right, likelihood=likelihood, info=json.dumps(fitted.info))
    return f"{job.name}: {right.mean():.5f}, {fitted.info['train_s']:.1f} s"


@dataclass(frozen=True)
class Trained:
    """What came of the trainings of one draw, by their epochs.

    Attributes:
        right: Whether each held-out row was predicted right.
        loss: Log loss of each held-out row, in nats.
        images: Images trained.
    """

    right: dict[int, NDArray[np.bool_]]
    loss: dict[int, NDArray[np.float64]]
    images: dict[int, float]


def read_trained(store: Path, draws: int, epochs: Sequence[int], growth: float) -> list[Trained]:
    """Return the draws whose trainings are all there."""
    found = []
    for draw in range(draws):
        paths = {n: store / Job(draw, n, max(epochs), growth).name for n in epochs}
        if all(path.exists() for path in paths.values()):
            kept = {n: dict(np.load(path)) for n, path in paths.items()}
            infos = {n: json.loads(str(one["info"])) for n, one in kept.items()}
            losses = {n: -np.log(np.clip(one["likelihood"], 1e-7, 1)) for n, one in kept.items()}
            found.append(
                Trained(
                    {n: one["right"] for n, one in kept.items()},
                    losses,
                    {n: info["images"] for n, info in infos.items()},
                )
            )
    return found


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation; ties get their mean rank."""
    ranks = [_ranks(values) for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    order = np.sort(values)
    return (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right")) / 2


def simulate(
    found: Sequence[Trained], plan: Sequence[int], keep: Fraction, by: str
) -> tuple[float, float, float]:
    """Return median regret, share within 0.03 points, and images of a search with rungs.

    Each search draws half of the draws, and other validation rows. Regret and images are compared
    with the search that trains all of them for the most epochs.
    """
    generator, regrets, costs = np.random.default_rng(0), [], []
    longest, n_rows = max(found[0].right), len(next(iter(found[0].right.values())))
    rungs = Rungs(len(plan), keep, maximize=True)
    for _ in range(N_SEARCHES):
        drawn = [found[i] for i in generator.permutation(len(found))[: max(3, len(found) // 2)]]
        valid = generator.permutation(n_rows)[: n_rows // 10]
        rest = np.setdiff1d(np.arange(n_rows), valid)

        def value(one: Trained, epochs: int, valid: Any = valid) -> float:
            table = one.right if by == "accuracy" else one.loss
            return float(table[epochs][valid].mean()) * (1 if by == "accuracy" else -1)

        alive, images = list(range(len(drawn))), 0.0
        for rung, epochs in enumerate(plan):
            images += sum(drawn[i].images[epochs] for i in alive)
            alive.sort(key=lambda i: (-value(drawn[i], epochs), i))
            if rung + 1 < len(plan):
                alive = alive[: rungs.n_promoted(len(alive))]
        full = max(range(len(drawn)), key=lambda i: value(drawn[i], longest))
        truth = [float(one.right[longest][rest].mean()) for one in drawn]
        regrets.append(truth[full] - truth[alive[0]])
        costs.append(images / sum(one.images[longest] for one in drawn))
    within = float(np.mean(np.array(regrets) <= WITHIN))
    return float(np.mean(regrets)), within, float(np.mean(costs))


def report(found: Sequence[Trained], epochs: Sequence[int]) -> None:
    """Print rank correlations, and a row for each way of climbing."""
    longest = max(epochs)
    truth = np.array([one.right[longest].mean() for one in found])
    print(f"{len(found)} draws; after {longest} epochs {np.median(truth):.4f} (median), ", end="")
    print(f"{truth.max():.4f} (best)\n\n| epochs | accuracy | log loss |\n|---|---|---|")
    for n in sorted(epochs)[:-1]:
        by_accuracy = rank_correlation(np.array([o.right[n].mean() for o in found]), truth)
        by_loss = rank_correlation(np.array([-o.loss[n].mean() for o in found]), truth)
        print(f"| {n} | {by_accuracy:.2f} | {by_loss:.2f} |")
    print("\n| rungs | keep | promoted by | images | mean regret, points | within 0.03 | n |")
    print("|---|---|---|---|---|---|---|")
    plans = [plan for n in (1, 2, 3) for plan in combinations(sorted(epochs), n)]
    for plan in plans:
        for keep in (Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)) if len(plan) > 1 else (1,):
            for by in ("accuracy", "log loss"):
                regret, within, cost = simulate(found, plan, Fraction(keep), by)
                print(
                    f"| {','.join(map(str, plan))} | {keep if len(plan) > 1 else '-'} | {by} | "
                    f"{cost:.3f} | {100 * regret:+.3f} | {within:.0%} | {N_SEARCHES} |"
                )


def main() -> None:
    """Train what is missing, and report."""
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
    run_missing(train, jobs, given.data, given.store, given.workers)
    report(read_trained(given.store, given.draws, given.epochs, given.growth), given.epochs)


if __name__ == "__main__":
    main()
