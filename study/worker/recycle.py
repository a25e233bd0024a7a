"""When a worker process replaces itself between two trials, and how, to bound its memory.

Keras leaves two or three MB behind for each network built. The new process runs the same command
under the same process id, so that supervisors and containers notice nothing.
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from study.machine.forks import end_forks
from study.machine.locks import kept_lock
from study.worker.told import PROGRAM

MOST_GROWTH_BYTES = 1 << 30
HELD_BACK = (signal.SIGTERM, signal.SIGINT)
HEARD_S = 0.05
STATM = Path("/proc/self/statm")


def memory_bytes() -> int:
    """Return the resident memory of this process; where there is no /proc, its highest so far."""
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Recycling:
    """Counts trials and memory.

    Args:
        after: Trials after which the process is replaced.
        growth_bytes: Growth of memory since the first trial after which it is replaced, too.
    """

    def __init__(self, after: int, growth_bytes: int = MOST_GROWTH_BYTES) -> None:
        self._after, self._growth_bytes = after, growth_bytes
        self._n_trials, self._first_bytes = 0, 0

    def is_due(self) -> bool:
        """Count a trial that has ended; return whether the process is to be replaced now."""
        self._n_trials += 1
        now_bytes = memory_bytes()
        self._first_bytes = self._first_bytes or now_bytes
        grown = now_bytes - self._first_bytes > self._growth_bytes
        return grown or self._n_trials >= self._after


def replace_process(unless: Callable[[], bool], leave: Callable[[], NoReturn]) -> NoReturn:
    """Run the command of this process anew, in its place.

    Signals are blocked meanwhile; the new process unblocks them once it listens.

    Args:
        unless: Asked once signals are blocked; True where this process was asked to leave.
        leave: Called then.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    time.sleep(HEARD_S)  # for earlier signals to reach the thread that listens
    if unless():
        leave()
    end_forks(daemons_only=True)
    gpu_lock = kept_lock()
    if gpu_lock is not None:
        gpu_lock.hand_on()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [*PROGRAM, *sys.argv[1:]])
