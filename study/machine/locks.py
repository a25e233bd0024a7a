"""A seat on a GPU: one worker's right to compute on it, as a lock that dies with its process.

The locks lie in a folder of the host that all users and containers share. A card belongs to one
study at a time, which may have several seats on it. Decides who may sit where; what a worker does
with its seat is `pinning.py`'s.
"""

import fcntl
import getpass
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

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
"""Who waits longer says so."""
_unlocked: set[str] = set()


DEFAULT_FOLDER = Path("/tmp/slot-study-gpus")  # not of TMPDIR, which may be each user's own
KEPT = "STUDY_SEAT"
"""In the environment of a process that replaced itself: the seat that it has."""

FOR_ALL, FOR_ALL_FILES = 0o1777, 0o666
ANOTHER = "--gpu-locks DIR, a folder that all users of these GPUs may write to"
_NUMBER = re.compile("[0-9]{1,3}")


@dataclass(frozen=True)
class Seat:
    """One that this process holds.

    Attributes:
        uuid: Of its GPU.
        number: Of the seat on it, from 0.
        handle: File descriptor with the lock; survives `exec` after `hand_on`.
        pid: Of this process.
        folder: Where the lock lies.
    """

    uuid: str
    number: int
    handle: int
    pid: int
    folder: str

    def keep(self) -> None:
        """Hold it for this process alone, and let the process that replaces this one find it."""
        # Not for the commands of a user's code, which could outlive this process with it.
        os.set_inheritable(self.handle, False)
        withhold(self.handle)
        os.environ[KEPT] = json.dumps(asdict(self))

    def hand_on(self) -> None:
        """Keep it through the `exec` that comes next."""
        os.set_inheritable(self.handle, True)


@dataclass(frozen=True)
class Holder:
    """Who has a seat, as far as is known."""

    token: str = ""
    study: str = "?"
    who: str = "somebody"

    @classmethod
    def here(cls, token: str, study: str) -> "Holder":
        """This process, for a study."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # an id without a name, as containers have
            user = str(os.getuid())
        return cls(token, study, f"{user}@{socket.gethostname()}, pid {os.getpid()}")


class SeatFolder:
    """The locks of one host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, gpus: Sequence[Gpu], n_seats: int, holder: Holder) -> Seat | None:
        """Return a free seat on one of the GPUs, the emptiest first; None where there is none.

        Args:
            n_seats: How many the holder's study has on each.
        """
        for most in range(1, n_seats + 1):
            for gpu in gpus:
                with self._gate(gpu) as is_open:
                    number = self._free(gpu, most, holder) if is_open else None
                    if number is not None:
                        return self._sit(gpu, number, holder)
        return None

    def holders(self, gpu: Gpu) -> list[Holder]:
        """Return who has seats on a GPU."""
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
                continue  # anybody may put anything there
            with suppress(StudyError), self._opened(path.name) as handle:
                if not try_lock(handle, fcntl.LOCK_SH):  # shared: who looks is no holder
                    held[int(number)] = read_holder(handle)
        return held

    def in_the_way(self, gpus: Sequence[Gpu], n_seats: int) -> str:
        """Return who holds a lock as no worker does, so that no free seat can be taken; or ""."""
        for gpu in gpus:
            for what in ("gate", *(f"seat-{number}" for number in range(n_seats))):
                with self._opened(self._name(gpu, what)) as handle:
                    if not try_lock(handle, fcntl.LOCK_EX):
                        path = self._folder / self._name(gpu, what)
                        return f"the lock {path} is held by {shown_holders(handle)}"
        return ""

    def _sit(self, gpu: Gpu, number: int, holder: Holder) -> Seat | None:
        handle = self._open(self._name(gpu, f"seat-{number}"))
        if not try_lock(handle, fcntl.LOCK_EX):  # whoever only looks, outside the gate
            os.close(handle)
            return None
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(holder)).encode(), 0)
        return Seat(gpu.uuid, number, handle, os.getpid(), str(self._folder))

    @contextmanager
    def _gate(self, gpu: Gpu) -> Iterator[bool]:
        """Be the only one who takes a seat on a GPU; False where another one does right now."""
        with self._opened(self._name(gpu, "gate")) as handle:
            yield try_lock(handle, fcntl.LOCK_EX)

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
        """Open a lock file, which any user may have made, for whichever user."""
        try:
            self._make_folder()
            return open_lock(self._folder, name, FOR_ALL_FILES)
        except OSError as error:
            why = error.strerror or error
            raise StudyError(f"the locks of the GPUs in {self._folder}: {why}", ANOTHER) from error

    def _make_folder(self) -> None:
        if not self._folder.is_dir():
            with suppress(FileExistsError):
                self._folder.mkdir(parents=True)
                self._folder.chmod(FOR_ALL)  # in a folder like /tmp nobody else can replace it


def kept_seat() -> Seat | None:
    """Return the seat that this process held before it replaced itself."""
    try:
        seat = Seat(**json.loads(os.environ.get(KEPT, "")))
        os.fstat(seat.handle)
    except (ValueError, TypeError, OSError):
        return None
    return seat if seat.pid == os.getpid() else None  # else it was inherited: another's


def read_holder(handle: int) -> Holder:
    """Return who has a lock, as its file says, which anybody may have written."""
    try:
        found = Holder(**json.loads(os.pread(handle, 4096, 0)))
    except (OSError, ValueError, TypeError, RecursionError):  # it sits down at this moment
        return Holder()
    return found if all(isinstance(value, str) for value in asdict(found).values()) else Holder()


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c == "-" else "-" for c in text)


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
        except (OSError, FileError) as error:
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
