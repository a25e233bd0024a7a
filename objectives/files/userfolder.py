"""Create private folders, in which no other local user can read, write or lock files."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from objectives.errors import FileError

COMMON = Path("/tmp")  # shared: another user may have taken the name there


def private_folder(path: Path) -> Path:
    """Create a folder with mode 0700, or reuse this user's folder; raise `FileError` otherwise."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise FileError(
                f"{path} is not a folder of this user's own", f"look at it: ls -ld {path}"
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise FileError(f"{path}: cannot be used: {error.strerror}") from None
    return path


def lock_folder(shared: Path | None = None) -> Path:
    """Return the folder of this user's locks, the same for all of the user's processes.

    It is not in XDG_RUNTIME_DIR, which processes of cron or a batch system do not have.

    Args:
        shared: A folder that containers share, if any.

    Raises:
        FileError: Other users own all possible folders, or none can be written.
    """
    for base in (shared, Path(os.environ.get("TMPDIR") or COMMON), COMMON):
        if base is not None and base.is_dir():
            with suppress(FileError):
                return private_folder(base / f"slot-study-{os.getuid()}")
    return private_folder(state_folder() / "locks")


def state_folder() -> Path:
    """Return the folder for this user's state, $XDG_STATE_HOME/slot-study; or raise FileError."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return private_folder(Path(base).expanduser() / "slot-study")
    except RuntimeError:
        raise FileError("this user has no home folder", "set XDG_STATE_HOME=FOLDER") from None
