"""Open files in folders where other users can write; never follow a link or block on a pipe.

A link or a pipe in the place of a file of ours would make a process write elsewhere, show another
file, or wait without end.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_folder(path: Path, depth: int, *, make: bool = False) -> int:
    """Open a folder, or make it with `make`, and return the handle.

    Args:
        depth: >= 1; so many names at the end of the path may be no links (an OSError). The user
            chose those above.
    """
    parts = path.absolute().parts
    depth = min(depth, len(parts) - 1)
    above = Path(*parts[: len(parts) - depth])
    if make:
        above.mkdir(parents=True, exist_ok=True)
    handle = os.open(above, _FOLDER)
    for name in parts[len(parts) - depth :]:
        outer = handle
        try:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=outer)
            handle = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=outer)
        except NotADirectoryError:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory, or a link", name) from None
        finally:
            os.close(outer)
    return handle


def open_file(path: Path, depth: int, how: int) -> int:
    """Open a regular file of one name, with the flags `how`, and return the handle.

    Args:
        depth: Of its folder: see `open_folder`. With O_CREAT the folder is made.

    Raises:
        OSError: It is a link, a pipe, a device or a file of several names, or cannot be opened.
    """
    within = open_folder(path.parent, depth, make=bool(how & os.O_CREAT))
    try:
        handle = open_regular(path.name, how, within=within, is_sole=True)
    finally:
        os.close(within)
    os.set_blocking(handle, True)
    return handle


def open_regular(
    name: Path | str,
    how: int,
    *,
    mode: int = 0o666,
    within: int | None = None,
    is_sole: bool = False,
) -> int:
    """Open a regular file, which is no link, without waiting; return the handle.

    Args:
        mode: Of a new file.
        within: Handle of the folder that `name` is in.
        is_sole: Whether a file of several names is refused.
    """
    handle = os.open(name, how | _SAFE, mode, dir_fd=within)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or (is_sole and found.st_nlink != 1):
        os.close(handle)
        raise OSError(errno.EPERM, "not a file of its own")
    return handle
