"""A seat on a GPU: one worker's right to compute on it, as a lock that dies with its process.

The locks lie in a folder of the host that all users and containers share. A card belongs to one
study at a time, which may have several seats on it. Decides who may sit where; what a worker does
with its seat is `pinning.py`'s.
"""

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from study.errors import StudyError
from study.forks import withhold
from study.gpu import Gpu

DEFAULT_FOLDER = Path("/tmp/slot-study-gpus")  # not of TMPDIR, which may be each user's own
KEPT = "STUDY_SEAT"
"""In the environment of a process that replaced itself: the seat that it has."""

FOR_ALL, FOR_ALL_FILES = 0o1777, 0o666


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
            handle = self._open(path)
            try:  # shared: two that look do not take each other for a holder
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                held[int(path.name.rpartition("-")[2])] = read_holder(handle)
            finally:
                os.close(handle)
        return held

    def _sit(self, gpu: Gpu, number: int, holder: Holder) -> Seat | None:
        handle = self._open(self._path(gpu, f"seat-{number}"))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # whoever only looks, outside the gate
            os.close(handle)
            return None
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(holder)).encode(), 0)
        return Seat(gpu.uuid, number, handle, os.getpid(), str(self._folder))

    @contextmanager
    def _gate(self, gpu: Gpu) -> Iterator[bool]:
        """Be the only one who takes a seat on a GPU; False where another one does right now."""
        handle = self._open(self._path(gpu, "gate"))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(handle)

    def _path(self, gpu: Gpu, what: str) -> Path:
        return self._folder / f"{_plain(gpu.uuid)}.{what}"

    def _open(self, path: Path) -> int:
        """Open a lock file, which any user may have made, for whichever user."""
        how = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._make_folder()
            # Opening another user's file in a folder like /tmp with O_CREAT is refused by Linux.
            with suppress(FileNotFoundError):
                return os.open(path, how)
            with suppress(FileExistsError):
                handle = os.open(path, how | os.O_CREAT | os.O_EXCL, FOR_ALL_FILES)
                os.fchmod(handle, FOR_ALL_FILES)  # whatever the umask
                return handle
            return os.open(path, how)
        except OSError as error:
            raise StudyError(
                f"the locks of the GPUs in {self._folder}: {error.strerror or error}",
                "--gpu-locks DIR, a folder that all users of these GPUs may write to",
            ) from error

    def _make_folder(self) -> None:
        if not self._folder.is_dir():
            with suppress(FileExistsError):
                self._folder.mkdir(parents=True)
                self._folder.chmod(FOR_ALL)


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
        return Holder(**json.loads(os.pread(handle, 4096, 0)))
    except (OSError, ValueError, TypeError, RecursionError):  # it sits down at this moment
        return Holder()


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c == "-" else "-" for c in text)
