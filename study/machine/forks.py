"""Processes forked by an objective: they inherit no locks and pipes, and end with the worker.

A lock is held while any process has its file open, and a pipe ends when the last process has closed
it. So a forked process closes these files.
"""

import contextlib
import os
import sys

_withheld: dict[int, tuple[int, int]] = {}


def withhold(handle: int) -> None:
    """Make each process forked from now on close a file descriptor of this process."""
    _withheld[handle] = _identity(handle)


def close_withheld(handle: int) -> None:
    """Close a withheld descriptor in this process; its number may be used again."""
    _withheld.pop(handle, None)
    os.close(handle)


def end_forks(*, daemons_only: bool) -> None:
    """Terminate the child processes of `multiprocessing`, as Python does when it exits.

    A process that replaces itself or must exit at once skips Python's own clean-up.

    Args:
        daemons_only: Whether to leave other children alone, for which Python would wait.
    """
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is None:
        return
    with contextlib.suppress(Exception):  # another thread may end them at the same time
        for child in multiprocessing.active_children():
            if child.daemon or not daemons_only:
                child.terminate()


def _identity(handle: int) -> tuple[int, int]:
    found = os.fstat(handle)
    return found.st_dev, found.st_ino


def _close_here() -> None:
    for handle, identity in _withheld.items():
        with contextlib.suppress(OSError):
            if _identity(handle) == identity:  # else the file was closed, and its number used again
                os.close(handle)
    _withheld.clear()


os.register_at_fork(after_in_child=_close_here)
