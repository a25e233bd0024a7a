"""Open lock files in folders that other users may write to, and name the holders of a lock."""

import fcntl
import itertools
import os
import stat
from pathlib import Path
from typing import NamedTuple

from objectives.files.ownfile import open_folder, open_regular


class Locker(NamedTuple):
    """A process that holds a lock: a description, and its user id if known."""

    shown: str
    uid: int | None = None


def open_lock(folder: Path, name: str, mode: int) -> int:
    """Open or create a lock file in a folder; return the handle.

    Args:
        mode: Mode of a new file, independent of the umask.

    Raises:
        OSError: The folder is a link, the file is not regular or has hard links, or another
            user owns it and the mode is not for all.
    """
    if folder.is_symlink():
        raise OSError("it is a link")
    within = open_folder(folder, 1)
    try:
        try:
            # O_CREAT for a new file only: in /tmp, Linux refuses it for another user's file.
            new = os.O_RDWR | os.O_CREAT | os.O_EXCL
            handle = open_regular(name, new, mode=mode, within=within, is_sole=True)
            os.fchmod(handle, mode)
        except FileExistsError:
            handle = open_regular(name, os.O_RDWR, within=within, is_sole=True)
    except OSError as error:
        raise OSError(f"{name}: {error.strerror}") from error
    finally:
        os.close(within)
    if os.fstat(handle).st_uid != os.getuid() and not mode & stat.S_IWOTH:
        os.close(handle)
        raise OSError(f"{name}: not a file of this user's own")
    return handle


def try_lock(handle: int, how: int) -> bool:
    """Take a `flock` lock if it is free; return whether it did, or the file system has no locks.

    Args:
        how: `fcntl.LOCK_SH` or `fcntl.LOCK_EX`.
    """
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # such as ENOLCK
        return True
    return True


def holders(handle: int) -> list[Locker]:
    """Return the processes known to hold `flock` locks on a file; empty on other systems."""
    inode = str(os.fstat(handle).st_ino)
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    # "7: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF"; "->" stands before a waiting process.
    words = [line.split() for line in lines]
    pids = {int(w[4]) for w in words if w[1] == "FLOCK" and w[5].rpartition(":")[2] == inode}
    return [_described(pid) for pid in sorted(pids) if pid > 0]


def shown_holders(handle: int) -> str:
    """Return `holders` on one line."""
    found = [holder.shown for holder in holders(handle)]
    return "; ".join(found) or "a process that is not visible from here"


def _described(pid: int) -> Locker:
    process = Path(f"/proc/{pid}")
    try:
        uid = process.stat().st_uid
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # the process has ended
        return Locker(f"pid {pid}")
    named = [value for flag, value in itertools.pairwise(words) if flag == "--study"]
    study = f"study {named[0][:200]!r}, " if named else ""  # another user's text
    return Locker(f"{study}pid {pid} of user {uid}", uid)
