"""Which trial is meant by what a user writes: a trial's number, or a slot's newest attempt."""

import re
import shlex

from storage.reading import Attempt, newest_by_slot, read_attempts
from study.errors import StudyError
from study.spec.open import OpenStudy

HIGHEST = 2**31 - 1  # of what the tables can hold, and be asked for


def find_trial(opened: OpenStudy, text: str) -> Attempt:
    """Return the attempt, with details, that `12` (a trial) or `slot:37` (its newest) names.

    Raises:
        StudyError: It is neither, or there is no such trial or slot.
    """
    named = re.fullmatch(r"(slot:)?(\d+)", text.strip(), re.ASCII)
    if named is None:
        raise StudyError(
            f"{text!r} names no trial", "12 (a trial's number), or slot:37 (its newest attempt)"
        )
    number = int(named[2])
    if named[1]:
        number = _newest(opened, number)
    found = _read(opened, number) if number <= HIGHEST else []
    if not found:
        there = [a.trial for a in _read_all(opened)]
        raise _refusal(opened, f"trial {number}", "trials", there)
    return found[0]


def _newest(opened: OpenStudy, slot: int) -> int:
    newest = newest_by_slot(_read_all(opened))
    if slot not in newest:
        raise _refusal(opened, f"slot {slot}", "slots", list(newest))
    return newest[slot].trial


def _read(opened: OpenStudy, number: int) -> list[Attempt]:
    engine, study_id = opened.storage.engine, opened.study_id
    return read_attempts(engine, study_id, details=True, trials=[number])


def _read_all(opened: OpenStudy) -> list[Attempt]:
    return read_attempts(opened.storage.engine, opened.study_id)


def _refusal(opened: OpenStudy, what: str, kind: str, there: list[int]) -> StudyError:
    holds = f"it has {kind} {min(there)} to {max(there)}" if there else f"it has no {kind}"
    return StudyError(
        f"no {what} in study '{opened.name}': {holds}",
        f"study trials --study {shlex.quote(opened.name)}",
    )
