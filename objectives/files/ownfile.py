"""Files and folders of a work dir, opened through no link and without waiting at a pipe.

Others may write to a work dir. A link or a pipe that somebody has put in the place of a file or a
folder of ours would make a process write elsewhere, show another file, or wait for ever.
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
    """Open a folder and return the handle.

    Args:
        path: Its last `depth` names are followed through no link; those above are the user's.
        depth: >= 1.
        make: Whether what is missing is made.

    Raises:
        OSError: One of these names is a link or no folder, or cannot be opened.
    """
    above, *names = _split(path.absolute(), depth)
    if make:
        Path(above).mkdir(parents=True, exist_ok=True)
    handle = os.open(above, _FOLDER)
    for name in names:
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
    """Open a file of one name and return the handle.

    Args:
        path: The folder is opened by `open_folder` and, with O_CREAT, made.
        depth: Of the folder.
        how: Flags of `os.open`.

    Raises:
        OSError: It is a link, a pipe, a device or a file of several names, or cannot be opened.
    """
    within = open_folder(path.parent, depth, make=bool(how & os.O_CREAT))
    try:
        handle = os.open(path.name, how | _SAFE, 0o666, dir_fd=within)
    finally:
        os.close(within)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(handle)
        raise OSError(errno.EPERM, "It is not a file of its own")
    os.set_blocking(handle, True)
    return handle


def _split(path: Path, depth: int) -> list[str]:
    names = path.parts[1:][-depth:]
    return [str(Path(*path.parts[: len(path.parts) - len(names)])), *names]
