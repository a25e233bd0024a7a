"""The process in which `fit` is called, told from those that `fit` forks.

A forked process has a copy of all that called `fit`. It may compute; it must not come out of `fit`
and go on as if it were the worker, and it cannot report.
"""

import os
import sys
import traceback
from types import TracebackType
from typing import Self

from objectives.errors import ModelError


class FitProcess:
    """The block that calls `fit`: a process that was forked inside it ends where it leaves it."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if os.getpid() != self._pid:
            _end(error)

    def refuse_child(self) -> None:
        """Refuse a report that comes from another process.

        Raises:
            ModelError: It does: who called `fit` would not know of it.
        """
        if os.getpid() != self._pid:
            raise ModelError(
                "report was called in a process that fit has started",
                "return the value to the process that fit was called in, and report it there",
            )


def _end(error: BaseException | None) -> None:
    """End this process as Python would, without what its parent does at its end."""
    code = 0
    if isinstance(error, SystemExit):
        code = _exit_code(error.code)
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # closed by the user's code
            continue
    os._exit(code)


def _exit_code(said: object) -> int:
    if said is None:
        return 0
    if isinstance(said, int):
        return said & 0xFF
    print(said, file=sys.stderr)
    return 1
