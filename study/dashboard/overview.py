"""Status of all studies for pages and metrics, read from the database at most once a second.

All visitors within that second share one read.
"""

import threading
import time
from dataclasses import dataclass

from storage import attrs
from storage.database.transaction import patiently
from storage.errors import StorageError
from storage.reading import Attempt, failed_numbers, read_attempts
from study.dashboard.database import Database
from study.errors import StudyError
from study.spec.open import OpenStudy, open_study
from study.view.status import StudyStatus, read_status

LOOK_WAIT_S = 2.0
KEPT_S = 1.0
FORGOTTEN_AFTER_S = 60.0
MOST_FAILURES = 20


@dataclass(frozen=True)
class Look:
    """A study at one moment; `failures` holds its newest failed attempts, the newest first."""

    opened: OpenStudy
    status: StudyStatus
    failures: list[Attempt]


class Overview:
    """The studies of an open database."""

    def __init__(self, database: Database) -> None:
        assert database.storage is not None  # for the type checker
        self._storage = database.storage
        self._looks: dict[str | None, tuple[float, Look]] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the names of the studies that this program created, in order of creation."""
        found = patiently(self._storage.get_all_studies, wait_s=LOOK_WAIT_S)
        return [one.study_name for one in found if attrs.SPEC in one.user_attrs]

    def open(self, name: str | None) -> OpenStudy:
        """Open a study; None opens the newest.

        Raises:
            StudyError: The study does not exist.
            StorageUnavailableError: The database is unreachable.
        """
        names = self.names()
        if name is None and names:
            name = names[-1]
        if name not in names:
            raise StudyError("there is no study yet" if name is None else f"no study '{name}'")
        return patiently(lambda: open_study(self._storage, name), wait_s=LOOK_WAIT_S)

    def look(self, name: str | None = None) -> Look:
        """Return the state of a study; raises as `open` does."""
        with self._lock:  # concurrent requests wait for the same read
            now = time.monotonic()
            age = {key: now - at for key, (at, _) in self._looks.items()}
            if age.get(name, KEPT_S) < KEPT_S:
                return self._looks[name][1]
            found = self._look(self.open(name))
            kept = {k: one for k, one in self._looks.items() if age[k] < FORGOTTEN_AFTER_S}
            self._looks = {**kept, name: (time.monotonic(), found)}
            return found

    def forget(self) -> None:
        """Read again at the next `look`, because a study was changed."""
        with self._lock:
            self._looks.clear()

    def all(self) -> list[Look]:
        """Return the state of all readable studies; some may have been deleted meanwhile."""
        found = []
        for name in self.names():
            try:
                found.append(self.look(name))
            except (StudyError, StorageError):
                continue
        return found

    def _look(self, opened: OpenStudy) -> Look:
        status = read_status(opened, wait_s=LOOK_WAIT_S)
        where = opened.storage.engine, opened.study_id
        numbers = failed_numbers(*where, MOST_FAILURES, wait_s=LOOK_WAIT_S)
        failed: list[Attempt] = []
        if numbers:
            failed = read_attempts(*where, details=True, trials=numbers, wait_s=LOOK_WAIT_S)
        return Look(opened, status, failed[::-1])
