"""Finds the trial that a user names: by its number, or by its slot."""

import re
import shlex

from storage.reading import Attempt, newest_by_slot, read_attempts
from study.errors import StudyError
from study.spec.open import OpenStudy

HIGHEST = 2**31 - 1  # trial number that the tables can hold


def find_trial(opened: OpenStudy, text: str) -> Attempt:
    """Return the attempt, with details, for `12` (a trial) or `slot:37` (its newest attempt).

    Raises:
        StudyError: The text is neither, or the trial or slot does not exist.
    """
    named = re.fullmatch(r"(slot:)?(\d+)", text.strip(), re.ASCII)
    if named is None:
        raise StudyError(
            f"{text!r} names no trial", "12 (a trial's number), or slot:37 (its newest attempt)"
        )
    number, place = int(named[2]), (opened.storage.engine, opened.study_id)
    if named[1]:
        newest = newest_by_slot(read_attempts(*place))
        if number not in newest:
            raise _refusal(opened, f"slot {number}", "slots", list(newest))
        number = newest[number].trial
    found = read_attempts(*place, details=True, trials=[number]) if number <= HIGHEST else []
    if not found:
        numbers = [attempt.trial for attempt in read_attempts(*place)]
        raise _refusal(opened, f"trial {number}", "trials", numbers)
    return found[0]


def _refusal(opened: OpenStudy, what: str, kind: str, there: list[int]) -> StudyError:
    holds = f"it has {kind} {min(there)} to {max(there)}" if there else f"it has no {kind}"
    return StudyError(
        f"no {what} in study '{opened.name}': {holds}",
        f"study trials --study {shlex.quote(opened.name)}",
    )
