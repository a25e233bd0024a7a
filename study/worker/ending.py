"""How a worker process ends: by itself, drained, at once, or with another in its place.

Everything that ends or replaces the process goes through here, so that a request to leave is never
lost and nothing that hangs can keep the process. What is given back first is the worker's.
"""

import os
import threading
from typing import NoReturn

from study.machine.forks import end_forks
from study.worker.presence import Presence
from study.worker.recycle import replace_process
from study.worker.signals import StopRequest
from study.worker.worker import Worker

INTERRUPTED = 130
GIVE_BACK_S = 1.5
"""For giving a slot back before a process ends; it is found lost where that takes longer."""


class Ending:
    """The end of this process; listens to signals from its creation on.

    Args:
        drain_s: How long the epoch in progress may take once the process was asked to leave.
        is_supervised: Whether a supervisor asks; see `StopRequest`.

    Attributes:
        stop: The request to leave.
        worker, presence: Given back, and taken off the list, before the process ends.
    """

    def __init__(self, drain_s: float, *, is_supervised: bool) -> None:
        self.worker: Worker | None = None
        self.presence: Presence | None = None
        self._is_over = threading.Event()
        self.stop = StopRequest(
            lambda: self._leave_after(drain_s), self._leave_now, one_term=is_supervised
        )
        self.stop.install()

    def is_over(self) -> None:
        """Say that nothing is held any more: the process ends by itself."""
        self._is_over.set()

    def replace(self) -> NoReturn:
        """Put a new process in the place of this one, unless it was asked to leave."""
        replace_process(self.stop.event.is_set, self._leave_now)

    def _leave_after(self, after_s: float) -> None:
        if not self._is_over.wait(after_s):
            self._leave_now()

    def _leave_now(self) -> NoReturn:
        # In a thread, and not waited for for long: the database may hang.
        giving = threading.Thread(target=self._give_back, daemon=True)
        giving.start()
        giving.join(GIVE_BACK_S)
        end_forks(daemons_only=False)
        os._exit(INTERRUPTED if self.stop.by_interrupt else 0)

    def _give_back(self) -> None:
        if self.worker is not None:
            self.worker.release_current()
        if self.presence is not None:
            self.presence.leave()
