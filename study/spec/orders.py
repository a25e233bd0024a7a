"""Stop, pause, resume and retry: requests to all workers of a study, on any machine.

The requests also go to the companion study, which holds the trainings of a finalize.
"""

from optuna.trial import TrialState

from storage import attrs, ends
from storage.reading import newest_by_slot, read_attempts
from storage.registry import StopOrder
from study.errors import StudyError
from study.spec.open import OpenStudy, companion_of
from study.spec.trials import find_trial


def stop(opened: OpenStudy, *, now: bool = False) -> int:
    """Ask all workers to save, release and exit, `now` or after an epoch; return their number."""
    grace_s, n_workers, order = opened.spec.grace_s, 0, StopOrder.new(now=now)
    for one in _both(opened):
        registry = one.registry()
        n_workers += sum(worker.seen_s <= grace_s for worker in registry.workers())
        registry.order_stop(order)
    return n_workers


def pause(opened: OpenStudy, *, paused: bool) -> None:
    """Stop or allow claims of new trials; workers finish the trials that they hold."""
    for one in _both(opened):
        one.registry().pause(paused)


def _both(opened: OpenStudy) -> list[OpenStudy]:
    companion = companion_of(opened)
    return [opened] if companion is None else [opened, companion]


def retry_trial(opened: OpenStudy, text: str) -> int:
    """Requeue the slot of one failed trial, such as `12` or `slot:37`; return the new trial.

    Raises:
        StudyError: The trial does not exist, has no slot, did not fail, would fail again by its
            params, or its slot has a later attempt.
    """
    trial = find_trial(opened, text)
    end = ends.end_of(trial.user_attrs.get(attrs.REASON))
    if trial.slot is None:
        raise StudyError(f"trial {trial.trial} belongs to no slot of '{opened.name}'")
    if trial.state != TrialState.FAIL:
        raise StudyError(f"trial {trial.trial} is {trial.state.name}; only a failed one is retried")
    if end.is_final:
        raise StudyError(f"trial {trial.trial} is {end.reason}: its params would fail again")
    new = opened.slots.reopen([trial.trial])
    if not new:
        raise StudyError(
            f"slot {trial.slot} has a later attempt than trial {trial.trial}",
            f"study retry slot:{trial.slot}",
        )
    return new[0]


def retry_failed(opened: OpenStudy) -> list[int]:
    """Requeue all failed slots except infeasible ones; return the new trials."""
    newest = newest_by_slot(read_attempts(opened.storage.engine, opened.study_id)).values()
    failed = [
        a.trial
        for a in newest
        if a.state == TrialState.FAIL
        and attrs.REASON in a.user_attrs
        and not ends.end_of(a.user_attrs[attrs.REASON]).is_final
    ]
    return opened.slots.reopen(failed)
