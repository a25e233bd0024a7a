"""Processes that an objective forks: what of this process they do not get, and how they end.

A lock lives as long as any process has its file open, and a pipe is not at its end before the last
one has closed it. So a child closes what is ours. Signals are `signals.py`'s, and connections
`storage.database.engine`'s.
"""

import contextlib
import os
import sys

_withheld: dict[int, tuple[int, int]] = {}


def withhold(handle: int) -> None:
    """Let every child that is forked from now on close a file descriptor of this process."""
    _withheld[handle] = _identity(handle)


def close_withheld(handle: int) -> None:
    """Close such a descriptor here; its number may become another's."""
    _withheld.pop(handle, None)
    os.close(handle)


def end_forks(*, daemons_only: bool) -> None:
    """Ask what `multiprocessing` has started, and nobody has waited for, to end.

    Python does so at its own end, which a process that is replaced or that must end now skips.

    Args:
        daemons_only: Whether those go on for whose end Python would wait.
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
