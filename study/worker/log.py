"""An attempt's own log file: all that a process prints while it trains one trial.

File descriptors are turned, and not Python's streams, so that what TensorFlow and a crash of the
interpreter print is in it too. Decides nothing about what is printed.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from objectives.files.ownfile import APPEND, open_file
from study.machine.forks import close_withheld, withhold


class _Forgiving(io.FileIO):
    """A file that takes what it cannot write: no `print` of a user's fails by our full disk."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(data)


class AttemptLog:
    """Holds stdout and stderr of this process from `__enter__` to `__exit__`.

    A log that cannot be written (a full disk, a link in its place) is done without.

    Args:
        path: Appended to; its folder is made.
        say: Called with one line where there is no log.
    """

    def __init__(self, path: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self._path, self._say = path, say
        self._kept: list[tuple[int, int]] = []

    def __enter__(self) -> "AttemptLog":
        opened: list[int] = []
        try:
            opened.append(open_file(self._path, 2, APPEND))
            opened += [os.dup(1), os.dup(2)]
        except OSError as error:
            for number in opened:
                os.close(number)
            self._say(f"no log {self._path}: {error.strerror}")
            return self
        _flush()
        handle, *kept = opened
        self._kept = list(zip((1, 2), kept, strict=True))
        for number, before in self._kept:
            os.dup2(handle, number)
            withhold(before)  # whoever reads what this process prints waits for its end alone
        os.close(handle)
        self._streams = (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = _forgiving(1, sys.stdout), _forgiving(2, sys.stderr)
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
        if self._kept:
            sys.stdout, sys.stderr = self._streams
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


def _forgiving(number: int, like: Any) -> TextIO:
    raw = _Forgiving(number, "w", closefd=False)
    at_once = bool(getattr(like, "write_through", False))
    return io.TextIOWrapper(
        raw if at_once else io.BufferedWriter(raw),
        write_through=at_once,
        encoding=getattr(like, "encoding", None),
        errors="backslashreplace",
        line_buffering=getattr(like, "line_buffering", False),
    )


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # a full disk; closed by a user's code
            continue
