"""Ends a worker process: by itself, drained, at once, or replaced by a new process.

A request to stop is never lost, and the process ends even if something hangs. Keras leaks two or
three MB for each network, so a worker replaces itself now and then between two trials. The new
process has the same command and process id, so supervisors and containers see no change.
"""

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from study.machine.forks import end_forks
from study.machine.locks import kept_lock
from study.worker.signals import HEARD, StopRequest
from study.worker.told import PROGRAM

INTERRUPTED = 130
GIVE_BACK_S = 1.5
"""Time to release a slot before the process ends; otherwise the slot is requeued as lost."""
MOST_GROWTH_BYTES = 1 << 30
HEARD_S = 0.05
STATM = Path("/proc/self/statm")


class Ending:
    """The end of this process; handles signals from its creation on.

    Args:
        drain_s: How long the epoch in progress may take after a request to stop.
        is_supervised: Whether a supervisor makes the requests; see `StopRequest`.

    Attributes:
        stop: The request to stop.
        give_back: Callbacks that release trial and registration before the process ends at once.
    """

    def __init__(self, drain_s: float, *, is_supervised: bool) -> None:
        self.give_back: list[Callable[[], None]] = []
        self._is_over = threading.Event()
        self.stop = StopRequest(
            lambda: self._leave_after(drain_s), self._leave_now, one_term=is_supervised
        )
        self.stop.install()

    def is_over(self) -> None:
        """Note that the process has released everything and ends by itself."""
        self._is_over.set()

    def replace(self) -> NoReturn:
        """Replace this process by a new one, unless it was asked to stop."""
        replace_process(self.stop.event.is_set, self._leave_now)

    def _leave_after(self, after_s: float) -> None:
        if not self._is_over.wait(after_s):
            self._leave_now()

    def _leave_now(self) -> NoReturn:
        # In a thread, with a short wait for it: the database may hang.
        giving = threading.Thread(target=self._give_back, daemon=True)
        giving.start()
        giving.join(GIVE_BACK_S)
        end_forks(daemons_only=False)
        os._exit(INTERRUPTED if self.stop.by_interrupt else 0)

    def _give_back(self) -> None:
        for give in self.give_back:
            give()


def memory_bytes() -> int:
    """Return the resident memory of this process in bytes; without /proc, its maximum so far."""
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Recycling:
    """Decides, by trials and memory, when the process is to be replaced.

    Args:
        after: Number of trials after which the process is replaced.
        growth_bytes: Growth of memory since the first trial at which it is replaced, too.
    """

    def __init__(self, after: int, growth_bytes: int = MOST_GROWTH_BYTES) -> None:
        self._after, self._growth_bytes = after, growth_bytes
        self._n_trials, self._first_bytes = 0, 0

    def is_due(self) -> bool:
        """Count a finished trial; return whether the process is to be replaced now."""
        self._n_trials += 1
        now_bytes = memory_bytes()
        self._first_bytes = self._first_bytes or now_bytes
        grown = now_bytes - self._first_bytes > self._growth_bytes
        return grown or self._n_trials >= self._after


def replace_process(unless: Callable[[], bool], leave: Callable[[], NoReturn]) -> NoReturn:
    """Replace this process by a new one with the same command, through `exec`.

    Signals are blocked meanwhile; the new process unblocks them once it handles them.

    Args:
        unless: Called once signals are blocked; True if this process was asked to stop.
        leave: Called in that case.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    time.sleep(HEARD_S)  # until earlier signals have reached the thread that reads them
    if unless():
        leave()
    end_forks(daemons_only=True)
    gpu_lock = kept_lock()
    if gpu_lock is not None:
        gpu_lock.hand_on()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [*PROGRAM, *sys.argv[1:]])
