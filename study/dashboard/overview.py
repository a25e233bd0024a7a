"""What our own pages and the metrics know of the studies.

One look at a study serves everybody who asks within a second, so that many browsers cost the
database no more than one.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from storage import attrs
from storage.database.transaction import patiently
from storage.errors import StorageError
from storage.reading import Attempt, failed_numbers, read_attempts
from study.dashboard.database import Database
from study.errors import StudyError
from study.spec.open import OpenStudy, open_study
from study.view.status import StudyStatus, error_line, read_status

LOOK_WAIT_S = 2.0
KEPT_S = 1.0
MOST_FAILURES = 20


@dataclass(frozen=True)
class Failure:
    """A failed attempt: `error` is its type and first line, `log` the end of what it printed."""

    trial: int
    slot: int | None
    attempt: int | None
    reason: str
    worker: str
    error: str
    log: str


@dataclass(frozen=True)
class Look:
    """One look at a study.

    Attributes:
        failures: The newest first.
    """

    opened: OpenStudy
    status: StudyStatus
    failures: list[Failure]


class Overview:
    """The studies of a storage.

    Args:
        database: Is there.
        clock: Monotonic time in s.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        assert database.storage is not None  # for the type checker: pages are asked later
        self._storage, self._clock = database.storage, clock
        self._looks: dict[str, tuple[float, Look]] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the names of the studies of ours, in order of creation."""
        found = patiently(self._storage.get_all_studies, wait_s=LOOK_WAIT_S)
        return [one.study_name for one in found if attrs.SPEC in one.user_attrs]

    def open(self, name: str | None) -> OpenStudy:
        """Open a study; None is the newest.

        Raises:
            StudyError: There is no such study.
            StorageUnavailableError: The database is away.
        """
        names = self.names()
        if name is None and names:
            name = names[-1]
        if name not in names:
            raise StudyError("there is no study yet" if name is None else f"no study '{name}'")
        return patiently(lambda: open_study(self._storage, name), wait_s=LOOK_WAIT_S)

    def look(self, name: str | None = None) -> Look:
        """Look at a study, at most once a second.

        Raises:
            StudyError: There is no such study.
        """
        with self._lock:  # who comes meanwhile gets the same look
            at, known = self._looks.get(name or "", (float("-inf"), None))
            if known is not None and self._clock() - at < KEPT_S:
                return known
            found = self._look(self.open(name))
            self._looks = {n: one for n, one in self._looks.items() if self._clock() - one[0] < 60}
            self._looks[name or ""] = self._clock(), found
            return found

    def forget(self) -> None:
        """Look anew the next time: something was changed."""
        with self._lock:
            self._looks.clear()

    def all(self) -> list[Look]:
        """Look at every study; one that goes meanwhile is left out."""
        found = []
        for name in self.names():
            try:
                found.append(self.look(name))
            except (StudyError, StorageError):
                continue
        return found

    def _look(self, opened: OpenStudy) -> Look:
        status = read_status(opened, wait_s=LOOK_WAIT_S)
        engine, study_id = opened.storage.engine, opened.study_id
        numbers = failed_numbers(engine, study_id, MOST_FAILURES, wait_s=LOOK_WAIT_S)
        failed = []
        if numbers:
            failed = read_attempts(
                engine, study_id, details=True, trials=numbers, wait_s=LOOK_WAIT_S
            )
        return Look(opened, status, [_failure(attempt) for attempt in failed[::-1]])


def _failure(attempt: Attempt) -> Failure:
    found: Any = attempt.user_attrs
    return Failure(
        trial=attempt.trial,
        slot=attempt.slot,
        attempt=found.get(attrs.ATTEMPT),
        reason=str(found.get(attrs.REASON) or "ended from outside"),
        worker=str(found.get(attrs.WORKER) or ""),
        error=error_line(attempt),
        log=str(found.get(attrs.LOG) or ""),
    )
