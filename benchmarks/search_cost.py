"""Images trained until a search's choice is as good as that of the full random search.

Replays the stored curves of real trials, in many orders, through the pruners as `--pruner` makes
them: a trial reports its values epoch by epoch and ends where the pruner says so; what it has
trained until then counts. A choice is the best complete trial by its value, as a search makes it.
How good it is, is its accuracy out of fold on all labelled rows, where these are stored, else its
value. A search has got there once its choice is within 0.03 points of the full random search's
and stays so.

    python benchmarks/stored_trials.py --data DIR --store DIR --epochs 3
    python benchmarks/search_cost.py --store DIR [--orders 200]
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import optuna
from optuna.trial import TrialState

from benchmarks.stored_trials import NAME, keys_of, read_stored, url_of
from storage import attrs
from storage.rdb import open_storage
from storage.reading import newest_by_slot, read_attempts
from study.spec.open import OpenStudy, open_study
from study.spec.pruners import make_pruner

PRUNERS = ("none", "median", "asha", "hyperband")
WITHIN = 3e-4


@dataclass(frozen=True)
class Trial:
    """One real trial.

    Attributes:
        curve: Its value after each epoch.
        images: Trained an epoch.
        truth: How good it is, by the most that is known.
    """

    curve: tuple[float, ...]
    images: float
    truth: float


@dataclass(frozen=True)
class Search:
    """One replayed search.

    Attributes:
        images: Trained in all.
        reached: Images after which the choice was as good, and stayed so; None if it never was.
    """

    images: float
    reached: float | None


def read_trials(opened: OpenStudy, store: Path) -> tuple[list[Trial], bool]:
    """Return the complete trials in slot order, and whether their truth is out of fold."""
    newest = newest_by_slot(read_attempts(opened.storage.engine, opened.study_id, details=True))
    slots = [key[0] for key, _ in keys_of(opened)]
    _, stored = read_stored(store)
    by_fold = {one.found.key[0]: float(one.found.measured.right.mean()) for one in stored}
    is_folded = all(slot in by_fold for slot in slots)
    found = []
    for slot in slots:
        attempt = newest[slot]
        info = attempt.user_attrs[attrs.INFO]
        curve = tuple(value for _, value in sorted(attempt.reports.items()))
        truth = by_fold[slot] if is_folded else float(attempt.value or 0.0)
        found.append(Trial(curve, info["images"] / info["n_epochs"], truth))
    return found, is_folded


def replay(trials: Sequence[Trial], pruner: str, target: float) -> Search:
    """Search through the trials, in the order given.

    Args:
        trials: At least one; their values are to be maximized.
        pruner: As of `--pruner`.
        target: The least truth that is as good.
    """
    epochs = max(len(trial.curve) for trial in trials)
    study = optuna.create_study(direction="maximize", pruner=make_pruner(pruner, epochs))
    images, best, reached = 0.0, -np.inf, None
    for trial in trials:
        asked = study.ask()
        is_pruned = False
        for step, value in enumerate(trial.curve):
            images += trial.images
            asked.report(value, step)
            is_pruned = step + 1 < len(trial.curve) and asked.should_prune()
            if is_pruned:
                break
        if is_pruned:
            study.tell(asked, state=TrialState.PRUNED)
            continue
        study.tell(asked, trial.curve[-1])
        if trial.curve[-1] > best:
            best = trial.curve[-1]
            if trial.truth < target:
                reached = None
            elif reached is None:
                reached = images
    return Search(images, reached)


def row(pruner: str, found: Sequence[Search], full: float) -> str:
    """Return the table's row; shares are of the images of the full random search."""
    spent = np.median([one.images for one in found]) / full
    costs = [np.inf if one.reached is None else one.reached / full for one in found]
    share = np.mean(np.isfinite(costs))
    low, middle, high = np.quantile(costs, [0.25, 0.5, 0.75], method="higher")
    return (
        f"| {pruner} | {spent:.3f} | {middle:.3f} ({low:.3f} to {high:.3f}) | {share:.0%} | "
        f"{len(found)} |"
    )


def main() -> None:
    """Replay every pruner in the same orders, and print a row for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--store", type=Path, required=True, help="where the trials are kept")
    parser.add_argument("--orders", type=int, default=200, help="replays of each pruner")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    opened = open_study(open_storage(url_of(given.store), create=False), NAME)
    trials, is_folded = read_trials(opened, given.store)
    chosen = max(trials, key=lambda trial: trial.curve[-1])
    full = sum(trial.images * len(trial.curve) for trial in trials)
    judged = "accuracy out of fold" if is_folded else "the value itself: no folds are stored"
    print(
        f"{len(trials)} trials, {full:,.0f} images; judged by {judged}; the full search chooses "
        f"{chosen.truth:.4f}\n\n"
        "| pruner | images of the whole search | until as good (quartiles) | got there | n |\n"
        "|---|---|---|---|---|"
    )
    generator = np.random.default_rng(0)
    orders = [generator.permutation(len(trials)) for _ in range(given.orders)]
    for pruner in PRUNERS:
        found = [
            replay([trials[i] for i in order], pruner, chosen.truth - WITHIN) for order in orders
        ]
        print(row(pruner, found, full), flush=True)


if __name__ == "__main__":
    main()
