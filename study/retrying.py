"""Slots that failed, opened again by a person: once a cause outside the params is mended.

Decides which failures are worth it: one that is a fact of the params is not.
"""

from optuna.trial import TrialState

from storage import attrs
from storage.reading import newest_by_slot, read_attempts
from study.errors import StudyError
from study.naming import find_trial
from study.opening import OpenStudy


def retry_trial(opened: OpenStudy, text: str) -> int:
    """Open the slot of one failed trial again, and return the number of the new trial.

    Args:
        text: A trial number, or `slot:37`.

    Raises:
        StudyError: There is no such trial, it is none of ours, it did not fail, or its slot has
            another attempt already.
    """
    trial = find_trial(opened, text)
    reason = trial.user_attrs.get(attrs.REASON)
    if trial.slot is None:
        raise StudyError(f"trial {trial.trial} fills no slot of '{opened.name}'")
    if trial.state != TrialState.FAIL:
        raise StudyError(f"trial {trial.trial} is {trial.state.name}; only a failed one is retried")
    if reason == attrs.Reason.INFEASIBLE:
        raise StudyError(f"trial {trial.trial} diverged: its params would do so again")
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
        and a.user_attrs.get(attrs.REASON) not in (attrs.Reason.INFEASIBLE, None)
    ]
    return opened.slots.reopen(failed)
