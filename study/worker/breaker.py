"""The circuit breaker: stops a study if several trials fail alike before any has completed.

Otherwise a mistake that the try-out does not show would use up the budget. Two errors are alike if
they have the same type and place. Their slots are opened again, so that the study can go on once
the mistake is fixed.
"""

import traceback
from collections import defaultdict

from optuna.trial import TrialState

from storage import attrs, ends
from storage.reading import Attempt, newest_by_slot, read_attempts
from storage.registry import StopOrder
from study.spec.open import OpenStudy

N_ERRORS = 3
ERRORS = "errors"
TAIL_LINES = 12


def place_of(error: BaseException) -> str:
    """Return where an exception was raised, as `file:line in function`."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "unknown"
    return f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}"


def break_circuit(opened: OpenStudy, trial: int, stop_seen: str) -> bool:
    """Stop the study if three slots failed alike and none completed; return whether it stops.

    One transaction opens the slots again and orders the stop, so that only one of several workers
    does both. Slots that fail before the workers read the order are opened again, too.

    Args:
        trial: Number of the trial that has just failed.
        stop_seen: Id of the stop order that this worker ignores.
    """
    registry = opened.registry()
    stop = registry.look().stop
    if stop is not None and stop.id != stop_seen and stop.why == ERRORS:
        opened.slots.reopen([trial])
        return True
    newest = newest_by_slot(read_attempts(opened.storage.engine, opened.study_id)).values()
    if any(a.state == TrialState.COMPLETE for a in newest):
        return False
    failed = [
        a.trial
        for a in newest
        if a.state == TrialState.FAIL and ends.end_of(a.user_attrs.get(attrs.REASON)).stops_study
    ]
    if len(failed) < N_ERRORS:
        return False
    detailed = read_attempts(opened.storage.engine, opened.study_id, details=True, trials=failed)
    for alike in _alike(detailed):
        order = StopOrder.new(why=ERRORS, detail=_detail(alike), at=registry.now())
        if opened.slots.reopen([a.trial for a in alike], {attrs.STOP: order.to_json()}):
            return True
    return False


def _alike(failed: list[Attempt]) -> list[list[Attempt]]:
    groups: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in failed:
        error = attempt.user_attrs.get(attrs.ERROR) or {}
        groups[str(error.get("type")), str(error.get("place"))].append(attempt)
    return [group for group in groups.values() if len(group) >= N_ERRORS]


def _detail(alike: list[Attempt]) -> str:
    error = alike[0].user_attrs[attrs.ERROR]
    message = (str(error.get("message")).splitlines() or [""])[0]
    trials = ", ".join(str(a.trial) for a in alike)
    tail = "\n".join(f"  {line}" for line in str(error.get("traceback")).splitlines()[-TAIL_LINES:])
    return (
        f"trials {trials} failed alike before any slot had completed: "
        f"{error.get('type')}: {message}; the end of the traceback:\n{tail}"
    )
