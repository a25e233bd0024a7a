"""Locks on GPUs: each worker holds one on the GPU that it computes on, until its process ends.

The lock files are in a folder that all users and containers of the host share. A GPU belongs to one
study at a time, whose workers may hold several locks on it. `DeviceLock` is separate: it lets a
trial that ran out of memory run alone on its device.
"""

import getpass
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from fcntl import LOCK_EX, LOCK_SH
from pathlib import Path

from objectives.errors import FileError
from objectives.files.filelock import open_lock, shown_holders, try_lock
from objectives.files.userfolder import lock_folder
from study.errors import StudyError
from study.machine.environment import read_environment
from study.machine.forks import close_withheld, withhold
from study.machine.gpus import Gpu
from study.spec.workdir import folder_name

SHORTEST_POLL_S, LONGEST_POLL_S = 0.002, 0.2
QUIET_S = 2.0
"""A wait longer than this is reported."""
_unlocked: set[str] = set()

DEFAULT_FOLDER = Path("/tmp/slot-study-gpus")  # not TMPDIR, which may differ between users
KEPT = "STUDY_SEAT"
"""Environment variable: the GPU lock that a process still holds after it replaced itself."""

FOR_ALL, FOR_ALL_FILES = 0o1777, 0o666
ANOTHER = "--gpu-locks DIR, a folder that all users of these GPUs may write to"
_NUMBER = re.compile("[0-9]{1,3}")


@dataclass(frozen=True)
class GpuLock:
    """A lock that this process holds.

    Attributes:
        uuid: Of the GPU.
        number: Which of the locks on this GPU, from 0.
        handle: File descriptor of the lock; survives `exec` after `hand_on`.
        pid: Of this process.
        folder: The lock file's folder.
    """

    uuid: str
    number: int
    handle: int
    pid: int
    folder: str

    def keep(self) -> None:
        """Hold the lock for this process only, and store it for the process that replaces it."""
        # A command started by a user's code must not inherit the lock: it may outlive this process.
        os.set_inheritable(self.handle, False)
        withhold(self.handle)
        os.environ[KEPT] = json.dumps(asdict(self))

    def hand_on(self) -> None:
        """Keep the lock through the next `exec`."""
        os.set_inheritable(self.handle, True)


@dataclass(frozen=True)
class Holder:
    """The study and user that hold a lock, as far as they are known."""

    token: str = ""
    study: str = "?"
    who: str = "somebody"

    @classmethod
    def here(cls, token: str, study: str) -> "Holder":
        """Return this process as the holder, for a study."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # an id without a name, as containers have
            user = str(os.getuid())
        return cls(token, study, f"{user}@{socket.gethostname()}, pid {os.getpid()}")


class GpuLocks:
    """The GPU locks of this host, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, gpus: Sequence[Gpu], per_gpu: int, holder: Holder) -> GpuLock | None:
        """Return a lock on the GPU with the fewest workers; None if no lock is free.

        Args:
            per_gpu: Number of locks that the holder's study may have on each GPU.
        """
        for most in range(1, per_gpu + 1):
            for gpu in gpus:
                # One process at a time looks for a free lock on a GPU; others try again later.
                with self._opened(self._name(gpu, "gate")) as gate:
                    number = self._free(gpu, most, holder) if try_lock(gate, LOCK_EX) else None
                    if number is not None:
                        return self._lock(gpu, number, holder)
        return None

    def holders(self, gpu: Gpu) -> list[Holder]:
        """Return the holders of the locks on a GPU."""
        return list(self._held(gpu).values())

    def _free(self, gpu: Gpu, most: int, holder: Holder) -> int | None:
        held = self._held(gpu)
        if len(held) >= most or any(other.token != holder.token for other in held.values()):
            return None
        return next(number for number in range(most) if number not in held)

    def _held(self, gpu: Gpu) -> dict[int, Holder]:
        held = {}
        for path in self._folder.glob(f"{_plain(gpu.uuid)}.seat-*"):
            number = path.name.rpartition("-")[2]
            if not _NUMBER.fullmatch(number):
                continue  # any user may put any file there
            with suppress(StudyError), self._opened(path.name) as handle:
                if not try_lock(handle, LOCK_SH):  # shared: checks exclude no other check
                    held[int(number)] = read_holder(handle)
        return held

    def in_the_way(self, gpus: Sequence[Gpu], per_gpu: int) -> str:
        """Return which foreign process blocks the free locks; "" if none does."""
        for gpu in gpus:
            for what in ("gate", *(f"seat-{number}" for number in range(per_gpu))):
                with self._opened(self._name(gpu, what)) as handle:
                    if not try_lock(handle, LOCK_EX):
                        path = self._folder / self._name(gpu, what)
                        return f"the lock {path} is held by {shown_holders(handle)}"
        return ""

    def _lock(self, gpu: Gpu, number: int, holder: Holder) -> GpuLock | None:
        handle = self._open(self._name(gpu, f"seat-{number}"))
        if not try_lock(handle, LOCK_EX):  # another process checks this lock
            os.close(handle)
            return None
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(holder)).encode(), 0)
        return GpuLock(gpu.uuid, number, handle, os.getpid(), str(self._folder))

    def _name(self, gpu: Gpu, what: str) -> str:
        return f"{_plain(gpu.uuid)}.{what}"

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        handle = self._open(name)
        try:
            yield handle
        finally:
            os.close(handle)

    def _open(self, name: str) -> int:
        """Open a lock file that every user may open; create it if needed."""
        try:
            if not self._folder.is_dir():
                with suppress(FileExistsError):
                    self._folder.mkdir(parents=True)
                    self._folder.chmod(FOR_ALL)  # sticky, as /tmp: other users cannot replace it
            return open_lock(self._folder, name, FOR_ALL_FILES)
        except OSError as error:
            why = error.strerror or error
            raise StudyError(f"the locks of the GPUs in {self._folder}: {why}", ANOTHER) from error


