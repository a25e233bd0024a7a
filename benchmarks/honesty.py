"""Whether the expected score is honest: simulated studies over stored real trials.

Each simulated study draws configurations and splits the labelled rows anew: rows that are known,
of which a tenth are the search's validation rows, and rows that nobody has seen. It is searched
(value on the validation rows), the best few are compared on all known rows, out of fold, by the
code of `study finalize`, and then the choice is scored on the unseen rows. There is no race, which
compares on fewer rows, and no vote. Prints each half of the configurations: what was tuned while
looking at the one is verified by the other. The same networks give the estimate and the truth, so
the luck of one more training is not in it.

    python benchmarks/stored_trials.py --data DIR --store DIR
    python benchmarks/honesty.py --store DIR [--studies 1000]
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks.stored_trials import Stored, read_stored
from study.finalize.choose import Measured, choose, predicted, score_of_choosing

KNOWN_SHARE, VALID_SHARE = 0.6, 0.1
TOP_K = 4
HEAD = (
    "| configurations | studies | trials each | naive bias | bias of the expected score | "
    "95 % intervals that hold | choice better than the naive best | equal | mean gain |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Outcome:
    """One simulated study; all in 0..1."""

    naive_said: float
    naive_is: float
    expected: float
    low: float
    high: float
    chosen_is: float


def simulate(stored: list[Stored], n_trials: int, generator: np.random.Generator) -> Outcome:
    """Search and finalize once, and score the choice on rows that nobody has seen."""
    picked = generator.choice(len(stored), size=min(n_trials, len(stored)), replace=False)
    measured = [stored[i].found.measured for i in picked]
    order = generator.permutation(len(measured[0].right))
    n_known = round(KNOWN_SHARE * len(order))
    known, unseen = order[:n_known], order[n_known:]
    valid = known[: round(VALID_SHARE * n_known)]
    values = np.array([one.right[valid].mean() for one in measured])
    top = np.argsort(-values, kind="stable")[:TOP_K]
    folds = [on_rows(measured[i], known) for i in top]
    chosen = choose(folds).chosen
    expected = score_of_choosing(folds, seed=int(generator.integers(2**31)))
    low, high = predicted(expected, len(known), len(unseen))
    return Outcome(
        naive_said=float(values[top[0]]),
        naive_is=float(measured[top[0]].right[unseen].mean()),
        expected=expected,
        low=low,
        high=high,
        chosen_is=float(measured[top[chosen]].right[unseen].mean()),
    )


def on_rows(one: Measured, rows: NDArray[np.int64]) -> Measured:
    """Return what is known of a configuration on some rows."""
    return replace(one, right=one.right[rows], loss=one.loss[rows])


def row(name: str, outcomes: list[Outcome], n_trials: int) -> str:
    """Return the table's row: biases in percentage points."""
    naive = np.mean([o.naive_said - o.naive_is for o in outcomes])
    ours = np.mean([o.expected - o.chosen_is for o in outcomes])
    holds = np.mean([o.low <= o.chosen_is <= o.high for o in outcomes])
    gains = np.array([o.chosen_is - o.naive_is for o in outcomes])
    return (
        f"| {name} | {len(outcomes)} | {n_trials} | {naive * 100:+.3f} | {ours * 100:+.3f} | "
        f"{holds:.1%} | {(gains > 0).mean():.1%} | {(gains == 0).mean():.1%} | "
        f"{gains.mean() * 100:+.3f} |"
    )


def main() -> None:
    """Simulate, and print a row for each half of the configurations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="of stored_trials.py")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=30, help="of each simulated study")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    _, stored = read_stored(given.store)
    halves = {"tuned on": stored[::2], "verified on": stored[1::2]}
    print(f"{len(stored)} configurations\n\n{HEAD}", flush=True)
    for number, (name, half) in enumerate(halves.items()):
        generator = np.random.default_rng([given.seed, number])
        outcomes = [simulate(half, given.trials, generator) for _ in range(given.studies)]
        print(row(name, outcomes, given.trials), flush=True)


if __name__ == "__main__":
    main()
