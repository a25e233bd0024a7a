"""Who may train on a device at the same time: everybody, or one trial that ran out of memory alone.

A lock file of the machine is shared by the trials in progress; a trial that must be alone waits for
them and keeps new ones out. The lock dies with its process. Which workers have a place on a GPU in
the first place is `seat.py`'s; both kinds of locks lie in one folder.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from study.environment import read_environment
from study.forks import close_withheld, withhold
from study.seat import kept_seat

SHORTEST_POLL_S, LONGEST_POLL_S = 0.002, 0.2


def device_name() -> str:
    """Return a name of what this process trains on, alike in all processes that share it."""
    device = read_environment().get("device", "cpu")
    return f"{device} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}".strip()


class DeviceLock:
    """Held from `__enter__` to `__exit__` by one trial.

    Args:
        device: Name of the device on this machine.
        alone: Whether nobody else may hold it.
        look: Called while it waits; may raise, which ends the waiting.
    """

    def __init__(self, device: str, *, alone: bool, look: Callable[[], None]) -> None:
        name = "".join(c if c.isalnum() else "-" for c in f"{os.getuid()}-{device}")
        seat = kept_seat()  # beside those of the GPUs' seats, where containers see it too
        folder = tempfile.gettempdir() if seat is None else seat.folder
        self._path = Path(folder) / f"study-{name}.lock"
        self._alone, self._look = alone, look
        self._handles: list[int] = []

    def __enter__(self) -> "DeviceLock":
        # Through a gate: whoever waits alone stands in it, and no new trial passes.
        try:
            gate = self._lock(".gate", fcntl.LOCK_EX)
            self._lock("", fcntl.LOCK_EX if self._alone else fcntl.LOCK_SH)
            if not self._alone:
                self._handles.remove(gate)
                close_withheld(gate)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            close_withheld(handle)
        self._handles = []

    def _lock(self, suffix: str, how: int) -> int:
        handle = os.open(f"{self._path}{suffix}", os.O_RDWR | os.O_CREAT, 0o600)
        self._handles.append(handle)
        withhold(handle)
        pause_s = SHORTEST_POLL_S
        while True:
            try:
                fcntl.flock(handle, how | fcntl.LOCK_NB)
                return handle
            except BlockingIOError:
                self._look()
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_POLL_S)
