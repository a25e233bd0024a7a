"""Processes forked by an objective: the resources that they do not inherit, and their end.

A lock is held while any process has its file open, and a pipe ends when the last process has closed
it. So a forked process closes these files.
"""

import contextlib
import os
import sys

_withheld: dict[int, tuple[int, int]] = {}


def withhold(handle: int) -> None:
    """Let every process that is forked from now on close a file descriptor of this one."""
    _withheld[handle] = _identity(handle)


def close_withheld(handle: int) -> None:
    """Close such a descriptor here; its number may become another's."""
    _withheld.pop(handle, None)
    os.close(handle)


def end_forks(*, daemons_only: bool) -> None:
    """Terminate the processes of `multiprocessing`, as Python does at its end.

    A process that is replaced or must end now skips Python's own end.

    Args:
        daemons_only: Whether to spare the others, which Python would wait for.
    """
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is None:
        return
    with contextlib.suppress(Exception):  # another thread may end them just now
        for child in multiprocessing.active_children():
            if child.daemon or not daemons_only:
                child.terminate()


def _identity(handle: int) -> tuple[int, int]:
    found = os.fstat(handle)
    return found.st_dev, found.st_ino


def _close_here() -> None:
    for handle, identity in _withheld.items():
        with contextlib.suppress(OSError):
            if _identity(handle) == identity:  # else it was closed, and the number is another's
                os.close(handle)
    _withheld.clear()


os.register_at_fork(after_in_child=_close_here)
