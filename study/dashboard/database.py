"""The dashboard's database: waited for at the start, and asked whether it still answers.

Decides what is waited for - a server that is away, or one whose tables nobody has made yet - and
what is a mistake to be told at once, such as a file that is not there.
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
"""How long an answer to `answers` holds: whoever may ask for it costs the database nothing."""


class Database:
    """A storage that may not be there yet.

    Args:
        url: Of the storage; nothing is created.

    Attributes:
        storage: None until it is there.
        failure: What ended the waiting; it is not waited for any more.

    Raises:
        StorageError: It is one that waiting does not mend.
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
        """Wait in a thread until the storage is there, or until that is hopeless; call `then`.

        Once this is closed nothing is called any more: there is no storage to go on with.
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
            elif self.storage is not None:  # it came while this was closed
                self.storage.close()

        threading.Thread(target=run, name="database", daemon=True).start()

    def warm(self) -> None:
        """Read the newest study's trials, so that who first looks at it does not wait for them."""
        if self.storage is None:
            return
        try:
            ids = [study._study_id for study in self.storage.get_all_studies()]
            if ids and not self._ended.is_set():
                self.storage.get_all_trials(ids[-1], deepcopy=False)
        except Exception as error:  # then whoever looks reads them, and hears of it
            logger.info("the newest study was not read ahead: %s", error)

    def close(self) -> None:
        """Wait no longer, and give the connections back."""
        self._ended.set()
        if self.storage is not None:
            self.storage.close()

    def answers(self, *, wait_s: float = 0.0) -> bool:
        """Whether the storage is there and answers; waits so long for one that is away."""
        if self.storage is None:
            return False
        with self._lock:
            is_known = time.monotonic() - self._asked_at < ANSWER_KEPT_S
            if is_known and (self._answered or not wait_s):
                return self._answered
            self._answered = self.storage.answers(wait_s)
            self._asked_at = time.monotonic()
            return self._answered

    def forget_answer(self) -> None:
        """Ask anew the next time: something has just failed."""
        with self._lock:
            self._asked_at = float("-inf")

    def _try(self) -> str | None:
        """Open the storage; return what is waited for, None where it is there."""
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
