"""Open this program's files where other users can write; never follow a link or block on a pipe.

With a link or a pipe in the place of such a file, a process would write elsewhere, show another
file, or block for ever.
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
    """Open a folder, or create it with `make`, and return the handle.

    Args:
        depth: >= 1; number of names at the end of the path that must not be links (an OSError).
            Links above are allowed, as the user chose them.
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
    """Open a regular file without hard links, with the flags `how`, and return the handle.

    Args:
        depth: Depth of its folder, see `open_folder`. With O_CREAT the folder is created.

    Raises:
        OSError: It is a link, a pipe, a device or a file with hard links, or cannot be opened.
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
    """Open a regular file that is not a link, without blocking; return the handle.

    Args:
        mode: Mode of a new file.
        within: Handle of the folder of `name`.
        is_sole: Whether a file with hard links is refused.
    """
    handle = os.open(name, how | _SAFE, mode, dir_fd=within)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or (is_sole and found.st_nlink != 1):
        os.close(handle)
        raise OSError(errno.EPERM, "not a file of its own")
    return handle
