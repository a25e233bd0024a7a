"""Tell the process that called `fit` apart from the processes that `fit` forks.

A forked process may compute. It must not leave `fit`, where it would go on as a second worker, and
must not report values.
"""

import os
import sys
import traceback
from contextlib import AbstractContextManager, suppress
from typing import Any

from objectives.errors import ModelError


class FitProcess(AbstractContextManager["FitProcess"]):
    """The block that calls `fit`; a process forked inside the block exits at its end."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __exit__(self, *raised: Any) -> None:
        if os.getpid() != self._pid:
            _end(raised[1])

    def refuse_child(self) -> None:
        """Refuse a report from another process, as the caller of `fit` would not see it.

        Raises:
            ModelError: This is another process.
        """
        if os.getpid() != self._pid:
            raise ModelError(
                "report was called in a process that fit has started",
                "return the value to the process that fit was called in, and report it there",
            )


def _end(error: BaseException | None) -> None:
    """End this process as Python would, but run no exit handlers of its parent."""
    code = 0 if error is None else 1
    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        code = (error.code or 0) & 0xFF
    elif isinstance(error, SystemExit):
        print(error.code, file=sys.stderr)
    elif error is not None:
        traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed by the user's code
            stream.flush()
    os._exit(code)
