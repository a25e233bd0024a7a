"""The arithmetic of the benchmarks that say where time and images go."""

from datetime import datetime, timedelta

import pytest
from optuna.trial import TrialState

from benchmarks.overhead import add_up, warm_start_ms
from benchmarks.search_cost import Trial, replay
from storage import attrs
from storage.reading import Attempt

BEGAN = datetime(2026, 11, 28)
INFO = {"import_s": 0.25, "build_s": 0.5, "train_s": 4.0, "first_step_s": 1.0, "valid_s": 0.5}


def attempt(worker: str, start_s: float, end_s: float) -> Attempt:
    """A complete trial of a worker."""
    start, end = (BEGAN + timedelta(seconds=s) for s in (start_s, end_s))
    return Attempt(
        *(0, 0, TrialState.COMPLETE, start, end, 0.5),
        user_attrs={attrs.WORKER: worker, attrs.INFO: INFO},
    )


def test_parts_of_the_overhead_add_up_to_the_time_of_all_workers() -> None:
    """Nothing is counted twice, and nothing is left out."""
    done = [attempt("a", 2, 8), attempt("a", 8.5, 14), attempt("b", 3, 10)]
    spent = add_up(done, BEGAN, BEGAN + timedelta(seconds=15), 3)
    assert sum(spent.values()) == pytest.approx(3 * 15)
    assert (spent["training steps"], spent["validation steps"]) == (9.0, 1.5)
    assert spent["tracing, with the first step and batch"] == 3.0
    assert (spent["to the first claim"], spent["between trials"]) == (5.0, 0.5)
    assert (spent["waiting for the last trial"], spent["workers without a trial"]) == (4.0, 15.0)
    assert warm_start_ms(done) == pytest.approx(750.0)


def test_pruned_trial_costs_what_it_has_trained_and_is_never_chosen() -> None:
    """The best so far is reached with the first trial, left for a worse one, and found again."""
    good, worse, bad = (Trial((v,) * 3, 10.0, truth) for v, truth in ((0.5, 1), (0.6, 0), (0.1, 1)))
    best = Trial((0.9,) * 3, 10.0, 1.0)
    trials = [good, worse, bad, bad, bad, best]
    assert replay(trials, "none", target=1.0).images == 6 * 3 * 10.0
    pruned = replay(trials, "asha", target=1.0)
    assert (pruned.images, pruned.reached) == (3 * 30.0 + 3 * 10.0, 3 * 30.0 + 3 * 10.0)
    assert replay(trials[:-1], "asha", target=1.0).reached is None