def kept_lock() -> GpuLock | None:
    """Return the GPU lock that this process held before it replaced itself."""
    try:
        lock = GpuLock(**json.loads(os.environ.get(KEPT, "")))
        os.fstat(lock.handle)
    except (ValueError, TypeError, OSError):
        return None
    return lock if lock.pid == os.getpid() else None  # else inherited from another process


def read_holder(handle: int) -> Holder:
    """Return the holder that a lock file names; any user may have written the file."""
    try:
        found = Holder(**json.loads(os.pread(handle, 4096, 0)))
    except (OSError, ValueError, TypeError, RecursionError):  # also while it is being written
        return Holder()
    return found if all(isinstance(value, str) for value in asdict(found).values()) else Holder()


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c == "-" else "-" for c in text)


def device_name() -> str:
    """Return the name of this process's device, the same in all processes that share it."""
    device = read_environment().get("device", "cpu")
    return f"{device} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}".strip()


class DeviceLock(AbstractContextManager[None]):
    """A lock on a device for the duration of the block, shared by trials or exclusive.

    Where the lock files cannot be used, the trial runs without a lock, after a warning.

    Args:
        alone: Whether the lock is exclusive.
        look: Called while it waits; an exception from it ends the wait.
        say: Called with one line if the wait is long or the lock files cannot be used.
    """

    def __init__(
        self, device: str, *, alone: bool, look: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        self._device, self._alone, self._look, self._say = device, alone, look, say
        self._handles: list[int] = []

    def __enter__(self) -> None:
        try:
            self._open()
        except (OSError, FileError) as error:
            self.__exit__()
            if self._device not in _unlocked:  # warn once in each process
                _unlocked.add(self._device)
                what = f"trials do not keep each other off {self._device}"
                self._say(f"warning: {what}, because the lock is not usable: {error}")
            return
        # A trial that waits for the exclusive lock holds the gate, so that no new trial starts.
        gate, lock = self._handles
        try:
            self._lock(gate, LOCK_EX)
            self._lock(lock, LOCK_EX if self._alone else LOCK_SH)
            if not self._alone:
                self._handles.remove(gate)
                close_withheld(gate)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            close_withheld(handle)
        self._handles = []

    def _open(self) -> None:
        gpu_lock = kept_lock()  # the same folder as the GPU locks, which containers share
        folder = lock_folder(None if gpu_lock is None else Path(gpu_lock.folder))
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
                why = "to have it alone" if self._alone else "until a trial that has it alone ends"
                by = shown_holders(handle)
                self._say(f"waiting for {self._device}, {why}: it is used by {by}")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_POLL_S)
