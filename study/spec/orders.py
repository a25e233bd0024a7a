"""What a person tells the workers of a study, wherever they are: stop, pause, go on.

A finalize's trainings are a study of their own, which is told the same.
"""

from collections.abc import Iterator

from optuna.trial import TrialState

from storage import attrs, ends
from storage.reading import newest_by_slot, read_attempts
from storage.registry import StopOrder
from study.errors import StudyError
from study.spec.open import OpenStudy, companion_of
from study.spec.trials import find_trial


def stop(opened: OpenStudy, *, now: bool = False) -> int:
    """Ask all workers to save, release and leave; return how many there are.

    Args:
        now: Whether their epochs are not to end first.
    """
    grace_s, n_workers, order = opened.spec.grace_s, 0, StopOrder.new(now=now)
    for one in _both(opened):
        registry = one.registry()
        n_workers += sum(worker.seen_s <= grace_s for worker in registry.workers())
        registry.order_stop(order)
    return n_workers


def pause(opened: OpenStudy, *, paused: bool) -> None:
    """Let all workers claim nothing, or let them claim again; they stay, and end what they have."""
    for one in _both(opened):
        one.registry().pause(paused)


def _both(opened: OpenStudy) -> Iterator[OpenStudy]:
    yield opened
    companion = companion_of(opened)
    if companion is not None:
        yield companion


def retry_trial(opened: OpenStudy, text: str) -> int:
    """Open the slot of one failed trial again, and return the number of the new trial.

    Args:
        text: A trial number, or `slot:37`.

    Raises:
        StudyError: There is no such trial, it is none of ours, it did not fail, or its slot has
            another attempt already.
    """
    trial = find_trial(opened, text)
    end = ends.end_of(trial.user_attrs.get(attrs.REASON))
    if trial.slot is None:
        raise StudyError(f"trial {trial.trial} fills no slot of '{opened.name}'")
    if trial.state != TrialState.FAIL:
        raise StudyError(f"trial {trial.trial} is {trial.state.name}; only a failed one is retried")
    if end.is_final:
        raise StudyError(f"trial {trial.trial} is {end.reason}: its params would end so again")
    new = opened.slots.reopen([trial.trial])
    if not new:
        raise StudyError(
            f"slot {trial.slot} has a later attempt than trial {trial.trial}",
            f"study retry slot:{trial.slot}",
        )
    return new[0]


def retry_failed(opened: OpenStudy) -> list[int]:
    """Open every slot again that ended as a failure, infeasible ones left out; may be none."""
    newest = newest_by_slot(read_attempts(opened.storage.engine, opened.study_id)).values()
    failed = [
        a.trial
        for a in newest
        if a.state == TrialState.FAIL
        and attrs.REASON in a.user_attrs
        and not ends.end_of(a.user_attrs[attrs.REASON]).is_final
    ]
    return opened.slots.reopen(failed)
