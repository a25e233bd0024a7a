"""An attempt's own log file: all that a process prints while it trains one trial.

File descriptors are turned, and not Python's streams, so that what TensorFlow and a crash of the
interpreter print is in it too. Decides nothing about what is printed.
"""

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType

from study.forks import close_withheld, withhold


class AttemptLog:
    """Holds stdout and stderr of this process from `__enter__` to `__exit__`.

    A log that cannot be written (a full disk, a folder that is gone) is done without.

    Args:
        path: Appended to; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: list[tuple[int, int]] = []

    def __enter__(self) -> "AttemptLog":
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError:
            return self
        _flush()
        self._kept = [(number, os.dup(number)) for number in (1, 2)]
        for number, kept in self._kept:
            os.dup2(handle, number)
            withhold(kept)  # whoever reads what this process prints waits for its end alone
        os.close(handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Turn stdout and stderr back to where they went before."""
        _flush()
        for number, kept in self._kept:
            os.dup2(kept, number)
            close_withheld(kept)
        self._kept = []

    def write(self, line: str) -> None:
        """Write one line to the log; nothing where there is none."""
        if self._kept:
            _flush()
            with contextlib.suppress(OSError):  # a full disk
                os.write(2, f"{line}\n".encode(errors="backslashreplace"))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # a full disk; closed by a user's code
            continue
