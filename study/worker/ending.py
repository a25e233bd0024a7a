"""How a worker process ends: by itself, drained, at once, or replaced by a new process.

A request to leave is never lost, and nothing that hangs keeps the process.
"""

import os
import threading
from collections.abc import Callable
from typing import NoReturn

from study.machine.forks import end_forks
from study.worker.recycle import replace_process
from study.worker.signals import StopRequest

INTERRUPTED = 130
GIVE_BACK_S = 1.5
"""For releasing a slot before the process ends; a slot that takes longer is found lost."""


class Ending:
    """The end of this process; listens to signals from its creation on.

    Args:
        drain_s: How long the epoch in progress may take once the process was asked to leave.
        is_supervised: Whether a supervisor asks; see `StopRequest`.

    Attributes:
        stop: The request to leave.
        give_back: Called in turn before the process ends at once: they release what it holds.
    """

    def __init__(self, drain_s: float, *, is_supervised: bool) -> None:
        self.give_back: list[Callable[[], None]] = []
        self._is_over = threading.Event()
        self.stop = StopRequest(
            lambda: self._leave_after(drain_s), self._leave_now, one_term=is_supervised
        )
        self.stop.install()

    def is_over(self) -> None:
        """Note that the process holds nothing any more and ends by itself."""
        self._is_over.set()

    def replace(self) -> NoReturn:
        """Replace this process by a new one, unless it was asked to leave."""
        replace_process(self.stop.event.is_set, self._leave_now)

    def _leave_after(self, after_s: float) -> None:
        if not self._is_over.wait(after_s):
            self._leave_now()

    def _leave_now(self) -> NoReturn:
        # In a thread that is not waited for for long: the database may hang.
        giving = threading.Thread(target=self._give_back, daemon=True)
        giving.start()
        giving.join(GIVE_BACK_S)
        end_forks(daemons_only=False)
        os._exit(INTERRUPTED if self.stop.by_interrupt else 0)

    def _give_back(self) -> None:
        for give in self.give_back:
            give()
