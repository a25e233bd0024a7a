"""Who may train on a device at the same time: everybody, or one trial that ran out of memory alone.

A lock file of the machine is shared by the trials in progress; a trial that must be alone waits for
them and keeps new ones out. The lock dies with its process. Which workers have a place on a GPU in
the first place is `seat.py`'s.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from objectives.filelock import open_lock, shown_holders, try_lock
from study.environment import read_environment
from study.errors import StudyError
from study.forks import close_withheld, withhold
from study.seat import kept_seat
from study.userfolder import lock_folder
from study.workdir import folder_name

SHORTEST_POLL_S, LONGEST_POLL_S = 0.002, 0.2
QUIET_S = 2.0
"""Who waits longer says so."""

_unlocked: set[str] = set()


def device_name() -> str:
    """Return a name of what this process trains on, alike in all processes that share it."""
    device = read_environment().get("device", "cpu")
    return f"{device} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}".strip()


class DeviceLock:
    """Held from `__enter__` to `__exit__` by one trial.

    Where no lock can be had, the trial goes on without it: it is not to blame.

    Args:
        device: Name of the device on this machine.
        alone: Whether nobody else may hold it.
        look: Called while it waits; may raise, which ends the waiting.
        say: Called with one line, where the waiting takes long or there is no lock.
    """

    def __init__(
        self, device: str, *, alone: bool, look: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        self._device, self._alone, self._look, self._say = device, alone, look, say
        self._handles: list[int] = []

    def __enter__(self) -> "DeviceLock":
        try:
            self._open()
        except (OSError, StudyError) as error:
            self.__exit__(None, None, None)
            if self._device not in _unlocked:  # once a process
                _unlocked.add(self._device)
                what = f"trials do not keep each other off {self._device}"
                self._say(f"warning: {what}, for want of a lock: {error}")
            return self
        # Through a gate: whoever waits alone stands in it, and no new trial passes.
        gate, lock = self._handles
        try:
            self._lock(gate, fcntl.LOCK_EX)
            self._lock(lock, fcntl.LOCK_EX if self._alone else fcntl.LOCK_SH)
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

    def _open(self) -> None:
        seat = kept_seat()  # beside those of the GPUs' seats, where containers see it too
        folder = lock_folder(None if seat is None else Path(seat.folder))
        for suffix in ("lock.gate", "lock"):
            handle = open_lock(folder, f"{folder_name(self._device)}.{suffix}", 0o600)
            self._handles.append(handle)
            withhold(handle)

    def _lock(self, handle: int, how: int) -> None:
        started_s, is_said, pause_s = time.monotonic(), False, SHORTEST_POLL_S
        while not try_lock(handle, how):
            self._look()
            if not is_said and time.monotonic() - started_s > QUIET_S:
                is_said = True
                why = "to have it alone" if self._alone else "until a trial that is alone ends"
                by = shown_holders(handle)
                self._say(f"waiting for {self._device}, {why}: it is used by {by}")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_POLL_S)
