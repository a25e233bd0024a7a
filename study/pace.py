"""How fast a study goes: the mean trial, images a second, the time to its end."""

from collections.abc import Iterable

from optuna.trial import TrialState

from storage import attrs
from storage.reading import Attempt
from study.opening import OpenStudy
from study.trialcost import Cost, cost_of


def eta_s(trial_s: float | None, n_waiting: int, n_running: int, n_workers: int) -> float | None:
    """Return trial seconds to go over the workers there are; a running trial counts as half done.

    None where nothing is known, or nobody works.
    """
    if n_waiting + n_running == 0:
        return 0.0
    if trial_s is None or n_workers == 0:
        return None
    return round(trial_s * (n_waiting + 0.5 * n_running) / n_workers, 1)


def mean_duration_s(attempts: Iterable[Attempt]) -> float | None:
    """Return the mean wall time of those that ended with a value or pruned, in s."""
    durations = [
        (a.finished_at - a.started_at).total_seconds()
        for a in attempts
        if a.state in (TrialState.COMPLETE, TrialState.PRUNED) and a.started_at and a.finished_at
    ]
    known = [s for s in durations if s >= 0]  # in the others a clock was set back
    return sum(known) / len(known) if known else None


def expected_trial_s(opened: OpenStudy) -> float | None:
    """Return what a trial was expected to take when the study was made, in s."""
    found: float | None = opened.attr(attrs.TRIAL_S)
    return found if found is not None and found > 0 else None


def images_per_s(cost: Cost | None, n_running: int) -> float | None:
    """Return the rate of the trials in progress together, from the mean of those that ended."""
    if cost is None or cost.images_per_s is None or not n_running:
        return None
    return n_running * cost.images_per_s


def attempt_cost(attempt: Attempt) -> Cost | None:
    """Return what an attempt has cost, where it tells."""
    return cost_of(attempt.user_attrs.get(attrs.INFO))
