"""Database checks of the dashboard: wait for it at startup, then health checks.

The dashboard waits for an unreachable server, and for one without tables. Any other failure, such
as a missing file, is an error at once.
"""

import logging
import threading
import time
from collections.abc import Callable

from storage.database.url import parse_url, sqlite_path
from storage.errors import StorageError, StorageMissingError, StorageUnavailableError
from storage.rdb import SlotStorage, open_storage

logger = logging.getLogger(__name__)

FIRST_WAIT_S = 2.0
TRY_EVERY_S = 1.0
ANSWER_KEPT_S = 2.0
"""How long `answers` repeats an answer, so that health checks put no load on the database."""


class Database:
    """A storage that may not exist yet. Nothing is created in it.

    Attributes:
        storage: The open storage; None before.
        failure: The error that ended the waiting.
        waits_for: The reason to wait; None once the storage is open.

    Raises:
        StorageError: Waiting would not help.
    """

    def __init__(self, url: str) -> None:
        self.storage: SlotStorage | None = None
        self.failure: StorageError | None = None
        self._url = url
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._asked_at, self._answered = float("-inf"), False
        self.waits_for: str | None = self._try()

    def wait(self, then: Callable[[], None]) -> None:
        """Start a thread that calls `then` once the storage is open or has failed for good.

        It calls nothing after `close`.
        """

        def run() -> None:
            while not self._ended.wait(TRY_EVERY_S):
                try:
                    if self._try() is None:
                        break
                except StorageError as error:
                    self.failure = error
                    break
            if not self._ended.is_set():
                then()
            elif self.storage is not None:  # opened during `close`
                self.storage.close()

        threading.Thread(target=run, name="database", daemon=True).start()

    def warm(self) -> None:
        """Read the newest study's trials ahead of its first visitor."""
        if self.storage is None:
            return
        try:
            ids = [study._study_id for study in self.storage.get_all_studies()]
            if ids and not self._ended.is_set():
                self.storage.get_all_trials(ids[-1], deepcopy=False)
        except Exception as error:  # the visitor's own request will fail, too, and say why
            logger.info("the newest study was not read ahead: %s", error)

    def close(self) -> None:
        """End the waiting, and close the connections."""
        self._ended.set()
        if self.storage is not None:
            self.storage.close()

    def answers(self, *, wait_s: float = 0.0) -> bool:
        """Whether the storage is open and answers within `wait_s`."""
        if self.storage is None:
            return False
        with self._lock:
            is_known = time.monotonic() - self._asked_at < ANSWER_KEPT_S
            if not is_known or (wait_s and not self._answered):
                self._answered = self.storage.answers(wait_s)
                self._asked_at = time.monotonic()
            return self._answered

    def forget_answer(self) -> None:
        """Ask the database at the next `answers`, because a request has just failed."""
        with self._lock:
            self._asked_at = float("-inf")

    def _try(self) -> str | None:
        """Open the storage; return the reason to wait, or None if it is open."""
        try:
            self.storage = open_storage(self._url, create=False, wait_s=FIRST_WAIT_S)
        except StorageUnavailableError as error:
            return str(error)
        except StorageMissingError as error:
            if sqlite_path(parse_url(self._url)) is not None:
                raise
            return str(error)
        self.waits_for = None
        return None
